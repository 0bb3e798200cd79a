/**
 * Ad hoc filters as parameters of a request. The backend takes values that are wanted, so that every other
 * operator is replaced by those values of the label's menu that it lets through.
 */
import type { AdHocVariableFilter } from '@grafana/data';
import { type Observable, forkJoin, map, of } from 'rxjs';
import { Failure, type Parameter } from '../api';

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

/** Whether a value passes, by operator; those of one value or several are told apart by `valuesOf`. */
const OPERATORS: Record<string, (wanted: string[]) => (value: string) => boolean> = {
  '=': (wanted) => (value) => wanted.includes(value),
  '=|': (wanted) => (value) => wanted.includes(value),
  '!=': (wanted) => (value) => !wanted.includes(value),
  '!=|': (wanted) => (value) => !wanted.includes(value),
  '=~': ([pattern = '']) => matcher(pattern),
  '!~': ([pattern = '']) => {
    const matches = matcher(pattern);
    return (value) => !matches(value);
  },
};

/** Whole values, as in PromQL; Failure for what is no regular expression. */
function matcher(pattern: string): (value: string) => boolean {
  try {
    const expression = new RegExp(`^(?:${pattern})$`, 'su');
    return (value) => expression.test(value);
  } catch {
    throw new Failure('refused', `The filter ${pattern} is no regular expression.`);
  }
}

const namesValues = ({ operator }: AdHocVariableFilter) => operator === '=' || operator === '=|';

const valuesOf = ({ operator, value, values }: AdHocVariableFilter): string[] =>
  operator.endsWith('|') && values?.length ? values : [value];

/** What narrows one parameter: the values that a filter lets through. */
export interface Narrowing {
  name: string;
  values: string[];
}

/**
 * Each filter as the values of its parameter. `valuesIn` gives all values of a menu. Failure for a filter that no
 * parameter can say: one that is ignored shows wrong data.
 */
export function narrowings(
  filters: readonly AdHocVariableFilter[],
  parameters: readonly Parameter[],
  valuesIn: (menu: string) => Observable<string[]>,
): Observable<Narrowing[]> {
  const each = filters.map((filter) => {
    const name = parameterOf(filter, parameters);
    const passes = OPERATORS[filter.operator]?.(valuesOf(filter)) ?? refuse(filter);
    return namesValues(filter)
      ? of({ name, values: valuesOf(filter) })
      : valuesIn(labelMenu(filter.key) ?? '').pipe(
          map((values) => ({ name, values: values.filter((value) => passes(value)) })),
        );
  });
  return each.length ? forkJoin(each) : of([]);
}

function parameterOf({ key }: AdHocVariableFilter, parameters: readonly Parameter[]): string {
  const name = LABELS[key]?.parameter;
  if (!name || !parameters.some((parameter) => parameter.name === name)) {
    throw new Failure('refused', `The filter on ${key} cannot be applied here: there is no such parameter.`);
  }
  return name;
}

function refuse({ key, operator }: AdHocVariableFilter): never {
  const allowed = Object.keys(OPERATORS).join(', ');
  throw new Failure('refused', `The filter on ${key} has the operator ${operator}; allowed: ${allowed}.`);
}

/** `params` with the values that all of them let through; undefined where nothing is left. */
export function narrowed(
  params: Record<string, string[]>,
  all: readonly Narrowing[],
): Record<string, string[]> | undefined {
  const result = { ...params };
  for (const { name, values } of all) {
    const left = values.filter((value) => result[name]?.includes(value) ?? true);
    if (left.length === 0) {
      return undefined;
    }
    result[name] = left;
  }
  return result;
}

/** What ad hoc filters leave in a menu; those that name no values narrow nothing. */
export function menuNarrowing(filters: readonly AdHocVariableFilter[]): Record<string, string[]> {
  const entries = filters.flatMap((filter): Array<[string, string[]]> => {
    const name = LABELS[filter.key]?.parameter;
    const values = valuesOf(filter).filter((value) => value !== '');
    return name && namesValues(filter) && values.length ? [[name, values]] : [];
  });
  return Object.fromEntries(entries);
}
