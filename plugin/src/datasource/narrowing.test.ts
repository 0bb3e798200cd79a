import { type DataQueryRequest } from '@grafana/data';
import { firstValueFrom } from 'rxjs';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { FakeBackend } from '../testing/backend';
import { FROM, RANGE, TO, answersOf, dataSourceOf, target } from '../testing/datasource';
import { paramsOf, pathOf, recordedBackend } from '../testing/recorded';
import { type BoardVariable, templateSrv } from '../testing/variables';
import type { DataSource as DataSourceClass } from './DataSource';
import { type MenuQuery, type Query } from './query';

let backend: FakeBackend;
let variables: BoardVariable[] = [];
vi.mock('@grafana/runtime', () => ({
  getBackendSrv: () => backend,
  getTemplateSrv: () => templateSrv(variables),
}));
vi.mock('@grafana/ui', () => ({}));
const { DataSource } = await import('./DataSource');

let datasource: DataSourceClass;
beforeEach(() => {
  backend = recordedBackend();
  variables = [];
  datasource = dataSourceOf(DataSource);
});

const ask = (targets: Query[], rest: Partial<DataQueryRequest<Query>> = {}) =>
  answersOf(datasource, targets, rest);
const sent = (path: string) => backend.requests.filter(({ url }) => pathOf(url) === path).map(paramsOf);
describe('variables', () => {
  const params = { 'model-name': ['$model'], 'tenant-id': ['$tenant'] };

  it('may have several values; All and an expression for it leave the parameter out', async () => {
    variables = [
      { name: 'model', value: ['a "b"/$c', '🦊'] },
      { name: 'tenant', value: '$__all', options: Array.from({ length: 10_000 }, (_, index) => `t${index}`) },
    ];
    await ask([target({ params }), target({ refId: 'B', name: 'errors', params: { 'model-name': ['.+'] } })]);
    expect(sent('metrics/latency')[0]?.getAll('model-name')).toEqual(['a "b"/$c', '🦊']);
    expect(sent('metrics/latency')[0]?.has('tenant-id')).toBe(false);
    expect(sent('metrics/errors')[0]?.has('model-name')).toBe(false);
  });

  it('of a repeated panel are its own, whatever the board has', async () => {
    variables = [{ name: 'model', value: '$__all', options: ['a', 'b'] }];
    await ask([target({ params: { 'model-name': ['$model'] } })], {
      scopedVars: { model: { text: 'a', value: 'a' } },
    });
    expect(sent('metrics/latency')[0]?.getAll('model-name')).toEqual(['a']);
  });

  it('inside of a text give a text for each value; a sign that is none stays', async () => {
    variables = [{ name: 'model', value: ['a', 'b'] }];
    await ask([target({ params: { 'model-name': ['x-$model', '$5'] } })]);
    expect(sent('metrics/latency')[0]?.getAll('model-name')).toEqual(['x-a', 'x-b', '$5']);
  });

  it('without a value are said so, for nothing would read as all', async () => {
    variables = [{ name: 'model', value: '' }];
    const { errors } = await ask([target({ params: { 'model-name': ['$model'] } })]);
    expect(errors?.[0]?.message).toBe('model-name has no value: the variable $model is empty.');
  });

  it('with more chosen values than the backend takes say what to do', async () => {
    variables = [{ name: 'model', value: Array.from({ length: 10_000 }, (_, index) => `m${index}`) }];
    const { errors } = await ask([target({ params: { 'model-name': ['$model'] } })]);
    expect(errors?.[0]?.message).toContain('model-name has 10000 values; allowed: at most 1000');
  });

  it('are menus, narrowed by other variables as far as they can be', async () => {
    variables = [{ name: 'tenant', value: ['a'] }];
    const query = { refId: 'V', menu: 'slos', params: { 'tenant-id': ['$tenant'], signal: ['x'] } };
    const request = {
      targets: [query],
      range: RANGE,
      scopedVars: {},
    } as unknown as DataQueryRequest<MenuQuery>;
    const support = datasource.variables as unknown as {
      query(r: typeof request): ReturnType<DataSourceClass['query']>;
    };
    expect((await firstValueFrom(support.query(request))).data).toEqual([
      { text: 'availability' },
      { text: 'fast' },
    ]);
    expect(Object.fromEntries(sent('menus/slos')[0] ?? [])).toEqual({
      'tenant-id': 'a',
      from: String(FROM),
      to: String(TO),
      limit: '10000',
    });
  });

  it('are replaced for Explore', () => {
    variables = [{ name: 'model', value: ['a', 'b'] }];
    const [query] = datasource.interpolateVariablesInQueries([target({ params })], {});
    expect(query?.params['model-name']).toEqual(['a', 'b']);
  });
});

describe('ad hoc filters', () => {
  it('narrow a query, and what the query names already', async () => {
    const filters = [{ key: 'tenant_id', operator: '=|', value: 'a', values: ['a', 'b'] }];
    await ask([target({ params: { 'tenant-id': ['b', 'c'] } }), target({ refId: 'B', name: 'errors' })], {
      filters,
    });
    expect(sent('metrics/latency')[0]?.getAll('tenant-id')).toEqual(['b']);
    expect(sent('metrics/errors')[0]?.getAll('tenant-id')).toEqual(['a', 'b']);
  });

  it('that nothing matches give nothing, and ask for nothing', async () => {
    const filters = [{ key: 'tenant_id', operator: '=', value: 'x' }];
    expect(await ask([target({ params: { 'tenant-id': ['b'] } })], { filters })).toEqual({ data: [] });
    expect(sent('metrics/latency')).toEqual([]);
  });

  it.each([
    [{ key: 'signal', operator: '=', value: 'x' }, 'The filter on signal cannot be applied here'],
    [
      { key: 'tenant_id', operator: '<', value: 'x' },
      'The filter on tenant_id has the operator <; allowed: =, =|, !=, !=|, =~, !~.',
    ],
    [{ key: 'tenant_id', operator: '=~', value: '(' }, 'The filter ( is no regular expression.'],
  ])('that cannot be applied are never ignored', async (filter, message) => {
    const { errors } = await ask([target({})], { filters: [filter] });
    expect(errors?.[0]?.message).toContain(message);
  });

  it.each([
    [{ operator: '!=', value: 'user-A' }, ['user-B', 'ü "x"|y.']],
    [{ operator: '!=|', value: 'user-A', values: ['user-A', 'user-B'] }, ['ü "x"|y.']],
    [{ operator: '=~', value: 'user-.|x' }, ['user-A', 'user-B']],
    [{ operator: '!~', value: 'user-.+' }, ['ü "x"|y.']],
    [{ operator: '=~', value: 'user' }, undefined],
  ])('that name no values are those of the menu that pass: %j', async (filter, tenants) => {
    await ask([target({})], { filters: [{ key: 'tenant_id', ...filter }] });
    const [request] = sent('metrics/latency');
    expect(request?.getAll('tenant-id')).toEqual(tenants);
    expect(sent('menus/tenants')[0]?.get('from')).toBe(String(FROM));
  });

  it('that name no values need the whole menu', async () => {
    const { reply } = backend;
    backend.reply = (request) =>
      pathOf(request.url) === 'menus/tenants' ? { data: { values: ['a'], total: 20_000 } } : reply(request);
    const filters = [{ key: 'tenant_id', operator: '!=', value: 'a' }];
    const { errors } = await ask([target({})], { filters });
    expect(errors?.[0]?.message).toContain('There are 20000 tenants, too many to filter');
  });

  it('offer labels and their values', async () => {
    expect((await datasource.getTagKeys()).map(({ text }) => text)).toContain('tenant_id');
    const filters = [{ key: 'model_name', operator: '=', value: 'resnet50' }];
    const values = await datasource.getTagValues({ key: 'tenant_id', filters, timeRange: RANGE });
    expect(values.map(({ text }) => text)).toEqual(['user-A', 'user-B', 'ü "x"|y.']);
    expect(sent('menus/tenants')[0]?.getAll('model-name')).toEqual(['resnet50']);
  });
});
