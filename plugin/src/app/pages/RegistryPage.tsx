import { Stack } from '@grafana/ui';
import type { RegistryRow } from '../../api';
import { AnswerPages } from '../components/AnswerTable';
import { WordBadge } from '../components/Badges';
import { Facts } from '../components/Facts';
import { PageLink } from '../components/PageLink';
import { SubjectFilters, useSubjectParams } from '../components/SubjectFilters';
import type { Column } from '../components/Tables';
import { withSource } from '../components/WithSource';
import { countText } from '../data/format';
import { boardUrl } from '../state/links';
import { useQuestion } from '../state/useQuestion';

export const RegistryPage = withSource(Registry);

const STATES = [
  { value: 'undeclared', label: 'Seen, not declared' },
  { value: 'unseen', label: 'Declared, not seen' },
  { value: 'as declared', label: 'Declared and seen' },
] as const;

function Registry() {
  const answer = useQuestion((client, params) => client.registry(params), useSubjectParams('state'));
  return (
    <Stack direction="column" gap={2}>
      <SubjectFilters again={answer.again} label="State" name="state" options={STATES} />
      <AnswerPages
        answer={answer}
        rowsOf={({ rows }) => rows}
        columns={COLUMNS}
        rowId={rowId}
        empty="There are no versions in this selection"
        above={({ states }) => (
          <Facts facts={STATES.map(({ value, label }) => [label, countText(states[value])] as const)} />
        )}
      />
    </Stack>
  );
}

const rowId = ({ model_name, model_version, tenant_id }: RegistryRow) =>
  JSON.stringify([model_name, model_version, tenant_id]);

const labelOf = (state: string) => STATES.find(({ value }) => value === state)?.label ?? state;

const COLUMNS: ReadonlyArray<Column<RegistryRow>> = [
  { id: 'state', header: 'State', cell: ({ state }) => <WordBadge word={state} label={labelOf(state)} /> },
  {
    id: 'model',
    header: 'Model',
    cell: ({ model_name, tenant_id }) => (
      <PageLink to={boardUrl(model_name, tenant_id)}>{model_name}</PageLink>
    ),
  },
  { id: 'version', header: 'Version', cell: ({ model_version }) => model_version },
  { id: 'tenant', header: 'Tenant', cell: ({ tenant_id }) => tenant_id },
  { id: 'stage', header: 'Stage', cell: ({ stage }) => stage },
  { id: 'owner', header: 'Owner', cell: ({ owner }) => owner },
  { id: 'framework', header: 'Framework', cell: ({ framework }) => framework },
];
