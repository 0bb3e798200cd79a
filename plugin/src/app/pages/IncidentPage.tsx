import { LinkButton, Stack, Text } from '@grafana/ui';
import { useState } from 'react';
import { useParams } from 'react-router';
import type { Incident } from '../../api';
import { AnswerView } from '../components/AnswerView';
import { WordBadge } from '../components/Badges';
import { Bullets, Facts, Section } from '../components/Facts';
import { withSource } from '../components/WithSource';
import { durationText, momentText } from '../data/format';
import { subjectText } from '../data/incidents';
import { boardUrl, pageUrl } from '../state/links';
import { useAnswer } from '../state/useAnswer';
import { IncidentActions } from './incident/IncidentActions';
import { AlertTable, MovedSignals, VersionChanges } from './incident/IncidentTables';

export const IncidentPage = withSource(OneIncident);

function OneIncident() {
  const { id = '' } = useParams();
  const answer = useAnswer((client) => client.incident(id), [id]);
  return (
    <Stack direction="column" gap={2}>
      <div>
        <LinkButton variant="secondary" icon="arrow-left" href={pageUrl('incidents')}>
          All incidents
        </LinkButton>
      </div>
      <AnswerView answer={answer}>
        {(incident) => <Detail key={incident.id} incident={incident} again={answer.again} />}
      </AnswerView>
    </Stack>
  );
}

function Detail({ incident, again }: { incident: Incident; again: () => void }) {
  // The time of the page's questions stays, so that they are not asked anew with every rendering.
  const [now] = useState(() => Date.now());
  return (
    <Stack direction="column" gap={3}>
      <Text element="h2" variant="h3">
        {incident.alertnames}
      </Text>
      <Facts facts={factsOf(incident)} />
      <Stack>
        <LinkButton variant="secondary" href={boardUrl(incident.model_name, incident.tenant_id)}>
          Board
        </LinkButton>
      </Stack>
      <Section title="What was said and done">
        <Said incident={incident} />
        <IncidentActions incident={incident} again={again} />
      </Section>
      <Section title="Alerts">
        <AlertTable alerts={incident.alerts} />
      </Section>
      <Section title="Versions deployed around it">
        <VersionChanges incident={incident} now={now} />
      </Section>
      <Section title="Signals that moved">
        <MovedSignals incident={incident} now={now} />
      </Section>
    </Stack>
  );
}

function factsOf(incident: Incident) {
  return [
    ['Severity', <WordBadge key="severity" word={incident.severity} />],
    ['Status', <WordBadge key="status" word={incident.status} />],
    ['Model and tenant', subjectText(incident)],
    ['Began', momentText(incident.starts_at)],
    ['Ended', incident.ends_at === null ? 'Not yet' : momentText(incident.ends_at)],
    ['Lasted', durationText(incident.duration_seconds)],
    ['Acknowledged by', incident.acknowledged_by || 'Nobody'],
    ...(incident.flapping ? [['Flapping', incident.flapping] as const] : []),
    ...(incident.planned ? [['Planned', 'Every alert began in a declared window'] as const] : []),
  ] as const;
}

/** Acknowledgements, comments and silences by time. */
function Said({ incident }: { incident: Incident }) {
  const entries = [
    ...incident.acknowledgements.map(({ at, by, note }) => ({ at, by, did: 'acknowledged', text: note })),
    ...incident.comments.map(({ at, by, comment }) => ({ at, by, did: 'commented', text: comment })),
    ...incident.silences.map(({ starts_at, ends_at, by, comment, status }) => ({
      at: starts_at,
      by,
      did: `silenced until ${momentText(ends_at)} (${status})`,
      text: comment,
    })),
  ].sort((one, other) => one.at - other.at);
  if (entries.length === 0) {
    return <Text color="secondary">Nothing yet.</Text>;
  }
  return (
    <Bullets>
      {entries.map(({ at, by, did, text }, index) => (
        <li key={index}>
          {`${momentText(at)}: ${by} ${did}`}
          {text && `: ${text}`}
        </li>
      ))}
    </Bullets>
  );
}
