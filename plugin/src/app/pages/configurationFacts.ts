/** What the check of the configuration says; the data source's own check says the same in a sentence. */
import type { Identity } from '../../api';
import { versionWarning } from '../../api/versions';
import type { Source } from '../state/connection';

export interface Fact {
  name: string;
  value: string;
}

export function factsOf(identity: Identity, source: Source): Fact[] {
  return [
    { name: 'Data source', value: source.name },
    { name: 'Version of the plugin', value: source.version },
    { name: 'Version of the backend', value: identity.version },
    { name: 'You are', value: `${identity.name} (${identity.role})` },
    { name: 'Tenants that you may see', value: String(identity.tenants) },
    { name: 'Models that you may see', value: String(identity.models) },
  ];
}

export function warningsOf(identity: Identity, pluginVersion: string): string[] {
  const difference = versionWarning(pluginVersion, identity.version);
  return difference ? [difference, ...identity.warnings] : identity.warnings;
}
