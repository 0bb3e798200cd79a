import { Button, ClipboardButton, Stack, Text } from '@grafana/ui';
import { useMemo } from 'react';
import type { Comparison, Indicator, Verdicts } from '../../../api';
import { AnswerView, Warnings } from '../../components/AnswerView';
import { WordBadge } from '../../components/Badges';
import { Chart } from '../../components/Chart';
import { Bullets, Section } from '../../components/Facts';
import { type Column, SortedTable } from '../../components/Tables';
import {
  type Compared,
  differenceText,
  gateCommand,
  marginText,
  sideText,
  undecided,
  verdictFrames,
} from '../../data/comparison';
import { countText, shareText } from '../../data/format';
import { useQuestion } from '../../state/useQuestion';
import type { ChosenRange } from '../../state/useSearch';

interface Props {
  compared: Omit<Compared, 'from'>;
  range: ChosenRange;
}

export function ComparisonView({ compared, range }: Props) {
  const params = {
    'model-name': compared.model,
    'tenant-id': compared.tenants,
    baseline: compared.baseline,
    candidate: compared.candidate,
    ...range.params,
  };
  const answer = useQuestion((client, asked) => client.comparison(asked), params);
  const verdicts = useQuestion((client, asked) => client.verdicts(asked), params);
  return (
    <Stack direction="column" gap={3}>
      <AnswerView isPart answer={answer}>
        {(comparison) => <Verdict comparison={comparison} />}
      </AnswerView>
      <Section title="The verdict over time">
        <AnswerView
          isPart
          answer={verdicts}
          isEmpty={({ rows }) => rows.length === 0}
          empty="No slice of the time range has calls of both versions"
        >
          {(overTime) => <VerdictTimeline answer={overTime} range={range} />}
        </AnswerView>
      </Section>
      <Gate compared={{ ...compared, from: range.params.from }} />
      <div>
        <Button
          variant="secondary"
          icon="sync"
          onClick={() => [answer, verdicts].forEach(({ again }) => again())}
        >
          Look again
        </Button>
      </div>
    </Stack>
  );
}

function Verdict({ comparison }: { comparison: Comparison }) {
  const { verdict, summary, indicators, level, warnings } = comparison;
  const open = undecided(indicators);
  return (
    <Stack direction="column" gap={2}>
      <Warnings texts={warnings} />
      <Stack alignItems="center">
        <WordBadge word={verdict} />
        <Text color="secondary">{`A difference that is none is claimed in at most ${shareText(level)} of comparisons.`}</Text>
      </Stack>
      <Bullets>
        {summary.map((sentence) => (
          <li key={sentence}>{sentence}</li>
        ))}
      </Bullets>
      <SortedTable columns={COLUMNS} rows={indicators} rowId={({ name }) => name} />
      {open.length > 0 && (
        <Section title="What is needed to decide">
          <Bullets>
            {open.map(({ name, reason }) => (
              <li key={name}>{`${name}: ${reason}`}</li>
            ))}
          </Bullets>
        </Section>
      )}
    </Stack>
  );
}

const COLUMNS: ReadonlyArray<Column<Indicator>> = [
  { id: 'name', header: 'Indicator', value: ({ name }) => name },
  {
    id: 'verdict',
    header: 'Verdict',
    value: ({ verdict }) => verdict,
    cell: ({ verdict }) => <WordBadge word={verdict} />,
  },
  { id: 'baseline', header: 'Baseline', cell: (row) => sideText(row, 'baseline') },
  { id: 'candidate', header: 'Candidate', cell: (row) => sideText(row, 'candidate') },
  { id: 'difference', header: 'Difference', cell: differenceText },
  {
    id: 'margin',
    header: 'Margin',
    cell: marginText,
  },
  {
    id: 'count',
    header: 'Calls of each',
    cell: ({ baseline_count, candidate_count }) =>
      `${countText(baseline_count)}, ${countText(candidate_count)}`,
  },
  { id: 'reason', header: 'Reason', cell: ({ reason }) => reason },
];

const LANE_HEIGHT = 28;
const TIMELINE_FRAME = 110;

function VerdictTimeline({ answer, range }: { answer: Verdicts; range: ChosenRange }) {
  const frames = useMemo(() => verdictFrames(answer), [answer]);
  return (
    <Chart
      title="Verdict of each indicator"
      panel="state-timeline"
      frames={frames}
      range={range.range}
      height={TIMELINE_FRAME + LANE_HEIGHT * frames.length}
      options={{ showValue: 'auto', mergeValues: true, rowHeight: 0.8, legend: { showLegend: false } }}
    />
  );
}

function Gate({ compared }: { compared: Compared }) {
  const command = gateCommand(compared);
  return (
    <Section title="In a pipeline">
      <Text color="secondary">
        It ends with 0 for pass, 1 for fail, 2 while it is not decided, and 3 without traffic.
      </Text>
      <pre>{command}</pre>
      <div>
        <ClipboardButton icon="copy" variant="secondary" getText={() => command}>
          Copy
        </ClipboardButton>
      </div>
    </Section>
  );
}
