/** The backend's catalogue: what can be asked, and by which parameters. */
import { type Observable, combineLatest, shareReplay } from 'rxjs';
import type { Client, Metric, Parameter, SourceDescription, Table } from '../api';
import { Failure } from '../api';
import type { Kind, Query } from './query';

export interface Catalogue {
  metrics: Metric[];
  tables: Table[];
  annotations: SourceDescription[];
  menus: SourceDescription[];
}

/** What one query reads. */
export type Source =
  | { kind: 'series'; metric: Metric; parameters: Parameter[] }
  | { kind: 'table'; table: Table; parameters: Parameter[] }
  | { kind: 'annotations'; name: string; parameters: Parameter[] };

/** Asked once for a data source, and again after a failure. */
export function catalogueOf(client: Client): Observable<Catalogue> {
  return combineLatest({
    metrics: client.metrics(),
    tables: client.tables(),
    annotations: client.annotationSources(),
    menus: client.menus(),
  }).pipe(shareReplay({ bufferSize: 1, refCount: true }));
}

/** The source of a query; Failure where the catalogue has none of that name. */
export function sourceOf(catalogue: Catalogue, { kind, name }: Pick<Query, 'kind' | 'name'>): Source {
  if (kind === 'series') {
    const metric = named(catalogue.metrics, kind, name);
    return { kind, metric, parameters: metric.parameters };
  }
  if (kind === 'table') {
    const table = named(catalogue.tables, kind, name);
    return { kind, table, parameters: table.parameters };
  }
  const { parameters } = named(catalogue.annotations, kind, name);
  return { kind, name, parameters };
}

const NOUNS: Record<Kind, string> = {
  series: 'metric',
  table: 'table',
  annotations: 'source of annotations',
};

function named<T extends { name: string }>(entries: T[], kind: Kind, name: string): T {
  const entry = entries.find((each) => each.name === name);
  if (!entry) {
    const allowed = entries.map((each) => each.name).join(', ');
    throw new Failure('refused', `There is no ${NOUNS[kind]} ${name}; allowed: ${allowed}.`);
  }
  return entry;
}

/** Those of `params` that are among the parameters. */
export function suiting(params: Query['params'], parameters: readonly Parameter[]): Query['params'] {
  const known = new Set(parameters.map(({ name }) => name));
  return Object.fromEntries(Object.entries(params).filter(([name]) => known.has(name)));
}

/** Which menu has the values of a parameter. */
const MENU_OF_PARAMETER: Record<string, string> = {
  'model-name': 'models',
  'tenant-id': 'tenants',
  'model-version': 'versions',
  baseline: 'versions',
  candidate: 'versions',
  kind: 'kinds',
  signal: 'signals',
  slo: 'slos',
};

export function menuFor(catalogue: Catalogue, parameter: string): SourceDescription | undefined {
  return catalogue.menus.find(({ name }) => name === MENU_OF_PARAMETER[parameter]);
}
