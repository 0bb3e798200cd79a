import { Badge, Button, LinkButton, Stack, Text } from '@grafana/ui';
import { useMemo } from 'react';
import type { Distribution, MovedSignal, SeriesAnswer } from '../../../api';
import { AnswerView } from '../../components/AnswerView';
import { Chart } from '../../components/Chart';
import { Facts, Section } from '../../components/Facts';
import { type Column, SortedTable } from '../../components/Tables';
import {
  type Arm,
  OF_SIGNAL,
  type SignalKey,
  armsOf,
  distributionFrame,
  historyFrames,
  signalParams,
} from '../../data/drift';
import { countText, intervalText, numberText } from '../../data/format';
import { boardUrl } from '../../state/links';
import { useQuestion } from '../../state/useQuestion';
import { type ChosenRange, useSearch } from '../../state/useSearch';

interface Props {
  signal: SignalKey;
  /** Its row of the list, where that has it. */
  row: MovedSignal | undefined;
  range: ChosenRange;
  window: string;
}

/** One signal: live against training, its history with the limit, and all that is measured of it. */
export function SignalDetail({ signal, row, range, window }: Props) {
  const { change } = useSearch();
  const params = { ...signalParams(signal), window };
  const distribution = useQuestion((client, asked) => client.distribution(asked), {
    ...params,
    to: range.params.to,
  });
  const history = useQuestion((client, asked) => client.series('drift', asked), {
    ...params,
    ...range.params,
    method: 'psi',
    maxDataPoints: 300,
  });
  return (
    <Section title={`${signal.signal} (${signal.kind}) of ${signal.model_name} ${signal.model_version}`}>
      {row ? (
        <Measured row={row} />
      ) : (
        <Text color="secondary">It is not among the signals listed below.</Text>
      )}
      <AnswerView
        isPart
        answer={distribution}
        isEmpty={({ data }) => data.length === 0}
        empty="There are no observations in the window"
      >
        {(answer) => <Bars answer={answer} range={range} />}
      </AnswerView>
      <AnswerView
        isPart
        answer={history}
        isEmpty={({ data }) => data.length === 0}
        empty="There is no history"
      >
        {(answer) => <History answer={answer} limit={row?.limit ?? null} range={range} />}
      </AnswerView>
      <Stack>
        <LinkButton variant="secondary" href={boardUrl(signal.model_name, signal.tenant_id)}>
          Board
        </LinkButton>
        <Button
          variant="secondary"
          icon="times"
          onClick={() => change(Object.fromEntries(OF_SIGNAL.map((name) => [name, undefined])))}
        >
          Close
        </Button>
      </Stack>
    </Section>
  );
}

function Measured({ row }: { row: MovedSignal }) {
  const arms = useMemo(() => armsOf(row), [row]);
  return (
    <>
      <Facts
        facts={[
          ['State', row.state],
          ['Observations', countText(row.n)],
          ['psi', numberText(row.value)],
          ['Noise: psi that chance explains', numberText(row.noise)],
          ['Limit', numberText(row.limit)],
          ['Largest psi of its past', numberText(row.past_max)],
          ['Hours of past', countText(row.past_hours)],
        ]}
      />
      <SortedTable columns={ARMS} rows={arms} rowId={({ name }) => name} sortParameter="sort-arms" />
    </>
  );
}

const ARMS: ReadonlyArray<Column<Arm>> = [
  { id: 'name', header: 'Measure', value: ({ name }) => name.replaceAll('_', ' ') },
  { id: 'value', header: 'Value', cell: ({ value }) => numberText(value) },
  { id: 'limits', header: 'As in its own past', cell: ({ low, high }) => intervalText(low, high) },
  {
    id: 'moved',
    header: 'Moved',
    value: ({ moved }) => moved,
    cell: ({ moved }) => (moved ? <Badge color="orange" text="beyond" /> : 'no'),
  },
];

function Bars({ answer, range }: { answer: Distribution; range: ChosenRange }) {
  const frames = useMemo(() => [distributionFrame(answer)], [answer]);
  const sizes = answer.data.map(({ name, n }) => `${name}: ${countText(n)} observations`).join(', ');
  return (
    <Chart
      title="Live against training"
      description={sizes}
      panel="barchart"
      frames={frames}
      range={range.range}
      options={{ xField: 'bin', showValue: 'never', legend: LEGEND }}
    />
  );
}

interface HistoryProps {
  answer: SeriesAnswer;
  limit: number | null;
  range: ChosenRange;
}

function History({ answer, limit, range }: HistoryProps) {
  const frames = useMemo(() => historyFrames(answer, limit), [answer, limit]);
  return (
    <Chart
      title="psi over time, with what chance explains of it"
      panel="timeseries"
      frames={frames}
      range={range.range}
      options={{ legend: LEGEND, tooltip: { mode: 'multi' } }}
    />
  );
}

const LEGEND = { displayMode: 'list', placement: 'bottom', showLegend: true, calcs: [] };
