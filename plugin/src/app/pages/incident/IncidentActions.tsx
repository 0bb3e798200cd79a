import { Alert, Button, Field, Input, RadioButtonGroup, Stack, Text, TextArea } from '@grafana/ui';
import { type FormEvent, useState } from 'react';
import type { Observable } from 'rxjs';
import type { Client, Incident, SilenceAnswer } from '../../../api';
import { FailureView } from '../../components/AnswerView';
import { momentText } from '../../data/format';
import { silenceOf } from '../../data/incidents';
import { ALL_TENANTS } from '../../state/links';
import { useWrite } from '../../state/useWrite';
import { currentUser } from '../../state/user';

type Action = 'acknowledge' | 'comment' | 'silence';

const ACTIONS: Array<{ value: Action; label: string }> = [
  { value: 'acknowledge', label: 'Acknowledge' },
  { value: 'comment', label: 'Comment' },
  { value: 'silence', label: 'Silence' },
];

interface Written {
  by: string;
  text: string;
  duration: string;
}

/** What an editor may do about an incident. */
export function IncidentActions({ incident, again }: { incident: Incident; again: () => void }) {
  const user = currentUser();
  const [action, setAction] = useState<Action>('acknowledge');
  if (!user.mayWrite) {
    return <Text color="secondary">Acknowledging, commenting and silencing takes the role Editor.</Text>;
  }
  return (
    <Stack direction="column" gap={1}>
      <div>
        <RadioButtonGroup aria-label="What to do" options={ACTIONS} value={action} onChange={setAction} />
      </div>
      <ActionForm key={action} action={action} incident={incident} by={user.name} again={again} />
    </Stack>
  );
}

interface FormProps {
  action: Action;
  incident: Incident;
  by: string;
  again: () => void;
}

function ActionForm({ action, incident, by, again }: FormProps) {
  const [text, setText] = useState('');
  const [duration, setDuration] = useState('2h');
  const [silencedUntil, setSilencedUntil] = useState<number>();
  const { isPending, failure, send } = useWrite();
  const submit = (event: FormEvent) => {
    event.preventDefault();
    send(
      (client) => asked(client, action, incident, { by, text: text.trim(), duration }),
      (answer) => {
        setText('');
        setSilencedUntil(action === 'silence' ? (answer as SilenceAnswer).ends_at : undefined);
        again();
      },
    );
  };
  const needsText = action !== 'acknowledge';
  const label = action === 'acknowledge' ? 'Note' : action === 'comment' ? 'Comment' : 'Reason';
  return (
    <form onSubmit={submit}>
      {action === 'silence' && (
        <Field label="For how long" htmlFor="duration" description={scopeOf(incident)}>
          <Input
            id="duration"
            width={12}
            value={duration}
            onChange={(event) => setDuration(event.currentTarget.value)}
          />
        </Field>
      )}
      <Field label={label} htmlFor="text" required={needsText}>
        <TextArea
          id="text"
          rows={2}
          maxLength={2000}
          value={text}
          onChange={(event) => setText(event.currentTarget.value)}
        />
      </Field>
      {failure && <FailureView failure={failure} />}
      {silencedUntil !== undefined && (
        <Alert severity="success" title={`Silenced until ${momentText(silencedUntil)}`}>
          It is listed here as soon as Alertmanager has suppressed the alerts.
        </Alert>
      )}
      <Button type="submit" disabled={isPending || (needsText && !text.trim())}>
        {`${ACTIONS.find(({ value }) => value === action)?.label} as ${by}`}
      </Button>
    </form>
  );
}

function asked(client: Client, action: Action, incident: Incident, written: Written): Observable<unknown> {
  const { by, text, duration } = written;
  if (action === 'acknowledge') {
    return client.acknowledge(incident.id, { by, note: text });
  }
  if (action === 'comment') {
    return client.comment(incident.id, { by, comment: text });
  }
  const { tenant_id: tenant } = incident;
  const body = silenceOf(incident, { duration, by, comment: text });
  return client.silence(body, { 'tenant-id': tenant && tenant !== ALL_TENANTS ? tenant : undefined });
}

const scopeOf = ({ alertnames, tenant_id: tenant }: Incident) =>
  `Such as 2h. Silences ${alertnames}, ${tenant && tenant !== ALL_TENANTS ? `of tenant ${tenant} alone` : 'of all tenants'}.`;
