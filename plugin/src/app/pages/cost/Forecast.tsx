import { Text } from '@grafana/ui';
import type { ForecastRow } from '../../../api';
import { AnswerTable } from '../../components/AnswerTable';
import { WordBadge } from '../../components/Badges';
import { Section } from '../../components/Facts';
import type { Column } from '../../components/Tables';
import { dayText, moneyText, shareText } from '../../data/format';
import { useQuestion } from '../../state/useQuestion';

export function ForecastTable({ tenants }: { tenants: string[] }) {
  const answer = useQuestion((client, params) => client.forecasts(params), { 'tenant-id': tenants });
  return (
    <Section title="Forecast of the month">
      <AnswerTable
        isPart
        answer={answer}
        rowsOf={({ rows }) => rows}
        columns={COLUMNS}
        rowId={rowId}
        sortParameter="sort-forecast"
        empty="No tenant has costs or a budget this month"
        above={({ coverage }) => (
          <Text color="secondary">
            {`At least ${shareText(coverage)} of months end between low and high. Without a high nothing bounds it.`}
          </Text>
        )}
      />
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
  { id: 'month_end', header: 'Month ends', cell: ({ month_end }) => dayText(month_end) },
];
