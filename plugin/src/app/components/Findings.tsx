import { Text } from '@grafana/ui';
import { useMemo } from 'react';
import { type Finding, findingsOf } from '../data/findings';
import { useQuestion } from '../state/useQuestion';
import { WordBadge } from './Badges';
import { PageLink } from './PageLink';
import { Section } from './Facts';
import { type Column, SortedTable } from './Tables';

/** What doctor would say of the plane, as far as the backend can see it. */
export function Findings() {
  const registry = useQuestion((client, params) => client.registry(params), { limit: 1 });
  const incidents = useQuestion((client, params) => client.incidents(params), { limit: 1 });
  const silences = useQuestion((client, params) => client.silences(params), { limit: 1 });
  const watchdog = useQuestion((client) => client.watchdog(), {});
  const findings = useMemo(
    () => findingsOf({ registry, incidents, silences, watchdog }),
    [registry, incidents, silences, watchdog],
  );
  return (
    <Section title="Checks of the plane">
      <SortedTable columns={COLUMNS} rows={findings} rowId={({ check }) => check} />
      <Text color="secondary">
        modelplane doctor checks more: targets, rules, boards and every query of a panel.
      </Text>
    </Section>
  );
}

const COLUMNS: ReadonlyArray<Column<Finding>> = [
  { id: 'check', header: 'Check', value: ({ check }) => check },
  {
    id: 'state',
    header: 'State',
    value: ({ state }) => state,
    cell: ({ state }) => <WordBadge word={state} />,
  },
  {
    id: 'text',
    header: 'Result',
    cell: ({ text, to }) => (to ? <PageLink to={to}>{text}</PageLink> : text),
  },
];
