import { Stack, Text } from '@grafana/ui';
import type { AlertRow, AnnotationRow, AnnotationRows, Incident, MovedSignal } from '../../../api';
import { AnswerTable } from '../../components/AnswerTable';
import { WordBadge } from '../../components/Badges';
import { OutsideLink, PageLink } from '../../components/PageLink';
import { type Column, SortedTable } from '../../components/Tables';
import { signalId, signalUrl } from '../../data/drift';
import { countText, momentText, numberText } from '../../data/format';
import { nearest, surroundings } from '../../data/incidents';
import { safeUrl } from '../../state/links';
import { useQuestion } from '../../state/useQuestion';

const MOST_CHANGES = 10;

export function AlertTable({ alerts }: { alerts: AlertRow[] }) {
  return (
    <SortedTable
      columns={ALERTS}
      rows={alerts}
      rowId={({ fingerprint, starts_at }) => `${fingerprint} ${starts_at}`}
    />
  );
}

const ALERTS: ReadonlyArray<Column<AlertRow>> = [
  {
    id: 'severity',
    header: 'Severity',
    value: ({ severity }) => severity,
    cell: ({ severity }) => <WordBadge word={severity} />,
  },
  {
    id: 'status',
    header: 'Status',
    value: ({ status }) => status,
    cell: ({ status }) => <WordBadge word={status} />,
  },
  { id: 'alert', header: 'Alert', value: ({ alertname }) => alertname },
  { id: 'version', header: 'Version', value: ({ model_version }) => model_version },
  { id: 'description', header: 'What it says', cell: ({ description, summary }) => description || summary },
  {
    id: 'began',
    header: 'Began',
    value: ({ starts_at }) => starts_at,
    cell: ({ starts_at }) => momentText(starts_at),
  },
  {
    id: 'ended',
    header: 'Ended',
    value: ({ ends_at }) => ends_at,
    cell: ({ ends_at }) => momentText(ends_at),
  },
  { id: 'links', header: 'Go to', cell: (alert) => <AlertLinks alert={alert} /> },
];

function AlertLinks({ alert }: { alert: AlertRow }) {
  const links = [
    ['Runbook', safeUrl(alert.runbook_url)],
    ['Board', safeUrl(alert.dashboard_url)],
  ] as const;
  return (
    <Stack gap={1}>
      {links.map(
        ([text, href]) =>
          href && (
            <OutsideLink key={text} href={href}>
              {text}
            </OutsideLink>
          ),
      )}
    </Stack>
  );
}

interface Around {
  incident: Incident;
  now: number;
}

export function VersionChanges({ incident, now }: Around) {
  const answer = useQuestion(
    (client, params) => client.annotations('version_changes', params),
    aroundOf({ incident, now }),
  );
  const changesOf = ({ rows }: AnnotationRows) => nearest(rows, incident.starts_at, MOST_CHANGES);
  return (
    <AnswerTable
      isPart
      answer={answer}
      rowsOf={(given) => changesOf(given).shown}
      above={(given) => <Hidden count={changesOf(given).hidden} />}
      columns={CHANGES}
      rowId={({ time, title, text }) => `${time} ${title} ${text}`}
      sortParameter="sort-versions"
      empty="No version changed from an hour before it on"
    />
  );
}

function Hidden({ count }: { count: number }) {
  return count > 0 ? (
    <Text color="secondary">
      {`The ${MOST_CHANGES} nearest to its beginning; ${countText(count)} others from an hour before it on are not shown.`}
    </Text>
  ) : null;
}

const CHANGES: ReadonlyArray<Column<AnnotationRow>> = [
  { id: 'time', header: 'When', value: ({ time }) => time, cell: ({ time }) => momentText(time) },
  { id: 'title', header: 'What', value: ({ title }) => title },
  { id: 'text', header: 'Details', cell: ({ text }) => text },
];

export function MovedSignals({ incident, now }: Around) {
  const { 'model-name': model, to } = aroundOf({ incident, now });
  const answer = useQuestion((client, params) => client.movedSignals(params), {
    'model-name': model,
    to,
    window: '1h',
    limit: 20,
  });
  return (
    <AnswerTable
      isPart
      answer={answer}
      rowsOf={({ rows }) => rows.filter(({ moved }) => moved)}
      columns={MOVED}
      rowId={signalId}
      sortParameter="sort-signals"
      empty="No signal of the model is beyond its own limit"
    />
  );
}

const MOVED: ReadonlyArray<Column<MovedSignal>> = [
  {
    id: 'signal',
    header: 'Signal',
    value: ({ signal }) => signal,
    cell: (row) => <PageLink to={signalUrl(row)}>{row.signal}</PageLink>,
  },
  { id: 'kind', header: 'Kind', value: ({ kind }) => kind },
  { id: 'version', header: 'Version', value: ({ model_version }) => model_version },
  { id: 'moved', header: 'By', value: ({ moved }) => moved },
  {
    id: 'beyond',
    header: 'Times its limit',
    value: ({ beyond }) => beyond,
    cell: ({ beyond }) => numberText(beyond),
    descending: true,
  },
];

function aroundOf({ incident, now }: Around) {
  const { from, to } = surroundings(incident, now);
  const { model_name: model, tenant_id: tenant } = incident;
  return {
    'model-name': model || undefined,
    'tenant-id': tenant && !tenant.startsWith('__') ? tenant : undefined,
    from,
    to,
  };
}
