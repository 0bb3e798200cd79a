/** A template service as Grafana's: `options` are what it hands over when All is chosen. */
import type { ScopedVars } from '@grafana/data';

export interface BoardVariable {
  name: string;
  value: string | string[];
  options?: string[];
}

type Format = (value: string | string[], variable: { name: string }) => string;

export const templateSrv = (variables: BoardVariable[]) => ({
  getVariables: () => variables.map(({ name, value }) => ({ name, current: { value } })),
  replace: (text: string, scopedVars: ScopedVars, format: Format) =>
    text.replace(/\$\{?(\w+)\}?/g, (whole, name: string) => {
      const variable = variables.find((each) => each.name === name);
      const scoped = scopedVars[name]?.value as string | undefined;
      const value = scoped ?? (variable?.value === '$__all' ? variable.options : variable?.value);
      return value === undefined ? whole : format(value, { name });
    }),
});
