import { expect, it } from 'vitest';
import { DATASOURCE_ID } from '../ids';
import { addressProblem } from './config/address';
import { healthOf } from './health';
import datasource from './plugin.json';

it('lets viewers read and editors write, and nothing else', () => {
  expect(datasource.id).toBe(DATASOURCE_ID);
  expect(datasource.routes.map(({ path, method, reqRole }) => [path, method, reqRole])).toEqual([
    ['read', 'GET', 'Viewer'],
    ['write', 'POST', 'Editor'],
  ]);
  for (const { url } of datasource.routes) {
    expect(url).toBe('{{ .JsonData.backend }}/api/v1');
  }
});

it.each([
  ['http://backend:8090', undefined],
  ['https://backend.example/base', undefined],
  ['', 'is needed'],
  ['backend', 'is no address'],
  ['ftp://backend', 'begins with'],
  ['http://me:secret@backend', 'has no user'],
  ['http://backend:8090/', 'ends without'],
  ['http://backend:8090?x=1', 'ends without'],
])('takes or refuses the address %j', (address, problem) => {
  expect(addressProblem(address)?.startsWith(problem ?? '!')).toBe(problem === undefined ? undefined : true);
});

it('says version, identity and what is visible, and warns of another version', () => {
  const identity = { version: '0.2.0', name: 'ann', role: 'grafana', tenants: 1, models: 3, warnings: [] };
  expect(healthOf(identity, '0.2.0')).toEqual({
    status: 'success',
    message: 'Backend 0.2.0 answers to ann (grafana): 1 tenant and 3 models are visible.',
  });
  const user = { name: 'ada', role: 'Editor', may_write: true };
  expect(healthOf({ ...identity, user }, '0.2.0').message).toBe(
    'Backend 0.2.0 answers to ada (Editor), by the token ann: 1 tenant and 3 models are visible.',
  );
  expect(healthOf({ ...identity, user: null }, '0.2.0').message).toContain('answers to ann (grafana)');
  expect(healthOf(identity, '0.1.0')).toMatchObject({
    status: 'warning',
    message: expect.stringContaining('The plugin is of version 0.1.0 and the backend of 0.2.0'),
  });
});
