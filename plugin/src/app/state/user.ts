import { config } from '@grafana/runtime';

export interface User {
  name: string;
  /** Whether Grafana lets them write through the data source; the backend judges again. */
  mayWrite: boolean;
}

const WRITERS: ReadonlyArray<string> = ['Editor', 'Admin'];

export function currentUser(): User {
  const { login, email, orgRole = '', isGrafanaAdmin = false } = config.bootData?.user ?? {};
  return {
    name: login || email || 'somebody in Grafana',
    mayWrite: isGrafanaAdmin || WRITERS.includes(orgRole),
  };
}
