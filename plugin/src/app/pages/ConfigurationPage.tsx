import { Badge, Button, Field, InteractiveTable, LinkButton, Select, Stack } from '@grafana/ui';
import { Warnings, AnswerView } from '../components/AnswerView';
import { Findings } from '../components/Findings';
import { NoSource } from '../components/NoSource';
import { type Source, useConnection } from '../state/connection';
import { useAnswer } from '../state/useAnswer';
import { type Fact, factsOf, warningsOf } from './configurationFacts';

export function ConfigurationPage() {
  const { source } = useConnection();
  return source ? <Check source={source} /> : <NoSource />;
}

/** Asks the backend with the data source's token who is asking; nothing less proves that the token works. */
function Check({ source }: { source: Source }) {
  const answer = useAnswer((client) => client.identity(), []);
  return (
    <Stack direction="column" gap={2}>
      <SourceChoice source={source} />
      <AnswerView answer={answer}>
        {(identity) => (
          <Stack direction="column" gap={2}>
            <div>
              <Badge color="green" icon="check" text="The backend answers and accepts the token" />
            </div>
            <Warnings texts={warningsOf(identity, source.version)} />
            <InteractiveTable
              columns={COLUMNS}
              data={factsOf(identity, source)}
              getRowId={(fact) => fact.name}
            />
          </Stack>
        )}
      </AnswerView>
      <Findings />
      <Stack>
        <Button variant="secondary" icon="sync" onClick={answer.again}>
          Check again
        </Button>
        <LinkButton variant="secondary" icon="cog" href={`/connections/datasources/edit/${source.uid}`}>
          Edit the data source
        </LinkButton>
      </Stack>
    </Stack>
  );
}

const COLUMNS = [
  { id: 'name' as const, header: '' },
  { id: 'value' as const, header: '' },
] satisfies Array<{ id: keyof Fact; header: string }>;

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
