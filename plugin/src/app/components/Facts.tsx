import { Stack, Text } from '@grafana/ui';
import type { ReactNode } from 'react';

/** Names with their values. */
export function Facts({ facts }: { facts: ReadonlyArray<readonly [string, ReactNode]> }) {
  return (
    <Stack direction="row" wrap="wrap" gap={3}>
      {facts.map(([name, value]) => (
        <Stack key={name} direction="column" gap={0}>
          <Text variant="bodySmall" color="secondary">
            {name}
          </Text>
          <div>{value}</div>
        </Stack>
      ))}
    </Stack>
  );
}

export function Section({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section aria-label={title}>
      <Stack direction="column" gap={1}>
        <Text element="h3" variant="h4">
          {title}
        </Text>
        {children}
      </Stack>
    </section>
  );
}
