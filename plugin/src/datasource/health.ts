import type { TestDataSourceResponse } from '@grafana/data';
import type { Identity } from '../api';
import { versionWarning, whoAsks } from '../api/identity';

/** What the check of the data source says: version, whose identity, how much is visible. */
export function healthOf(identity: Identity, pluginVersion: string): TestDataSourceResponse {
  const { version, tenants, models } = identity;
  const seen = `${plural(tenants, 'tenant')} and ${plural(models, 'model')} are visible`;
  const message = `Backend ${version} answers to ${whoAsks(identity)}: ${seen}.`;
  const warning = versionWarning(pluginVersion, version);
  return warning ? { status: 'warning', message: `${message} ${warning}` } : { status: 'success', message };
}

const plural = (count: number, noun: string) => `${count} ${noun}${count === 1 ? '' : 's'}`;
