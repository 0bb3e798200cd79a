import type { Identity } from './answers';

/** Who asks: the user whom Grafana names, else whose token it is. */
export const whoAsks = ({ name, role, user }: Identity) =>
  user ? `${user.name} (${user.role}), by the token ${name}` : `${name} (${role})`;

/** A sentence where plugin and backend are not of one version, which may differ in what they know. */
export function versionWarning(plugin: string, backend: string): string | undefined {
  return plugin === backend
    ? undefined
    : `The plugin is of version ${plugin} and the backend of ${backend}: bring both to one version.`;
}
