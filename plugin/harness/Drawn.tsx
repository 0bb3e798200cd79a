/** What a core panel would show of frames, with Grafana's formats and the notices. */
import { type DataFrame, type TimeRange, applyFieldOverrides } from '@grafana/data';
import { Alert, useTheme2 } from '@grafana/ui';
import { Bars, Cells, Lanes, Lines } from './drawings';

interface Props {
  title: string;
  /** The core panel; without it frames say by themselves what they are. */
  pluginId?: string;
  width: number;
  height: number;
  data: { series: DataFrame[]; timeRange: TimeRange };
  fieldConfig?: { defaults: object; overrides: [] };
}

export function Drawn({ pluginId, width, height, data, fieldConfig }: Props) {
  const theme = useTheme2();
  const frames = applyFieldOverrides({
    data: data.series,
    fieldConfig: fieldConfig ?? { defaults: {}, overrides: [] },
    theme,
    replaceVariables: (text) => text,
    timeZone: 'utc',
  });
  const notices = frames.flatMap(({ meta }) => meta?.notices ?? []);
  return (
    <div className="drawn">
      {notices.map(({ text }) => (
        <Alert key={text} severity="warning" title={text} />
      ))}
      {frames.length === 0 ? (
        <p>No data</p>
      ) : (
        <Panel
          panel={pluginId ?? panelOf(frames)}
          frames={frames}
          range={data.timeRange}
          width={width}
          height={height}
        />
      )}
    </div>
  );
}

const panelOf = (frames: DataFrame[]) =>
  frames.some(({ meta }) => meta?.preferredVisualisationType === 'graph') ? 'timeseries' : 'table';

interface PanelProps {
  panel: string;
  frames: DataFrame[];
  range: TimeRange;
  width: number;
  height: number;
}

function Panel({ panel, frames, range, width, height }: PanelProps) {
  const drawing = { frames, range, width, height };
  if (panel === 'timeseries') {
    return <Lines {...drawing} />;
  }
  if (panel === 'state-timeline') {
    return <Lanes {...drawing} />;
  }
  if (panel === 'barchart') {
    return <Bars {...drawing} />;
  }
  return frames.map((frame, index) => <Cells key={index} frame={frame} frames={frames} />);
}
