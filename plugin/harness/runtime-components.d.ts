declare module '#runtime-components' {
  export function setPanelRenderer(renderer: unknown): void;
  export function setPluginPage(component: unknown): void;
}
