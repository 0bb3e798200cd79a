import { type DataFrame, type DataQueryRequest, FieldType } from '@grafana/data';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { Failure, type Metric, type Table } from '../api';
import { FakeBackend } from '../testing/backend';
import { FROM, RANGE, TO, answersOf, dataSourceOf, target } from '../testing/datasource';
import { paramsOf, pathOf, recorded, recordedBackend } from '../testing/recorded';
import { type BoardVariable, templateSrv } from '../testing/variables';
import type { DataSource as DataSourceClass } from './DataSource';
import { DEFAULT_QUERY, type Query } from './query';

let backend: FakeBackend;
let variables: BoardVariable[] = [];
vi.mock('@grafana/runtime', () => ({
  getBackendSrv: () => backend,
  getTemplateSrv: () => templateSrv(variables),
}));
vi.mock('@grafana/ui', () => ({}));
const { DataSource } = await import('./DataSource');

const METRICS = (recorded('metrics').data as { metrics: Metric[] }).metrics;
const TABLES = (recorded('tables').data as { tables: Table[] }).tables;
/** Answered with an error here, for there is no Alertmanager. */
const ANSWERED = TABLES.filter(({ path }) => path !== 'silences');

let datasource: DataSourceClass;
beforeEach(() => {
  backend = recordedBackend();
  variables = [];
  datasource = dataSourceOf(DataSource);
});

const ask = (targets: Query[], rest: Partial<DataQueryRequest<Query>> = {}) =>
  answersOf(datasource, targets, rest);
const frames = async (query: Partial<Query>) => (await ask([target(query)])).data as DataFrame[];
const sent = (path: string) => backend.requests.filter(({ url }) => pathOf(url) === path).map(paramsOf);
const field = (frame: DataFrame | undefined, name: string) => {
  const found = frame?.fields.find((each) => each.name === name);
  if (!found) {
    return expect.fail(`there is no field ${name}`);
  }
  return found;
};

describe('series', () => {
  it.each(METRICS)('of $name are a frame each: time, value and what belongs to it', async ({ name }) => {
    const answer = recorded(`metrics/${name}`).data as {
      data: Array<{ name: string; labels: object; data: Array<Record<string, number | null>> }>;
    };
    const given = await frames({ name });
    expect(given.map((frame) => frame.name)).toEqual(answer.data.map((series) => series.name));
    expect(given.length).toBeGreaterThan(0);
    given.forEach((frame, index) => {
      const series = answer.data[index];
      const extras = Object.keys(series?.data[0] ?? {}).filter((key) => key !== 'x' && key !== 'y');
      expect(frame.fields.map((each) => each.name)).toEqual(['time', 'value', ...extras]);
      expect(field(frame, 'value').values).toEqual(series?.data.map(({ y }) => y));
      expect(field(frame, 'value').labels).toEqual(series?.labels);
      expect(field(frame, 'value').config.displayNameFromDS).toBe(series?.name);
      for (const extra of extras) {
        expect(field(frame, extra).config.custom.hideFrom).toMatchObject({ viz: true, tooltip: false });
      }
    });
  });

  it.each([
    ['latency', 's'],
    ['errors', 'percentunit'],
    ['throughput', 'reqps'],
    ['tokens', 'suffix: tokens/s'],
    ['cost', 'currency:USD '],
    ['token_cost', 'suffix: EUR/M tokens'],
    ['active', 'short'],
  ])('of %s have the unit %s', async (name, unit) => {
    const given = (await frames({ name })).map((frame) => field(frame, 'value'));
    expect(given.map(({ config }) => config.unit)).toContain(unit);
    for (const { config, labels } of given) {
      const currency = labels?.currency;
      expect(config.unit).toBe(currency === '' ? undefined : unit.replace(/[A-Z]{3}/, currency ?? '$&'));
    }
  });

  it('have bounds in the unit of the value, and counts without', async () => {
    const [latency] = await frames({ name: 'latency' });
    expect([field(latency, 'low').config.unit, field(latency, 'high').config.unit]).toEqual(['s', 's']);
    expect(field(latency, 'open').config.unit).toBeUndefined();
    const [drift] = await frames({ name: 'drift' });
    expect(field(drift, 'n').config.unit).toBeUndefined();
  });

  it('are one table, labels as columns, when a table is asked for', async () => {
    const given = await frames({ name: 'latency', format: 'table' });
    expect(given).toHaveLength(1);
    expect(given[0]?.fields.map(({ name, type }) => [name, type])).toEqual([
      ['time', FieldType.time],
      ['series', FieldType.string],
      ['model_name', FieldType.string],
      ['model_version', FieldType.string],
      ['tenant_id', FieldType.string],
      ['value', FieldType.number],
      ['low', FieldType.number],
      ['high', FieldType.number],
      ['open', FieldType.number],
    ]);
    expect(given[0]?.length).toBe(6);
  });

  it('keep fixed values as they are, and replace variables in the others', async () => {
    variables = [{ name: 'tenant', value: ['user-A', 'user-B'] }];
    const fixed = { 'model-name': ['$tenant', '.+'] };
    await ask([target({ params: { 'tenant-id': ['$tenant'] }, fixed })]);
    const params = sent('metrics/latency')[0];
    expect(params?.getAll('tenant-id')).toEqual(['user-A', 'user-B']);
    expect(params?.getAll('model-name')).toEqual(['$tenant', '.+']);
    expect(datasource.getQueryDisplayText(target({ fixed }))).toBe('latency · model-name=$tenant, .+');
  });

  it('are asked for with the range and the width of the panel', async () => {
    await ask([target({ params: { 'model-name': ['resnet50'] } })]);
    expect(Object.fromEntries(sent('metrics/latency')[0] ?? [])).toEqual({
      'model-name': 'resnet50',
      from: String(FROM),
      to: String(TO),
      maxDataPoints: '500',
    });
  });
});

/** Columns of the first row; lists that are tables of their own are none. */
const shownNames = ([first]: Array<Record<string, unknown>>, { columns }: Table) =>
  Object.entries(first ?? {})
    .filter(([name, value]) => columns.some((column) => column.name === name) || !Array.isArray(value))
    .map(([name]) => name);

describe('tables', () => {
  it.each(ANSWERED)('of $name have the columns of the answer in its order', async (table) => {
    const answer = recorded(table.path).data as Record<string, Array<Record<string, unknown>>>;
    const rows = table.rows === '' ? [answer as unknown as Record<string, unknown>] : answer[table.rows];
    const [frame] = await frames({ kind: 'table', name: table.name });
    const names = rows?.length ? shownNames(rows, table) : table.columns.map(({ name }) => name);
    expect(frame?.fields.map(({ name }) => name)).toEqual(names);
    expect(frame?.length).toBe(rows?.length);
    for (const { name, type } of table.columns) {
      const expected = { time: FieldType.time, number: FieldType.number, boolean: FieldType.boolean }[type];
      expect([name, field(frame, name).type]).toEqual([name, expected ?? FieldType.string]);
    }
  });

  it('keep texts that look like numbers', async () => {
    const [frame] = await frames({ kind: 'table', name: 'distribution' });
    expect(field(frame, 'bin').values.slice(0, 3)).toEqual(['00', '01', '__missing__']);
    expect(field(frame, 'value').config.unit).toBe('percentunit');
  });

  it('write labels and lists in one line', async () => {
    const [alerts] = await frames({ kind: 'table', name: 'alerts' });
    expect(field(alerts, 'labels').values[0]).toContain('alertname=');
    const [gate] = await frames({ kind: 'table', name: 'gate' });
    expect(field(gate, 'tenant_ids').values).toEqual(['user-A']);
  });

  it('have a currency where all rows are of one, and none where they are not', async () => {
    const ofCosts = async (...currencies: Array<string | null>) => {
      const rows = currencies.map((currency, amount) => ({ currency, amount }));
      backend.reply = ({ url }) => (pathOf(url) === 'costs' ? { data: { rows } } : recorded(pathOf(url)));
      return field((await frames({ kind: 'table', name: 'costs' }))[0], 'amount');
    };
    expect((await ofCosts('USD', 'USD', null)).config.unit).toBe('currency:USD ');
    expect((await ofCosts('USD', 'EUR', null)).config.unit).toBeUndefined();
    expect((await ofCosts('USD', 'EUR', null)).values).toEqual([0, 1, 2]);
  });

  it('take the time range only where they have one', async () => {
    await ask([target({ kind: 'table', name: 'cost_forecast' })]);
    expect(Object.fromEntries(sent('costs/forecast')[0] ?? [])).toEqual({ to: String(TO) });
  });

  it('link an incident to its page and a model to its board', async () => {
    const [incidents] = await frames({ kind: 'table', name: 'incidents' });
    expect(field(incidents, 'id').config.links?.[0]?.url).toBe(
      '/a/modelplane-monitoring-app/incidents/${__value.raw:percentencode}?${__url_time_range}',
    );
    expect(field(incidents, 'model_name').config.links).toHaveLength(1);
  });
});

describe('answers', () => {
  it('show warnings in the corner of the panel, also without any frame', async () => {
    backend.reply = ({ url }) =>
      pathOf(url) === 'metrics/latency'
        ? { data: { query_time: 'x', data: [], warnings: ['partial'] } }
        : recorded(pathOf(url));
    const [frame] = await frames({});
    expect(frame?.meta?.notices).toEqual([{ severity: 'warning', text: 'partial' }]);
  });

  it('of one query stay when another fails, and the failure is the sentence of the backend', async () => {
    const { data, errors, error } = await ask([
      target({ name: 'errors' }),
      target({ refId: 'B', name: 'nothing' }),
    ]);
    expect(data).not.toHaveLength(0);
    expect(errors).toEqual([
      {
        refId: 'B',
        message: expect.stringMatching(/^There is no metric nothing; allowed: latency, /),
        status: undefined,
      },
    ]);
    expect(error).toBe(errors?.[0]);
    backend.reply = ({ url }) =>
      pathOf(url) === 'slo'
        ? { status: 422, data: { message: 'Too large.', error: 'x', details: {} } }
        : recorded(pathOf(url));
    expect((await ask([target({ kind: 'table', name: 'slo_states' })])).errors).toEqual([
      { refId: 'A', message: 'Too large.', status: 422 },
    ]);
  });

  it('come from one catalogue and one request for equal queries', async () => {
    await ask([target({}), target({ refId: 'B' }), target({ refId: 'C', hide: true })]);
    expect(backend.requests.map(({ url }) => pathOf(url)).sort()).toEqual([
      'annotations',
      'menus',
      'metrics',
      'metrics/latency',
      'tables',
    ]);
    await ask([target({ name: 'errors' })]);
    expect(backend.requests.filter(({ url }) => pathOf(url) === 'tables')).toHaveLength(1);
  });

  it('are not waited for any more when Grafana goes', async () => {
    await ask([target({})]);
    backend.reply = () => undefined;
    const waiting = datasource
      .query({
        targets: [target({ name: 'errors' })],
        range: RANGE,
        scopedVars: {},
      } as unknown as DataQueryRequest<Query>)
      .subscribe();
    waiting.unsubscribe();
    expect(backend.aborted.map(pathOf)).toEqual(['metrics/errors']);
  });

  it('are annotations, regions among them', async () => {
    const [frame] = await frames({ kind: 'annotations', name: 'incidents' });
    expect(frame?.fields.map(({ name }) => name)).toEqual(['time', 'timeEnd', 'title', 'text', 'tags']);
    expect(frame?.length).toBeGreaterThan(0);
  });

  it('to no query at all are empty', async () => {
    expect(await ask([])).toEqual({ data: [] });
    expect(backend.requests).toEqual([]);
  });
});

describe('the data source', () => {
  it('says what a query is, and which queries run', () => {
    expect(datasource.getQueryDisplayText(target({ params: { 'model-name': ['a', 'b'], slo: [] } }))).toBe(
      'latency · model-name=a, b',
    );
    expect(datasource.getQueryDisplayText({ refId: 'A' } as Query)).toBe('latency');
    expect(datasource.filterQuery(target({ hide: true }))).toBe(false);
    expect(datasource.filterQuery(target({ name: '' }))).toBe(false);
    expect(datasource.getDefaultQuery()).toEqual(DEFAULT_QUERY);
  });

  it('is healthy when the backend says who is asking', async () => {
    expect(await datasource.testDatasource()).toEqual({
      status: 'success',
      message: 'Backend 0.1.0 answers to anyone (admin): 3 tenants and 2 models are visible.',
    });
  });

  it('says why it is not', async () => {
    backend.reply = () => ({ status: 401, data: { message: 'Unauthorized' } });
    await expect(datasource.testDatasource()).rejects.toBeInstanceOf(Failure);
    await expect(datasource.testDatasource()).rejects.toThrow("does not accept the data source's token");
  });
});
