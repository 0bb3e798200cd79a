/** What the check of the configuration says; the data source's own check says the same in a sentence. */
import type { Identity } from '../../api';
import { versionWarning, whoAsks } from '../../api/identity';
import { countText } from '../data/format';
import type { Source } from '../state/connection';

export const factsOf = (identity: Identity, source: Source) =>
  [
    ['Data source', source.name],
    ['Version of the plugin', source.version],
    ['Version of the backend', identity.version],
    ['You are', whoAsks(identity)],
    ['Tenants that you may see', countText(identity.tenants)],
    ['Models that you may see', countText(identity.models)],
  ] as const;

export function warningsOf(identity: Identity, pluginVersion: string): string[] {
  const difference = versionWarning(pluginVersion, identity.version);
  return difference ? [difference, ...identity.warnings] : identity.warnings;
}
