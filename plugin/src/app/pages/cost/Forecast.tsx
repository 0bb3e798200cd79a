import { Text } from '@grafana/ui';
import type { ForecastRow } from '../../../api';
import { AnswerView } from '../../components/AnswerView';
import { WordBadge } from '../../components/Badges';
import { Section } from '../../components/Facts';
import { type Column, SortedTable } from '../../components/Tables';
import { moneyText, momentText, shareText } from '../../data/format';
import { useQuestion } from '../../state/useQuestion';

export function ForecastTable({ tenants }: { tenants: string[] }) {
  const answer = useQuestion((client, params) => client.forecasts(params), { 'tenant-id': tenants });
  return (
    <Section title="The month's end">
      <AnswerView
        isPart
        answer={answer}
        isEmpty={({ rows }) => rows.length === 0}
        empty="No tenant has costs or a budget this month"
      >
        {({ rows, coverage }) => (
          <>
            <Text color="secondary">
              {`At least ${shareText(coverage)} of months end between low and high. Without a high nothing bounds it.`}
            </Text>
            <SortedTable columns={COLUMNS} rows={rows} rowId={rowId} sortParameter="sort-forecast" />
          </>
        )}
      </AnswerView>
    </Section>
  );
}

const rowId = ({ tenant, currency }: ForecastRow) => JSON.stringify([tenant, currency]);

type Amount = 'spent' | 'low' | 'expected' | 'high' | 'budget';

const money = (id: Amount, header: string): Column<ForecastRow> => ({
  id,
  header,
  value: (row) => row[id],
  cell: (row) => moneyText(row[id], row.currency),
  descending: true,
});

const COLUMNS: ReadonlyArray<Column<ForecastRow>> = [
  { id: 'tenant', header: 'Tenant', value: ({ tenant }) => tenant },
  {
    id: 'verdict',
    header: 'Against the budget',
    value: ({ verdict }) => verdict,
    cell: ({ verdict }) => <WordBadge word={verdict} />,
  },
  money('spent', 'Spent so far'),
  money('low', 'Low'),
  money('expected', 'Expected'),
  money('high', 'High'),
  money('budget', 'Budget'),
  { id: 'days', header: 'Days of data', value: ({ days }) => days },
  { id: 'month_end', header: 'Month ends', cell: ({ month_end }) => momentText(month_end) },
];
