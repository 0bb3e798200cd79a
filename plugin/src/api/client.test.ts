import { lastValueFrom } from 'rxjs';
import * as v from 'valibot';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { FakeBackend, type Reply } from '../testing/backend';
import { Client } from './client';
import { Failure } from './failure';

let backend: FakeBackend;
vi.mock('@grafana/runtime', () => ({ getBackendSrv: () => backend }));

const METRICS = { metrics: [] };
const client = () => new Client('/proxy');
const failure = async (reply: Reply | undefined) => {
  backend = new FakeBackend(() => reply);
  return lastValueFrom(client().metrics()).then(
    () => expect.fail('it answered'),
    (reason: unknown) => {
      expect(reason).toBeInstanceOf(Failure);
      return reason as Failure;
    },
  );
};

beforeEach(() => {
  backend = new FakeBackend(() => ({ data: METRICS }));
});

describe('requests', () => {
  it('read below the route for viewers and write below that for editors', async () => {
    await lastValueFrom(client().metrics());
    await lastValueFrom(client().write('incidents/1/acknowledge', v.looseObject({}), { by: 'ann' }));
    expect(backend.requests.map(({ method, url, data }) => [method, url, data])).toEqual([
      ['GET', '/proxy/read/metrics', undefined],
      ['POST', '/proxy/write/incidents/1/acknowledge', { by: 'ann' }],
    ]);
  });

  it('repeat a parameter for each of its values, and encode every text', async () => {
    backend.reply = () => ({ data: { values: [], total: 0 } });
    const names = ['a b', 'x/y', '$z', '"q"', '🦊', 'a&b=c', '{a,b}'];
    await lastValueFrom(client().menu('models', { 'tenant-id': names, 'model-name': undefined, limit: 5 }));
    const sent = new URL(backend.requests[0]?.url ?? '', 'http://here').searchParams;
    expect(sent.getAll('tenant-id')).toEqual(names);
    expect(sent.has('model-name')).toBe(false);
    expect(sent.get('limit')).toBe('5');
  });

  it('are asked once while an equal one is under way, and anew after it', async () => {
    const one = client();
    await Promise.all([lastValueFrom(one.metrics()), lastValueFrom(one.metrics())]);
    expect(backend.requests).toHaveLength(1);
    await lastValueFrom(one.metrics());
    expect(backend.requests).toHaveLength(2);
  });

  it('end when the last who waits goes, and not before', () => {
    backend.reply = () => undefined;
    const one = client();
    const [first, second] = [one.metrics().subscribe(), one.metrics().subscribe()];
    first.unsubscribe();
    expect(backend.aborted).toEqual([]);
    second.unsubscribe();
    expect(backend.aborted).toEqual(['/proxy/read/metrics']);
  });

  it('with 10,000 values say so before anything is sent', async () => {
    const values = Array.from({ length: 10_000 }, (_, index) => `m${index}`);
    await expect(lastValueFrom(client().menu('signals', { 'model-name': values }))).rejects.toThrow(
      'model-name has 10000 values; allowed: at most 1000. Choose fewer, or All.',
    );
    const long = Array.from({ length: 1000 }, (_, index) => `${'m'.repeat(100)}${index}`);
    await expect(lastValueFrom(client().menu('signals', { 'model-name': long }))).rejects.toThrow('too long');
    expect(backend.requests).toEqual([]);
  });
});

describe('a failure is one sentence', () => {
  const ours = (message: string, error = 'invalid_parameter') => ({ message, error, details: {} });

  it.each([
    [400, ours("quantile has the value '95'."), 'refused', "quantile has the value '95'."],
    [
      403,
      ours('tenant-id names a tenant that this token may not see.'),
      'forbidden',
      'tenant-id names a tenant that this token may not see.',
    ],
    [422, ours('The range is too large.'), 'refused', 'The range is too large.'],
    [502, ours('Prometheus answered with HTML.'), 'failed', 'Prometheus answered with HTML.'],
    [503, ours('Too many requests wait.'), 'busy', 'Too many requests wait.'],
    [504, ours('Prometheus did not answer in time.'), 'slow', 'Prometheus did not answer in time.'],
  ])('of the backend, at status %i', async (status, data, kind, message) => {
    expect(await failure({ status, data })).toMatchObject({ kind, message, status });
  });

  it.each([
    [0, undefined, 'unreachable', 'Grafana cannot be reached'],
    [401, { message: 'Unauthorized' }, 'unauthenticated', "does not accept the data source's token"],
    [
      401,
      ours('A valid token is needed: send the header.', 'unauthenticated'),
      'unauthenticated',
      "data source's token",
    ],
    [403, { message: 'plugin proxy route access denied' }, 'forbidden', 'You may not'],
    [
      404,
      ours('The requested URL was not found on the server. If you entered', 'not_found'),
      'outdated_backend',
      'has no metrics: it is older',
    ],
    [502, { message: 'Bad Gateway' }, 'unreachable', 'The backend cannot be reached'],
    [503, '<html>Service Unavailable</html>', 'busy', 'not available'],
    [504, '', 'slow', 'did not answer in time'],
    [599, '', 'failed', 'The backend failed with status 599.'],
  ])('of Grafana or on the way, at status %i', async (status, data, kind, message) => {
    const caught = await failure({ status, data });
    expect(caught.kind).toBe(kind);
    expect(caught.message).toContain(message);
  });

  it.each([
    ['<!DOCTYPE html><html></html>', 'not_json', 'is not modelplane'],
    ['{"metrics": [{"na', 'broken_off', 'broke off'],
    [null, 'not_json', 'is not modelplane'],
    [{}, 'unexpected_answer', 'metrics is undefined'],
    [{ metrics: [{ name: 7 }] }, 'unexpected_answer', 'metrics.0.name is 7, not string'],
  ])('of an answer that is %j', async (data, kind, message) => {
    const caught = await failure({ data });
    expect(caught.kind).toBe(kind);
    expect(caught.message).toContain(message);
  });

  it('of a backend that does not answer', async () => {
    vi.useFakeTimers();
    const caught = failure(undefined);
    await vi.advanceTimersByTimeAsync(61_000);
    expect(await caught).toMatchObject({ kind: 'slow', message: expect.stringContaining('within 60 s') });
    vi.useRealTimers();
  });
});
