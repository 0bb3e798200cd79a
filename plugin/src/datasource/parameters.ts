/** Parameters of a request: variables of the board and the time range, as far as a source takes them. */
import type { ScopedVars, TimeRange } from '@grafana/data';
import { getTemplateSrv } from '@grafana/runtime';
import { Failure, type Parameter, type Params } from '../api';

/** How variables write All: Grafana's own word, and the expressions that boards use for it. */
const ALL = new Set(['$__all', '.+', '.*']);

/** The values of each parameter, variables replaced. One of which All is chosen is left out. */
export function interpolated(
  params: Record<string, string[]>,
  scopedVars: ScopedVars,
): Record<string, string[]> {
  const entries = Object.entries(params).flatMap(([name, texts]): Array<[string, string[]]> => {
    const values = texts.filter((text) => text !== '').flatMap((text) => expanded(name, text, scopedVars));
    return values.length === 0 || values.some((value) => ALL.has(value))
      ? []
      : [[name, [...new Set(values)]]];
  });
  return Object.fromEntries(entries);
}

/** The texts that one stands for: a variable may have several values. */
function expanded(name: string, text: string, scopedVars: ScopedVars): string[] {
  const lists: string[][] = [];
  const pattern = getTemplateSrv().replace(
    text,
    scopedVars,
    (value: string | string[], variable?: Variable) => {
      const values = isAll(variable, scopedVars) ? ['$__all'] : [value].flat().filter((each) => each !== '');
      if (values.length === 0) {
        throw new Failure('refused', `${name} has no value: the variable ${text} is empty.`);
      }
      lists.push(values.map(String));
      return `\u0000${lists.length - 1}\u0000`;
    },
  );
  return lists.reduce(
    (texts, values, index) =>
      texts.flatMap((each) => values.map((value) => each.replaceAll(`\u0000${index}\u0000`, () => value))),
    [pattern],
  );
}

interface Variable {
  name?: string;
}

/** Whether All is chosen. Grafana hands over every option then, which may be too many to send. */
function isAll(variable: Variable | undefined, scopedVars: ScopedVars): boolean {
  if (!variable?.name || scopedVars[variable.name]) {
    return false;
  }
  const chosen = getTemplateSrv()
    .getVariables()
    .find(({ name }) => name === variable.name) as { current?: { value?: string | string[] } } | undefined;
  return [chosen?.current?.value ?? []].flat().includes('$__all');
}

interface TimeOptions {
  range: TimeRange;
  maxDataPoints?: number;
}

/** The time range and the width of the panel, as far as a source has parameters for them. */
export function timeParams({ range, maxDataPoints }: TimeOptions, parameters: readonly Parameter[]): Params {
  const known = new Set(parameters.map(({ name }) => name));
  const times: Params = {
    from: range.from.valueOf(),
    to: range.to.valueOf(),
    maxDataPoints:
      maxDataPoints === undefined ? undefined : Math.max(1, Math.min(Math.floor(maxDataPoints), 11_000)),
  };
  return Object.fromEntries(Object.entries(times).filter(([name]) => known.has(name)));
}

/** Parameters that the board sets, and no editor shows. */
export const TIME_PARAMETERS = new Set(['from', 'to', 'maxDataPoints']);
