import { Stack, Text } from '@grafana/ui';
import { useMemo } from 'react';
import type { MovedSignal } from '../../api';
import { AnswerView, Warnings } from '../components/AnswerView';
import { Filters, ListChoice, ListFilter, MenuFilter, RangeFilter } from '../components/Filters';
import { PageLink } from '../components/PageLink';
import { type Column, SortedTable } from '../components/Tables';
import { withSource } from '../components/WithSource';
import { chosenSignal, signalChoice, signalId } from '../data/drift';
import { countText, numberText } from '../data/format';
import { ALL_TENANTS } from '../state/links';
import { changed } from '../state/search';
import { useQuestion } from '../state/useQuestion';
import { useRange, useSearch } from '../state/useSearch';
import { SignalDetail } from './drift/SignalDetail';

export const DriftPage = withSource(Drift);

const WINDOWS = ['1h', '6h', '1d'].map((value) => ({ value, label: `Last ${value}` }));
const KINDS = ['input', 'activation', 'output', 'business', 'confidence'].map((value) => ({
  value,
  label: value,
}));
const LIMIT = 100;

function Drift() {
  const { list, text } = useSearch();
  const range = useRange('2d');
  const window = text('window') || '1h';
  const answer = useQuestion((client, params) => client.movedSignals(params), {
    'model-name': list('model-name'),
    'tenant-id': list('tenant-id'),
    kind: list('kind'),
    signal: list('signal'),
    window,
    to: range.params.to,
    limit: LIMIT,
  });
  const chosen = chosenSignal(text);
  return (
    <Stack direction="column" gap={2}>
      <Filters again={answer.again}>
        <MenuFilter label="Model" name="model-name" menu="models" />
        <MenuFilter label="Tenant" name="tenant-id" menu="tenants" placeholder="All together" />
        <ListFilter label="Kind" name="kind" options={KINDS} />
        <MenuFilter
          label="Signal"
          name="signal"
          menu="signals"
          params={{ 'model-name': list('model-name') }}
        />
        <ListChoice label="Window" name="window" options={WINDOWS} initial="1h" />
        <RangeFilter chosen={range} />
      </Filters>
      <AnswerView
        answer={answer}
        isEmpty={({ rows }) => rows.length === 0}
        empty="There are no signals with a training baseline in this selection"
      >
        {({ rows, warnings }) => (
          <>
            <Warnings texts={warnings} />
            {chosen && (
              <SignalDetail
                key={signalId(chosen)}
                signal={chosen}
                row={rows.find((row) => signalId(row) === signalId(chosen))}
                range={range}
                window={window}
              />
            )}
            {rows.length >= LIMIT && (
              <Text color="secondary">{`The ${LIMIT} farthest beyond their limits; filters show others.`}</Text>
            )}
            <SignalTable rows={rows} />
          </>
        )}
      </AnswerView>
    </Stack>
  );
}

function SignalTable({ rows }: { rows: MovedSignal[] }) {
  const { params } = useSearch();
  const columns = useMemo<ReadonlyArray<Column<MovedSignal>>>(
    () => [
      {
        id: 'signal',
        header: 'Signal',
        value: ({ signal }) => signal,
        cell: (row) => <PageLink to={`?${changed(params, signalChoice(row))}`}>{row.signal}</PageLink>,
      },
      ...COLUMNS,
    ],
    [params],
  );
  return <SortedTable columns={columns} rows={rows} rowId={signalId} />;
}

const COLUMNS: ReadonlyArray<Column<MovedSignal>> = [
  { id: 'kind', header: 'Kind', value: ({ kind }) => kind },
  { id: 'model', header: 'Model', value: ({ model_name }) => model_name },
  { id: 'version', header: 'Version', value: ({ model_version }) => model_version },
  {
    id: 'tenant',
    header: 'Tenant',
    value: ({ tenant_id }) => (tenant_id === ALL_TENANTS ? 'All together' : tenant_id),
  },
  {
    id: 'beyond',
    header: 'Times its limit',
    value: ({ beyond }) => beyond,
    cell: ({ beyond }) => numberText(beyond),
    descending: true,
  },
  { id: 'moved', header: 'Moved by', value: ({ moved }) => moved },
  {
    id: 'psi',
    header: 'psi',
    value: ({ value }) => value,
    cell: ({ value }) => numberText(value),
    descending: true,
  },
  { id: 'noise', header: 'Noise', value: ({ noise }) => noise, cell: ({ noise }) => numberText(noise) },
  { id: 'limit', header: 'Limit', value: ({ limit }) => limit, cell: ({ limit }) => numberText(limit) },
  { id: 'n', header: 'Observations', value: ({ n }) => n, cell: ({ n }) => countText(n), descending: true },
  { id: 'state', header: 'State', value: ({ state }) => state },
];
