/** A sentence where plugin and backend are not of one version, which may differ in what they know. */
export function versionWarning(plugin: string, backend: string): string | undefined {
  return plugin === backend
    ? undefined
    : `The plugin is of version ${plugin} and the backend of ${backend}: bring both to one version.`;
}
