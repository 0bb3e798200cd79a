import { css } from '@emotion/css';
import type { GrafanaTheme2 } from '@grafana/data';
import { useStyles2 } from '@grafana/ui';
import type { ReactNode } from 'react';
import { Link } from 'react-router';

/** A link that stays inside of Grafana. */
export function PageLink({ to, children, label }: { to: string; children: ReactNode; label?: string }) {
  const styles = useStyles2(stylesOf);
  return (
    <Link to={to} className={styles} aria-label={label}>
      {children}
    </Link>
  );
}

/** A link out of Grafana, such as to a runbook. */
export function OutsideLink({ href, children }: { href: string; children: ReactNode }) {
  const styles = useStyles2(stylesOf);
  return (
    <a href={href} className={styles} target="_blank" rel="noreferrer noopener">
      {children}
    </a>
  );
}

const stylesOf = (theme: GrafanaTheme2) =>
  css({ color: theme.colors.text.link, '&:hover': { textDecoration: 'underline' } });
