/** The editors of the data source, as Grafana shows them, with what they lead to below. */
import type { TimeRange } from '@grafana/data';
import { Alert } from '@grafana/ui';
import { useEffect, useState } from 'react';
import { Drawn } from './Drawn';

export type Editor = 'query' | 'annotation' | 'variable' | 'config';

interface Props {
  kind: Editor;
  source: any;
  components: any;
  start: object;
  range: TimeRange;
}

export function Edited({ kind, source, components, start, range }: Props) {
  const [value, setValue] = useState<any>({ refId: 'A', ...start });
  // The walk reads what an editor made.
  useEffect(() => void Object.assign(window, { edited: value }), [value]);
  const shared = { datasource: source, range, onRunQuery: () => undefined };
  if (kind === 'query') {
    return (
      <>
        <components.QueryEditor {...shared} query={value} onChange={setValue} />
        <Panel source={source} query={value} range={range} />
      </>
    );
  }
  if (kind === 'annotation') {
    const { QueryEditor, prepareQuery } = source.annotations;
    const annotation = { name: 'Marks', target: value };
    return (
      <>
        <QueryEditor
          {...shared}
          annotation={annotation}
          onAnnotationChange={({ target }: any) => setValue(target)}
        />
        <Panel source={source} query={prepareQuery(annotation)} range={range} />
      </>
    );
  }
  if (kind === 'variable') {
    const { editor: VariableEditor } = source.variables;
    return (
      <>
        <VariableEditor {...shared} query={value} onChange={setValue} />
        <Values source={source} query={value} range={range} />
      </>
    );
  }
  return (
    <>
      <components.ConfigEditor options={value} onOptionsChange={setValue} />
      <Health source={source} />
    </>
  );
}

function useLast(ask: () => any, inputs: unknown[]) {
  const [answer, setAnswer] = useState<any>();
  useEffect(() => {
    const waiting = ask().subscribe(setAnswer);
    return () => waiting.unsubscribe();
    // The callers say what the question depends on.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, inputs);
  return answer;
}

function Panel({ source, query, range }: { source: any; query: any; range: TimeRange }) {
  const answer = useLast(
    () => source.query({ targets: [query], range, scopedVars: {}, maxDataPoints: 200 }),
    [source, JSON.stringify(query), range],
  );
  if (!answer) {
    return <p>Loading</p>;
  }
  return (
    <>
      {answer.errors?.map((error: any) => (
        <Alert key={error.refId} severity="error" title={error.message} />
      ))}
      <Drawn
        title=""
        width={window.innerWidth - 40}
        height={320}
        data={{ series: answer.data, timeRange: range }}
      />
    </>
  );
}

function Values({ source, query, range }: { source: any; query: any; range: TimeRange }) {
  const answer = useLast(
    () => source.variables.query({ targets: [query], range, scopedVars: {} }),
    [source, JSON.stringify(query), range],
  );
  return <p className="values">{answer?.data.map(({ text }: { text: string }) => text).join(', ')}</p>;
}

function Health({ source }: { source: any }) {
  const [health, setHealth] = useState<{ status: string; message: string }>();
  useEffect(() => {
    source.testDatasource().then(setHealth, ({ message }: Error) => setHealth({ status: 'error', message }));
  }, [source]);
  return health ? (
    <Alert severity={health.status === 'error' ? 'error' : 'success'} title={health.message} />
  ) : null;
}
