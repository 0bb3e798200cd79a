import { describe, expect, it } from 'vitest';
import { Failure } from '../../api';
import type { CostRow, IncidentRow, Indicator, MovedSignal, SeriesAnswer } from '../../api';
import {
  differenceText,
  gateCommand,
  marginText,
  shellWord,
  sideText,
  undecided,
  verdictFrames,
} from './comparison';
import { costId, fileName, grandTotals, kindText, totalsOf, unpriced, withSomething } from './costs';
import { armsOf, chosenSignal, distributionFrame, historyFrames, signalChoice, signalUrl } from './drift';
import { type Checks, findingsOf } from './findings';
import {
  NONE,
  countText,
  durationText,
  intervalText,
  moneyText,
  numberText,
  secondsText,
  shareText,
} from './format';
import { nearest, silenceOf, surroundings, timelineFrames } from './incidents';
import { parseSort, sortRows, sortText } from './sorting';

const STRANGE = 'a/b "$x" 🦊&c=d';

describe('sorting', () => {
  const rows = [{ v: 2 }, { v: null }, { v: 10 }, { v: Number.NaN }, { v: -1 }];
  const sorted = (descending: boolean) => sortRows(rows, ({ v }) => v, descending).map(({ v }) => v);

  it('puts what has no value last, either way, and leaves the rows alone', () => {
    expect(sorted(false)).toEqual([-1, 2, 10, null, Number.NaN]);
    expect(sorted(true)).toEqual([10, 2, -1, null, Number.NaN]);
    expect(rows[0]).toEqual({ v: 2 });
  });

  it('reads numbers in names, and keeps the order of equal rows', () => {
    expect(sortRows(['v10', 'v9', 'v1'], (name) => name, false)).toEqual(['v1', 'v9', 'v10']);
    const equal = [
      { k: 1, n: 'a' },
      { k: 1, n: 'b' },
      { k: 0, n: 'c' },
    ];
    expect(sortRows(equal, ({ k }) => k, false).map(({ n }) => n)).toEqual(['c', 'a', 'b']);
  });

  it('is a word of the address', () => {
    expect(parseSort('-burn_rate')).toEqual({ column: 'burn_rate', descending: true });
    expect(parseSort('')).toBeUndefined();
    expect(sortText({ column: 'a', descending: true })).toBe('-a');
  });
});

describe('values', () => {
  it('that are missing or not finite are a dash', () => {
    for (const text of [numberText, countText, shareText, secondsText]) {
      expect([null, undefined, Number.NaN, Infinity].map((value) => text(value))).toEqual(
        Array(4).fill(NONE),
      );
    }
    expect(moneyText(null, 'EUR')).toBe(NONE);
    expect(intervalText(null, null)).toBe(NONE);
  });

  it('are read by people', () => {
    expect(numberText(0.123456)).toBe('0.123');
    expect(shareText(0.0123)).toBe('1.23 %');
    expect(secondsText(90)).toBe('1.50 mins');
    expect(moneyText(1234.5, 'XQZ')).toBe('1,234.50 XQZ');
    expect([0, 0.00123, -0.004, 0.25].map((amount) => moneyText(amount, 'EUR'))).toEqual([
      '0.00 EUR',
      '0.0012 EUR',
      '-0.004 EUR',
      '0.25 EUR',
    ]);
    expect([0, 7.05, 422, 3600, 100_800].map(durationText)).toEqual([
      '0 s',
      '7 s',
      '7 min 2 s',
      '1 h',
      '1 d 4 h',
    ]);
    expect([intervalText(0.1, null), intervalText(null, 2), intervalText(0.1, 2)]).toEqual([
      'at least 0.1',
      'at most 2',
      '0.1 to 2',
    ]);
  });
});

describe('incidents', () => {
  const incident = (more: Partial<IncidentRow>): IncidentRow => ({
    id: '1',
    starts_at: 1000,
    ends_at: 2000,
    duration_seconds: 1,
    status: 'firing',
    severity: 'critical',
    tenant_id: 'acme',
    model_name: 'reader',
    alertnames: 'A',
    episodes: 1,
    flapping: '',
    planned: false,
    acknowledged_at: null,
    acknowledged_by: '',
    ...more,
  });

  it('are lanes by model and tenant; an open one lasts until now, and time never runs back', () => {
    const frames = timelineFrames(
      [
        incident({ starts_at: 5000, ends_at: null, severity: 'info' }),
        incident({}),
        incident({ tenant_id: '__all__', starts_at: 9000, ends_at: null }),
      ],
      7000,
    );
    expect(frames.map(({ name }) => name)).toEqual(['reader, acme', 'reader, all tenants']);
    expect(frames[0]?.fields.map(({ values }) => values)).toEqual([
      [1000, 2000, 5000, 7000],
      ['critical', null, 'info', null],
    ]);
    expect(frames[1]?.fields[0]?.values).toEqual([9000, 9000]);
  });

  it('have the changes nearest to their beginning, the newest first, and a count of the others', () => {
    const rows = [1, 90, 100, 105, 400].map((time) => ({ time }));
    expect(nearest(rows, 100, 3)).toEqual({ shown: [{ time: 105 }, { time: 100 }, { time: 90 }], hidden: 2 });
    expect(nearest(rows.slice(0, 1), 100, 3)).toEqual({ shown: [{ time: 1 }], hidden: 0 });
    expect(nearest([], 100, 3)).toEqual({ shown: [], hidden: 0 });
  });

  it('are looked at from an hour before', () => {
    expect(surroundings({ starts_at: 3_600_000, ends_at: null }, 4_000_000)).toEqual({
      from: 0,
      to: 4_000_000,
    });
  });

  it('are silenced by name and model, and never by a pattern that fits more', () => {
    const written = { duration: '2h', by: 'ann', comment: 'known' };
    expect(silenceOf(incident({}), written).matchers).toEqual([
      { name: 'alertname', operator: '=', value: 'A' },
      { name: 'model_name', operator: '=', value: 'reader' },
    ]);
    expect(silenceOf(incident({ alertnames: 'A.b, C', model_name: '' }), written)).toEqual({
      ...written,
      matchers: [{ name: 'alertname', operator: '=~', value: 'A\\.b|C' }],
    });
  });
});

describe('a comparison', () => {
  const indicator = (more: Partial<Indicator>): Indicator => ({
    name: 'errors',
    unit: 'ratio',
    method: '',
    reason: '',
    verdict: 'same',
    baseline_count: 1,
    candidate_count: 1,
    baseline: 0.01,
    baseline_low: 0.005,
    baseline_high: null,
    candidate: null,
    candidate_low: null,
    candidate_high: null,
    difference: 0.1,
    low: -0.1,
    high: 0.2,
    margin: 0.1,
    relative: false,
    ...more,
  });

  it('is a command whose names are words of a shell', () => {
    expect(shellWord("it's $HOME `x`")).toBe(`'it'\\''s $HOME \`x\`'`);
    expect(
      gateCommand({ model: STRANGE, tenants: ['acme', '-x'], baseline: 'v1', candidate: '', from: 'now-6h' }),
    ).toBe(
      `modelplane gate --model-name='${STRANGE}' --tenant-id=acme --tenant-id=-x --baseline=v1 --candidate='' --from=now-6h --wait=30m`,
    );
  });

  it('is written in the unit of each indicator; what is relative is a share', () => {
    expect(sideText(indicator({}), 'baseline')).toBe('1 % (at least 0.5 %)');
    expect(sideText(indicator({}), 'candidate')).toBe(NONE);
    expect(differenceText(indicator({}))).toBe('10 points (-10 points to 20 points)');
    expect(marginText(indicator({}))).toBe('10 points');
    expect(marginText(indicator({ relative: true }))).toBe('10 %');
    expect(differenceText(indicator({ unit: 'seconds', relative: true }))).toBe('10 % (-10 % to 20 %)');
    expect(differenceText(indicator({ unit: 'seconds', difference: 0.5 }))).toContain('500 ms');
  });

  it('names what is not decided', () => {
    const list = ['better', 'not_enough_data', 'no_traffic'].map((verdict) => indicator({ verdict }));
    expect(undecided(list)).toHaveLength(2);
  });

  it('has the whole first, and verdicts by time', () => {
    const row = (time: number, name: string, verdict: string) => ({ time, indicator: name, verdict });
    const frames = verdictFrames({
      rows: [row(2, 'errors', 'same'), row(1, 'errors', 'no_traffic'), row(1, 'all', 'same')],
      warnings: [],
    });
    expect(frames.map(({ name }) => name)).toEqual(['all', 'errors']);
    expect(frames[1]?.fields.map(({ values }) => values)).toEqual([
      [1, 2],
      ['no traffic', 'same'],
    ]);
  });
});

describe('drift', () => {
  const signal = {
    model_name: STRANGE,
    model_version: 'v1',
    tenant_id: '__all__',
    kind: 'input',
    signal: STRANGE,
  };

  it('keeps a signal in its address, whatever its name', () => {
    const search = new URL(signalUrl(signal), 'http://here').searchParams;
    expect(chosenSignal((name) => search.get(name) ?? '')).toEqual(signal);
    expect(search.get('model-name')).toBe(STRANGE);
    expect(signalUrl(signal)).not.toContain(STRANGE);
    expect(chosenSignal(() => '')).toBeUndefined();
    expect(Object.keys(signalChoice(signal))).toHaveLength(5);
  });

  it('shows gaps as gaps, noise, and a limit where there is one', () => {
    const answer: SeriesAnswer = {
      query_time: '',
      warnings: [],
      data: [
        {
          name: 's',
          labels: {},
          data: [
            { x: 1, y: null, noise: null },
            { x: 2, y: 0.5, noise: 0.1 },
          ],
        },
      ],
    };
    expect(historyFrames(answer, 0.2)[0]?.fields.map(({ values }) => values)).toEqual([
      [1, 2],
      [null, 0.5],
      [null, 0.1],
      [0.2, 0.2],
    ]);
    expect(historyFrames(answer, null)[0]?.fields).toHaveLength(3);
  });

  it('holds the live distribution against training', () => {
    const bars = (name: string, y: number | null) => ({ name, n: 3, data: [{ x: '00', y, label: '<= 1' }] });
    const frame = distributionFrame({ data: [bars('live', null), bars('reference', 0.4)], warnings: [] });
    expect(frame.fields.map(({ values }) => values)).toEqual([['<= 1'], [null], [0.4]]);
    expect(frame.fields[2]?.config.displayNameFromDS).toBe('training');
    expect(distributionFrame({ data: [], warnings: [] }).length).toBe(0);
  });

  it('marks the arms that moved by their whole names', () => {
    const row = { value: 1, limit: 0.5, moved: 'psi, mean_shift', mean_shift: 3 } as MovedSignal;
    expect(armsOf(row).map(({ name, moved }) => [name, moved])).toEqual([
      ['psi', true],
      ['mean_shift', true],
      ['variance_ratio', false],
      ['missing_shift', false],
    ]);
  });
});

describe('costs', () => {
  const row = (more: Partial<CostRow>): CostRow => ({
    start: 0,
    end: 1,
    tenant: null,
    model: null,
    version: null,
    kind: 'direct',
    unit: 'device_seconds',
    quantity: 10,
    estimated: 1,
    currency: 'EUR',
    amount: 2,
    state: 'priced',
    ...more,
  });

  it('add up by currency; overuse counts against, capacity not at all', () => {
    const totals = totalsOf([
      row({}),
      row({ amount: 3 }),
      row({ kind: 'idle', amount: 5 }),
      row({ kind: 'over', amount: 1 }),
      row({ kind: 'capacity', amount: 100 }),
      row({ kind: 'output', unit: 'tokens', currency: 'USD', amount: 7 }),
      row({ currency: null, amount: null }),
    ]);
    expect(grandTotals(totals)).toEqual([
      ['EUR', 9],
      ['USD', 7],
    ]);
    expect(totals[0]).toMatchObject({ amount: 5, estimated: 2, quantity: 20 });
    expect(unpriced(totals)).toMatchObject([{ kind: 'direct', quantity: 10 }]);
    expect(unpriced(totalsOf([row({ kind: 'over', currency: null, amount: null })]))).toEqual([]);
    expect(withSomething([row({ quantity: 0, amount: null }), row({ amount: null })])).toHaveLength(1);
    expect([kindText('idle_share'), kindText('cached_input')]).toEqual([
      'share of idle time',
      'cached input',
    ]);
  });

  it('differ by group, and name their files without odd characters', () => {
    expect(costId(row({ tenant: 'a' }))).not.toBe(costId(row({ tenant: null })));
    expect(fileName('focus', 'now-7d', '../x y')).toBe('modelplane-costs-focus-now-7d-.._x_y.csv');
  });
});

describe('findings', () => {
  const registry = {
    rows: [],
    total: 0,
    warnings: [],
    states: { undeclared: 2, unseen: 1, 'as declared': 5 },
  };
  const done = <T>(value: T) => ({ state: 'done' as const, value });
  const checks = (more: Partial<Checks> = {}): Checks => ({
    registry: done(registry),
    incidents: done({}),
    silences: done({}),
    watchdog: done({ last_seen_at: 1, age_seconds: 60 }),
    ...more,
  });
  const states = (more?: Partial<Checks>) => findingsOf(checks(more)).map(({ state }) => state);

  it('are fine, or say what differs and where to look', () => {
    expect(states()).toEqual(['ok', 'warning', 'ok', 'ok', 'ok']);
    expect(findingsOf(checks())[1]).toMatchObject({
      text: '2 versions are seen and not declared, 1 declared and not seen.',
      to: '/a/modelplane-monitoring-app/registry?state=undeclared&state=unseen',
    });
    expect(states({ registry: done({ ...registry, states: {} }) })[1]).toBe('ok');
    expect(states({ registry: done({ ...registry, states: {}, warnings: ['No registry.'] }) })[1]).toBe(
      'warning',
    );
  });

  it('have the sentence of what fails; what one may not see is no fault', () => {
    const failing = (kind: 'failed' | 'forbidden') => ({
      state: 'failed' as const,
      failure: new Failure(kind, 'A sentence.'),
    });
    expect(findingsOf(checks({ silences: failing('failed') }))[3]).toMatchObject({
      state: 'failed',
      text: 'A sentence.',
    });
    expect(states({ watchdog: failing('forbidden') })[4]).toBe('warning');
    expect(states({ incidents: { state: 'loading' } })[2]).toBe('checking');
  });

  it('say that alerts do not come', () => {
    expect(states({ watchdog: done({ last_seen_at: null, age_seconds: null }) })[4]).toBe('failed');
    expect(states({ watchdog: done({ last_seen_at: 1, age_seconds: 86_400 }) })[4]).toBe('failed');
  });
});
