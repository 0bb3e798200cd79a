import { css } from '@emotion/css';
import type { GrafanaTheme2 } from '@grafana/data';
import { Stack, Text, useStyles2 } from '@grafana/ui';
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

/** Sentences in a list. Grafana takes the padding off every list, and the signs with it. */
export function Bullets({ children }: { children: ReactNode }) {
  return <ul className={useStyles2(bulletStyles)}>{children}</ul>;
}

const bulletStyles = (theme: GrafanaTheme2) => css({ paddingLeft: theme.spacing(3), margin: 0 });
