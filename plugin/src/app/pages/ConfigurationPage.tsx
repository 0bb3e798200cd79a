import { Badge, Button, Field, LinkButton, Select, Stack } from '@grafana/ui';
import { useState } from 'react';
import { AnswerView, FailureView, Warnings } from '../components/AnswerView';
import { Facts } from '../components/Facts';
import { Findings } from '../components/Findings';
import { NoSource } from '../components/NoSource';
import { type Source, useConnection } from '../state/connection';
import { useAnswer } from '../state/useAnswer';
import { factsOf, warningsOf } from './configurationFacts';

export function ConfigurationPage() {
  const { source } = useConnection();
  return source ? <Check source={source} /> : <NoSource />;
}

/** Asks the backend with the data source's token who is asking; nothing less proves that the token works. */
function Check({ source }: { source: Source }) {
  const [turn, setTurn] = useState(0);
  return (
    <Stack direction="column" gap={2}>
      <SourceChoice source={source} />
      <Checked key={turn} source={source} />
      <Stack>
        <Button variant="secondary" icon="sync" onClick={() => setTurn(turn + 1)}>
          Check again
        </Button>
        <LinkButton variant="secondary" icon="cog" href={`/connections/datasources/edit/${source.uid}`}>
          Edit the data source
        </LinkButton>
      </Stack>
    </Stack>
  );
}

function Checked({ source }: { source: Source }) {
  const answer = useAnswer((client) => client.identity(), []);
  if (answer.state === 'failed') {
    return <FailureView failure={answer.failure} />;
  }
  return (
    <AnswerView answer={answer}>
      {(identity) => (
        <Stack direction="column" gap={2}>
          <div>
            <Badge color="green" icon="check" text="The backend answers and accepts the token" />
          </div>
          <Warnings texts={warningsOf(identity, source.version)} />
          <Facts facts={factsOf(identity, source)} />
          <Findings />
        </Stack>
      )}
    </AnswerView>
  );
}

function SourceChoice({ source }: { source: Source }) {
  const { sources, choose } = useConnection();
  if (sources.length < 2) {
    return null;
  }
  return (
    <Field label="Data source" htmlFor="source">
      <Select
        inputId="source"
        width={40}
        value={source.uid}
        options={sources.map(({ uid, name }) => ({ value: uid, label: name }))}
        onChange={({ value }) => value && choose(value)}
      />
    </Field>
  );
}
