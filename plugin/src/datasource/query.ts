import type { DataQuery } from '@grafana/data';

/** What a query reads: series of a metric, rows of a table, or annotations of a source. */
export type Kind = 'series' | 'table' | 'annotations';

export interface Query extends DataQuery {
  kind: Kind;
  /** Name in the backend's catalogue. */
  name: string;
  /** How series are given: a frame each, or all as the rows of one table. */
  format: 'time_series' | 'table';
  /** Values of parameters, by name; texts may hold variables. */
  params: Record<string, string[]>;
  /** Further values of parameters, as they are: `$name` is no variable in them. Generated boards have them. */
  fixed?: Record<string, string[]>;
}

/** A variable's query: a menu, narrowed by parameters. */
export interface MenuQuery extends DataQuery {
  menu: string;
  params: Record<string, string[]>;
}

export const DEFAULT_QUERY: Omit<Query, 'refId'> = {
  kind: 'series',
  name: 'latency',
  format: 'time_series',
  params: {},
};

export const DEFAULT_ANNOTATION: Omit<Query, 'refId'> = {
  ...DEFAULT_QUERY,
  kind: 'annotations',
  name: 'incidents',
};

/** A query with what an older or hand-written one leaves out. */
export function completed(query: Partial<Query> & { refId: string }): Query {
  return { ...DEFAULT_QUERY, ...query, params: query.params ?? {} };
}

/** The same of a variable's. */
export function completedMenu(query: Partial<MenuQuery> | undefined): Pick<MenuQuery, 'menu' | 'params'> {
  return { menu: query?.menu ?? 'models', params: query?.params ?? {} };
}

/** A query in a line, for the history of Explore and for collapsed rows. */
export function displayText({ kind, name, params, fixed }: Query): string {
  const given = Object.entries({ ...params, ...fixed }).filter(([, values]) => values.length > 0);
  const narrowed = given.map(([parameter, values]) => `${parameter}=${values.join(', ')}`);
  return [kind === 'series' ? name : `${kind}: ${name}`, ...narrowed].join(' · ');
}
