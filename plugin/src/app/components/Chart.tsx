/** Core panels of Grafana inside of a page. */
import { css } from '@emotion/css';
import { type DataFrame, LoadingState, type PanelData, type TimeRange } from '@grafana/data';
import { PanelRenderer } from '@grafana/runtime';
import { PanelChrome, useStyles2 } from '@grafana/ui';
import { useLayoutEffect, useMemo, useRef, useState } from 'react';

interface Props {
  title: string;
  description?: string;
  /** The core panel, such as timeseries. */
  panel: 'timeseries' | 'barchart' | 'state-timeline';
  frames: DataFrame[];
  range: TimeRange;
  options?: object;
  height?: number;
}

/** A panel as wide as the page. It takes the window's height where its own is not fixed. */
export function Chart({ title, description, panel, frames, range, options, height = 260 }: Props) {
  const { ref, width } = useWidth();
  const styles = useStyles2(() => css({ width: '100%', height }));
  const data = useMemo<PanelData>(
    () => ({ state: LoadingState.Done, series: frames, timeRange: range }),
    [frames, range],
  );
  return (
    <div ref={ref} className={styles} role="figure" aria-label={title}>
      {width > 0 && (
        <PanelChrome title={title} description={description} width={width} height={height}>
          {(innerWidth, innerHeight) => (
            <PanelRenderer
              pluginId={panel}
              title={title}
              width={innerWidth}
              height={innerHeight}
              data={data}
              options={options ?? {}}
              fieldConfig={{ defaults: {}, overrides: [] }}
            />
          )}
        </PanelChrome>
      )}
    </div>
  );
}

function useWidth() {
  const ref = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => {
    const element = ref.current;
    if (!element) {
      return;
    }
    setWidth(element.clientWidth);
    const observer = new ResizeObserver(() => setWidth(element.clientWidth));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  return { ref, width };
}
