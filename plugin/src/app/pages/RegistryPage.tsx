import { Stack } from '@grafana/ui';
import type { RegistryRow } from '../../api';
import { AnswerView, Warnings } from '../components/AnswerView';
import { WordBadge } from '../components/Badges';
import { Facts } from '../components/Facts';
import { Filters, ListFilter, MenuFilter, SearchFilter } from '../components/Filters';
import { PageLink } from '../components/PageLink';
import { type Column, PagedTable, pageParams } from '../components/Tables';
import { withSource } from '../components/WithSource';
import { countText } from '../data/format';
import { boardUrl } from '../state/links';
import { useQuestion } from '../state/useQuestion';
import { useSearch } from '../state/useSearch';

export const RegistryPage = withSource(Registry);

const STATES = [
  { value: 'undeclared', label: 'Seen, not declared' },
  { value: 'unseen', label: 'Declared, not seen' },
  { value: 'as declared', label: 'Declared and seen' },
] as const;

function Registry() {
  const { list, text, page } = useSearch();
  const answer = useQuestion((client, params) => client.registry(params), {
    search: text('search') || undefined,
    'tenant-id': list('tenant-id'),
    owner: list('owner'),
    state: list('state'),
    ...pageParams(page),
  });
  return (
    <Stack direction="column" gap={2}>
      <Filters again={answer.again}>
        <SearchFilter placeholder="Model, tenant or owner" />
        <MenuFilter label="Tenant" name="tenant-id" menu="tenants" />
        <MenuFilter label="Owner" name="owner" menu="owners" />
        <ListFilter label="State" name="state" options={STATES} />
      </Filters>
      <AnswerView answer={answer}>
        {({ rows, total, states, warnings }) => (
          <>
            <Warnings texts={warnings} />
            <Facts facts={STATES.map(({ value, label }) => [label, countText(states[value])] as const)} />
            <PagedTable columns={COLUMNS} rows={rows} total={total} rowId={rowId} />
          </>
        )}
      </AnswerView>
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
