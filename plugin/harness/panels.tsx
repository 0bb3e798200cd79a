/** Panels of Grafana's own in each state that pictures of boards must recognise. */
import * as data from '@grafana/data';
import * as ui from '@grafana/ui';
import * as React from 'react';

const SIZE = { width: 400, height: 120 };
const { Done, Error: Failed, Loading } = data.LoadingState;

export function Panels() {
  const panels: Array<[Record<string, unknown>, React.ReactNode]> = [
    [{ title: 'Fine', loadingState: Done }, <canvas key="canvas" />],
    [{ title: 'Broken', loadingState: Failed, statusMessage: 'bad_data: 1:2' }, null],
    [{ title: 'Loading', loadingState: Loading }, 'old'],
    [{ title: 'Spinning', loadingState: Done }, <ui.LoadingPlaceholder key="loading" text="Loading..." />],
    [{ title: 'Blank', loadingState: Done }, null],
    [
      { title: 'A title that is much too long for it', description: 'x', width: 160, loadingState: Done },
      'x',
    ],
    [{ title: 'Crashed', loadingState: Done }, <ui.Alert key="alert" title="Gone" severity="error" />],
    [{ title: '', hoverHeader: true, loadingState: Done }, 'A text panel'],
  ];
  return (
    <>
      {panels.map(([properties, content], index) => (
        <div key={index} style={{ ...SIZE, marginBottom: 8 }}>
          <ui.PanelChrome {...SIZE} {...properties}>
            {() => <>{content}</>}
          </ui.PanelChrome>
        </div>
      ))}
    </>
  );
}
