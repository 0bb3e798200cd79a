import { Stack } from '@grafana/ui';
import type { TriageRow } from '../../api';
import { AnswerPages } from '../components/AnswerTable';
import { WordBadge } from '../components/Badges';
import { PageLink } from '../components/PageLink';
import { SubjectFilters, useSubjectParams } from '../components/SubjectFilters';
import type { Column } from '../components/Tables';
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

export const TriagePage = withSource(Triage);

function Triage() {
  const answer = useQuestion((client, params) => client.triage(params), useSubjectParams('reason'));
  return (
    <Stack direction="column" gap={2}>
      <SubjectFilters again={answer.again} label="Reason" name="reason" options={REASONS} />
      <AnswerPages
        answer={answer}
        rowsOf={({ rows }) => rows}
        columns={COLUMNS}
        rowId={triageId}
        empty="Nothing needs attention among what you may see and have chosen"
      />
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
