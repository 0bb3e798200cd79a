import { Stack } from '@grafana/ui';
import { useMemo } from 'react';
import type { IncidentRow } from '../../api';
import { AnswerPages } from '../components/AnswerTable';
import { WordBadge } from '../components/Badges';
import { Chart } from '../components/Chart';
import { Filters, ListChoice, ListFilter, MenuFilter, RangeFilter } from '../components/Filters';
import { PageLink } from '../components/PageLink';
import { type Column, pageParams } from '../components/Tables';
import { withSource } from '../components/WithSource';
import { durationText, momentText } from '../data/format';
import { ORDERS, STATUSES, subjectText, timelineFrames } from '../data/incidents';
import { incidentUrl } from '../state/links';
import { useQuestion } from '../state/useQuestion';
import { type ChosenRange, useRange, useSearch } from '../state/useSearch';

export const IncidentsPage = withSource(Incidents);

function Incidents() {
  const { list, text, page } = useSearch();
  const chosen = useRange('1d');
  const answer = useQuestion((client, params) => client.incidents(params), {
    'tenant-id': list('tenant-id'),
    'model-name': list('model-name'),
    status: list('status'),
    order: text('order') || 'worst',
    ...chosen.params,
    ...pageParams(page),
  });
  return (
    <Stack direction="column" gap={2}>
      <Filters again={answer.again}>
        <MenuFilter label="Tenant" name="tenant-id" menu="tenants" />
        <MenuFilter
          label="Model"
          name="model-name"
          menu="models"
          params={{ 'tenant-id': list('tenant-id') }}
        />
        <ListFilter label="Status" name="status" options={STATUSES} />
        <ListChoice label="Order" name="order" options={ORDERS} initial="worst" />
        <RangeFilter chosen={chosen} />
      </Filters>
      <AnswerPages
        answer={answer}
        rowsOf={({ incidents }) => incidents}
        columns={COLUMNS}
        rowId={({ id }) => id}
        empty="There are no incidents in this time and selection"
        above={({ incidents }) => <Timeline incidents={incidents} chosen={chosen} />}
      />
    </Stack>
  );
}

const LANE_HEIGHT = 28;
const TIMELINE_FRAME = 110;

function Timeline({ incidents, chosen }: { incidents: IncidentRow[]; chosen: ChosenRange }) {
  const end = chosen.range.to.valueOf();
  const frames = useMemo(() => timelineFrames(incidents, end), [incidents, end]);
  return (
    <Chart
      title="Incidents of this page over time"
      panel="state-timeline"
      frames={frames}
      range={chosen.range}
      height={TIMELINE_FRAME + LANE_HEIGHT * frames.length}
      options={{ showValue: 'auto', mergeValues: false, rowHeight: 0.8, legend: { showLegend: false } }}
    />
  );
}

const COLUMNS: ReadonlyArray<Column<IncidentRow>> = [
  { id: 'severity', header: 'Severity', cell: ({ severity }) => <WordBadge word={severity} /> },
  { id: 'status', header: 'Status', cell: ({ status }) => <WordBadge word={status} /> },
  {
    id: 'alerts',
    header: 'Alerts',
    cell: ({ id, alertnames }) => <PageLink to={incidentUrl(id)}>{alertnames}</PageLink>,
  },
  { id: 'subject', header: 'Model and tenant', cell: subjectText },
  { id: 'starts_at', header: 'Began', cell: ({ starts_at }) => momentText(starts_at) },
  { id: 'duration', header: 'Lasted', cell: ({ duration_seconds }) => durationText(duration_seconds) },
  {
    id: 'acknowledged',
    header: 'Acknowledged by',
    cell: ({ acknowledged_by, planned }) => acknowledged_by || (planned ? 'Planned' : ''),
  },
];
