import { Stack } from '@grafana/ui';
import type { TriageRow } from '../../api';
import { AnswerView, Warnings } from '../components/AnswerView';
import { WordBadge } from '../components/Badges';
import { Filters, ListFilter, MenuFilter, SearchFilter } from '../components/Filters';
import { PageLink } from '../components/PageLink';
import { type Column, PagedTable, pageParams } from '../components/Tables';
import { withSource } from '../components/WithSource';
import {
  type Destination,
  REASONS,
  linksOf,
  modelText,
  reasonsOf,
  tenantText,
  triageId,
} from '../data/triage';
import { useQuestion } from '../state/useQuestion';
import { useSearch } from '../state/useSearch';

export const TriagePage = withSource(Triage);

function Triage() {
  const { list, text, page } = useSearch();
  const answer = useQuestion((client, params) => client.triage(params), {
    search: text('search') || undefined,
    'tenant-id': list('tenant-id'),
    owner: list('owner'),
    reason: list('reason'),
    ...pageParams(page),
  });
  return (
    <Stack direction="column" gap={2}>
      <Filters again={answer.again}>
        <SearchFilter placeholder="Model, tenant or owner" />
        <MenuFilter label="Tenant" name="tenant-id" menu="tenants" />
        <MenuFilter label="Owner" name="owner" menu="owners" />
        <ListFilter label="Reason" name="reason" options={REASONS} />
      </Filters>
      <AnswerView
        answer={answer}
        isEmpty={({ total }) => total === 0}
        empty="Nothing needs attention among what you may see and have chosen"
      >
        {({ rows, total, warnings }) => (
          <>
            <Warnings texts={warnings} />
            <PagedTable columns={COLUMNS} rows={rows} total={total} rowId={triageId} />
          </>
        )}
      </AnswerView>
    </Stack>
  );
}

const COLUMNS: ReadonlyArray<Column<TriageRow>> = [
  { id: 'severity', header: 'Severity', cell: ({ severity }) => <WordBadge word={severity} /> },
  { id: 'model', header: 'Model', cell: modelText },
  { id: 'tenant', header: 'Tenant', cell: tenantText },
  { id: 'owner', header: 'Owner', cell: ({ owner }) => owner },
  { id: 'reasons', header: 'Why', cell: (row) => <Destinations list={reasonsOf(row)} /> },
  {
    id: 'links',
    header: 'Go to',
    cell: (row) => (
      <Destinations list={linksOf(row)} about={`${modelText(row)}, ${tenantText(row)}`} inLine />
    ),
  },
];

interface DestinationsProps {
  list: Destination[];
  /** What short texts are about, for who hears and does not see the row. */
  about?: string;
  inLine?: boolean;
}

function Destinations({ list, about, inLine }: DestinationsProps) {
  return (
    <Stack direction={inLine ? 'row' : 'column'} gap={inLine ? 1 : 0} wrap="wrap">
      {list.map(({ text, to }) =>
        to ? (
          <PageLink key={text} to={to} label={about && `${text}: ${about}`}>
            {text}
          </PageLink>
        ) : (
          <span key={text}>{text}</span>
        ),
      )}
    </Stack>
  );
}
