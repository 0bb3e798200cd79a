/** Parameters of a request: variables of the board, ad hoc filters, the time range, as far as a source takes them. */
import type { AdHocVariableFilter, ScopedVars, TimeRange } from '@grafana/data';
import { getTemplateSrv } from '@grafana/runtime';
import { Failure, type Parameter, type Params } from '../api';

/** How variables write All: Grafana's own word, and the expressions that boards use for it. */
const ALL = new Set(['$__all', '.+', '.*']);

/** Labels of ad hoc filters, each with its parameter and the menu of its values. */
const LABELS: Record<string, { parameter: string; menu: string }> = {
  model_name: { parameter: 'model-name', menu: 'models' },
  tenant_id: { parameter: 'tenant-id', menu: 'tenants' },
  model_version: { parameter: 'model-version', menu: 'versions' },
  kind: { parameter: 'kind', menu: 'kinds' },
  signal: { parameter: 'signal', menu: 'signals' },
};

export const FILTER_LABELS = Object.keys(LABELS);

/** The menu of values of a label; undefined for a label that cannot be filtered on. */
export const labelMenu = (label: string) => LABELS[label]?.menu;

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

/** `params` narrowed by ad hoc filters; undefined where nothing can match both. Failure for what cannot be sent. */
export function filtered(
  params: Record<string, string[]>,
  filters: readonly AdHocVariableFilter[],
  parameters: readonly Parameter[],
): Record<string, string[]> | undefined {
  const narrowed = { ...params };
  for (const filter of filters) {
    const name = filteredParameter(filter, parameters);
    const wanted = filter.operator === '=|' && filter.values?.length ? filter.values : [filter.value];
    narrowed[name] = wanted.filter((each) => narrowed[name]?.includes(each) ?? true);
    if (narrowed[name].length === 0) {
      return undefined;
    }
  }
  return narrowed;
}

/** The parameter that says a filter; Failure where there is none, for a filter that is ignored shows wrong data. */
function filteredParameter({ key, operator }: AdHocVariableFilter, parameters: readonly Parameter[]): string {
  const name = LABELS[key]?.parameter;
  if (!name || !parameters.some((parameter) => parameter.name === name)) {
    throw new Failure('refused', `The filter on ${key} cannot be applied here: there is no such parameter.`);
  }
  if (operator !== '=' && operator !== '=|') {
    throw new Failure('refused', `The filter on ${key} has the operator ${operator}; allowed: = and =|.`);
  }
  return name;
}

/** What ad hoc filters leave in a menu; those that no parameter can say narrow nothing. */
export function narrowing(filters: readonly AdHocVariableFilter[]): Record<string, string[]> {
  const entries = filters.flatMap(({ key, operator, value }): Array<[string, string[]]> => {
    const name = LABELS[key]?.parameter;
    return name && operator === '=' && value !== '' ? [[name, [value]]] : [];
  });
  return Object.fromEntries(entries);
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
