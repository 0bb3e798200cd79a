import { Button, Stack, Text } from '@grafana/ui';
import { useMemo } from 'react';
import type { CostRow, Params } from '../../../api';
import { AnswerTable } from '../../components/AnswerTable';
import { AnswerView, FailureView, Warnings } from '../../components/AnswerView';
import { Facts, Section } from '../../components/Facts';
import { type Column, SortedTable } from '../../components/Tables';
import {
  type Total,
  costId,
  fileName,
  grandTotals,
  idlePayer,
  kindText,
  totalsOf,
  unpriced,
  withSomething,
} from '../../data/costs';
import { countText, moneyText } from '../../data/format';
import { saveText } from '../../state/download';
import { useQuestion } from '../../state/useQuestion';
import { useWrite } from '../../state/useWrite';

interface Props {
  selection: Params;
}

/** What everything costs, and what of it is idle, unknown, without a price, or estimated. */
export function Totals({ selection }: Props) {
  const answer = useQuestion((client, params) => client.costs(params), {
    ...selection,
    'group-by': 'device_type',
  });
  return (
    <Section title="Altogether">
      <AnswerView
        isPart
        answer={answer}
        isEmpty={({ rows }) => rows.length === 0}
        empty="Nothing was used in this time and selection"
      >
        {({ rows, idle, warnings }) => (
          <>
            <Warnings texts={warnings} />
            <Sums totals={totalsOf(rows)} idle={idle} />
          </>
        )}
      </AnswerView>
    </Section>
  );
}

function Sums({ totals, idle }: { totals: Total[]; idle: string }) {
  const without = unpriced(totals);
  return (
    <Stack direction="column" gap={1}>
      <Facts
        facts={[
          ...grandTotals(totals).map(
            ([currency, amount]) => [`Total in ${currency}`, moneyText(amount, currency)] as const,
          ),
          ['Idle time is paid by', idlePayer(idle)],
        ]}
      />
      {without.length > 0 && (
        <Text color="warning">
          {`Without a price, so in no total: ${without.map(quantityText).join(', ')}.`}
        </Text>
      )}
      <SortedTable
        columns={TOTALS}
        rows={withSomething(totals)}
        rowId={totalId}
        sortParameter="sort-totals"
      />
    </Stack>
  );
}

const totalId = ({ kind, unit, currency }: Total) => JSON.stringify([kind, unit, currency]);
const unitText = (unit: string) => unit.replaceAll('_', ' ');
const quantityText = ({ kind, unit, quantity }: Pick<Total, 'kind' | 'unit' | 'quantity'>) =>
  `${countText(quantity)} ${unitText(unit)} (${kindText(kind)})`;

const TOTALS: ReadonlyArray<Column<Total>> = [
  { id: 'kind', header: 'Kind', value: ({ kind }) => kindText(kind) },
  {
    id: 'amount',
    header: 'Amount',
    value: ({ currency, amount }) => (currency ? amount : null),
    cell: ({ currency, amount }) => (currency ? moneyText(amount, currency) : 'no price'),
    descending: true,
  },
  { id: 'quantity', header: 'Quantity', cell: (row) => `${countText(row.quantity)} ${unitText(row.unit)}` },
  {
    id: 'estimated',
    header: 'Estimated of it',
    cell: ({ estimated }) => (estimated > 0 ? countText(estimated) : 'none'),
  },
];

const DEAREST = 500;

export function AllocationTable({ selection, by }: Props & { by: string[] }) {
  const answer = useQuestion((client, params) => client.costs(params), {
    ...selection,
    'group-by': by,
    limit: DEAREST,
  });
  const key = by.join(' ');
  const columns = useMemo(() => [...groupColumns(key.split(' ')), ...COLUMNS], [key]);
  return (
    <Section title="Allocation">
      <AnswerTable
        isPart
        isWithoutWarnings // the totals have the same
        answer={answer}
        rowsOf={({ rows }) => withSomething(rows)}
        columns={columns}
        rowId={costId}
        empty="Nothing is charged in this time and selection"
        above={({ rows }) =>
          rows.length >= DEAREST && (
            <Text color="secondary">{`The dearest ${DEAREST} of each currency; the files have all.`}</Text>
          )
        }
      />
    </Section>
  );
}

const GROUP_COLUMNS: Record<string, Column<CostRow>> = {
  tenant: { id: 'tenant', header: 'Tenant', value: ({ tenant }) => tenant ?? 'nobody' },
  model: { id: 'model', header: 'Model', value: ({ model }) => model ?? 'none' },
  version: { id: 'version', header: 'Version', value: ({ version }) => version ?? 'none' },
};
const groupColumns = (by: string[]) => by.flatMap((group) => GROUP_COLUMNS[group] ?? []);

const COLUMNS: ReadonlyArray<Column<CostRow>> = [
  { id: 'kind', header: 'Kind', value: ({ kind }) => kindText(kind) },
  {
    id: 'amount',
    header: 'Amount',
    value: ({ amount }) => amount,
    cell: ({ amount, currency }) => (currency ? moneyText(amount, currency) : 'no price'),
    descending: true,
  },
  {
    id: 'quantity',
    header: 'Quantity',
    value: ({ quantity }) => quantity,
    cell: ({ quantity, unit }) => `${countText(quantity)} ${unitText(unit)}`,
    descending: true,
  },
  {
    id: 'estimated',
    header: 'Estimated of it',
    value: ({ estimated }) => estimated,
    cell: ({ estimated }) => (estimated > 0 ? countText(estimated) : 'none'),
    descending: true,
  },
];

export function Downloads({ selection, by }: Props & { by: string[] }) {
  const { isPending, failure, send } = useWrite();
  const download = (format: 'csv' | 'focus') =>
    send(
      (client) => client.costFile(format, { ...selection, 'group-by': by }),
      (text) => saveText(fileName(format, String(selection.from), String(selection.to)), text),
    );
  return (
    <Stack direction="column" gap={1}>
      <Stack>
        <Button variant="secondary" icon="download-alt" disabled={isPending} onClick={() => download('csv')}>
          Download CSV
        </Button>
        <Button
          variant="secondary"
          icon="download-alt"
          disabled={isPending}
          onClick={() => download('focus')}
        >
          Download FOCUS
        </Button>
      </Stack>
      {failure && <FailureView failure={failure} />}
    </Stack>
  );
}
