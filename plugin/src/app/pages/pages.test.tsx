import { cleanup, screen, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { TriageRow } from '../../api';
import { FakeBackend, type Reply } from '../../testing/backend';
import { asked, currentAddress, pathOf, showPage, sources } from '../../testing/page';
import {
  AROUND,
  COST_ROW,
  DETAIL,
  INCIDENT,
  SIGNAL,
  STRANGE,
  UNDECIDED,
  triageRow,
} from '../../testing/samples';

let backend: FakeBackend;
const user = vi.hoisted(() => ({ login: 'ann', orgRole: 'Editor' }));
vi.mock('@grafana/runtime', () => ({
  getBackendSrv: () => backend,
  getDataSourceSrv: () => sources,
  config: { bootData: { user } },
  PanelRenderer: () => null,
}));
const { TriagePage } = await import('./TriagePage');
const { IncidentsPage } = await import('./IncidentsPage');
const { IncidentPage } = await import('./IncidentPage');
const { DriftPage } = await import('./DriftPage');
const { ComparePage } = await import('./ComparePage');
const { ConfigurationPage } = await import('./ConfigurationPage');
const { CostPage } = await import('./CostPage');
const { RegistryPage } = await import('./RegistryPage');

const answer = (rows: TriageRow[], total = rows.length): Reply => ({ data: { rows, total } });
const replies = (triage: Reply) => {
  backend.reply = ({ url }) =>
    pathOf(url).includes('/menus/') ? { data: { values: ['acme'], total: 1 } } : triage;
};

beforeEach(() => {
  backend = new FakeBackend(() => undefined);
});
afterEach(() => {
  cleanup();
  user.orgRole = 'Editor';
});

/** Answers by route; what is not named answers as if it were not there. */
const routes = (bodies: Record<string, unknown>) => {
  backend.reply = ({ url }) => {
    const route = pathOf(url).replace(/^\/proxy\/(read|write)\//, '');
    if (route.startsWith('menus/')) {
      return { data: { values: [], total: 0 } };
    }
    const data = bodies[route];
    return data === undefined
      ? { status: 502, data: { message: `No ${route}.`, error: 'x', details: {} } }
      : { data };
  };
};

describe('triage', () => {
  it('says why, in words, and where to go on', async () => {
    replies(
      answer([
        triageRow(),
        triageRow({
          model_name: STRANGE,
          tenant_id: '__all__',
          reasons: ['drift'],
          moved_signals: 3,
          kind: 'input',
          signal: STRANGE,
        }),
      ]),
    );
    showPage(TriagePage, '/triage');
    const incident = await screen.findByText('Incident: ModelSloBurn, acknowledged by ann');
    expect(incident.getAttribute('href')).toBe('/a/modelplane-monitoring-app/incidents/1-ab');
    const drift = screen.getByText(`3 signals beyond their limits, such as ${STRANGE}`);
    const to = new URL(drift.getAttribute('href') ?? '', 'http://here');
    expect([
      to.searchParams.get('model-name'),
      to.searchParams.get('signal'),
      to.searchParams.has('tenant-id'),
    ]).toEqual([STRANGE, STRANGE, false]);
    const compare = screen.getByLabelText('Compare: reader, acme').getAttribute('href');
    expect(compare).toContain('baseline=v1&candidate=v2');
    expect(screen.getByText('All tenants')).toBeTruthy();
  });

  it('asks once for all models, whatever their number', async () => {
    replies(
      answer(
        Array.from({ length: 50 }, (_, n) => triageRow({ model_name: `m${n}` })),
        10_000,
      ),
    );
    showPage(TriagePage, '/triage?page=2');
    await screen.findByText('51 to 100 of 10,000');
    expect(asked(backend, 'triage').map((params) => params.toString())).toEqual(['limit=50&offset=50']);
  });

  it('keeps what is chosen in its address, and a search starts at the first page', async () => {
    replies(answer([triageRow()]));
    showPage(TriagePage, '/triage?tenant-id=acme&owner=vision&reason=drift&page=3');
    await userEvent.type(await screen.findByLabelText('Search'), 'read');
    await vi.waitFor(() => expect(currentAddress()).toContain('search=read'));
    expect(currentAddress()).not.toContain('page=');
    const last = asked(backend, 'triage').at(-1);
    expect(last?.toString()).toBe('search=read&tenant-id=acme&owner=vision&reason=drift&limit=50&offset=0');
  });

  it.each([
    ['nothing', answer([]), 'Nothing needs attention among what you may see and have chosen'],
    [
      'a refusal',
      { status: 400, data: { message: 'limit is odd.', error: 'invalid', details: {} } },
      'limit is odd.',
    ],
    [
      'another tenant',
      { status: 403, data: { message: 'Not yours.', error: 'forbidden', details: {} } },
      'Not yours.',
    ],
    ['half a row', { data: { rows: [{ model_name: 'x' }], total: 1 } }, 'is not as expected'],
  ])('shows one sentence for %s', async (_name, reply: Reply, sentence) => {
    replies(reply);
    const { container } = showPage(TriagePage, '/triage');
    expect(await screen.findByText((text) => text.includes(sentence))).toBeTruthy();
    expect(within(container).queryByRole('table')).toBeNull();
  });

  it('says what is missing where there is no data source', async () => {
    vi.spyOn(sources, 'getList').mockReturnValueOnce([]);
    showPage(TriagePage, '/triage');
    expect(await screen.findByText('There is no Modelplane data source in this organisation')).toBeTruthy();
  });
});

const showIncident = () => showPage(IncidentPage, '/incidents/1-ab', '/incidents/:id');

describe('incidents', () => {
  it('are asked for as their address says', async () => {
    routes({ incidents: { incidents: [INCIDENT], total: 1 } });
    showPage(
      IncidentsPage,
      `/incidents?model-name=${encodeURIComponent(STRANGE)}&status=firing&order=newest&from=now-1h&to=now`,
    );
    expect((await screen.findByText('ModelSloBurn')).getAttribute('href')).toContain('/incidents/1-ab');
    const [params] = asked(backend, 'incidents');
    expect(Object.fromEntries(params ?? [])).toEqual({
      'model-name': STRANGE,
      status: 'firing',
      order: 'newest',
      from: 'now-1h',
      to: 'now',
      limit: '50',
      offset: '0',
    });
  });

  it('have what was said, deployed and moved; markup is text, and only web pages are links', async () => {
    routes(AROUND);
    showIncident();
    expect(await screen.findByText(/bob commented: <b>rolled back<\/b>/)).toBeTruthy();
    expect(await screen.findByText('v2 loaded')).toBeTruthy();
    expect(await screen.findByText('No signal of the model is beyond its own limit.')).toBeTruthy();
    expect(screen.queryByText('Runbook')).toBeNull();
    const [around] = asked(backend, 'annotations/version_changes');
    expect([around?.get('tenant-id'), around?.get('model-name')]).toEqual(['acme', STRANGE]);
  });

  it('say how many changes of versions are not shown', async () => {
    const rows = Array.from({ length: 12 }, (_, n) => ({
      ...AROUND['annotations/version_changes'].rows[0],
      time: n + 1,
      title: `change ${n + 1}`,
    }));
    routes({ ...AROUND, 'annotations/version_changes': { rows } });
    showIncident();
    const sentence = 'The 10 nearest to its beginning; 2 others from an hour before it on are not shown.';
    expect(await screen.findByText(sentence)).toBeTruthy();
    const titles = screen.getAllByText(/^change /).map(({ textContent }) => textContent);
    expect(titles).toEqual(Array.from({ length: 10 }, (_, n) => `change ${12 - n}`));
  });

  it('are shown though a part of what surrounds them fails', async () => {
    routes({ 'incidents/1-ab': DETAIL, 'drift/top': { rows: [] } });
    showIncident();
    expect(await screen.findByText('No annotations/version_changes.')).toBeTruthy();
    expect(screen.getByText('burns')).toBeTruthy();
  });

  it('are silenced for their tenant alone, by who is signed in', async () => {
    routes({ ...AROUND, silences: { id: 's', status: 'active', ends_at: 1 } });
    showIncident();
    await userEvent.click(await screen.findByLabelText('Silence'));
    const button = screen.getByText('Silence as ann').closest('button');
    expect(button?.disabled).toBe(true);
    await userEvent.type(screen.getByLabelText(/Reason/), 'known');
    await userEvent.click(button as HTMLElement);
    const sent = backend.requests.find(({ method }) => method === 'POST');
    expect(sent?.url).toBe('/proxy/write/silences?tenant-id=acme');
    expect(sent?.data).toMatchObject({ by: 'ann', comment: 'known', duration: '2h' });
    await vi.waitFor(() => expect(asked(backend, 'incidents/1-ab')).toHaveLength(2));
  });

  it('say what keeps somebody from writing, before and after the backend is asked', async () => {
    routes(AROUND);
    showIncident();
    await userEvent.click(await screen.findByText('Acknowledge as ann'));
    expect(await screen.findByText('No incidents/1-ab/acknowledge.')).toBeTruthy();
    cleanup();
    user.orgRole = 'Viewer';
    showIncident();
    expect(
      await screen.findByText('Acknowledging, commenting and silencing takes the role Editor.'),
    ).toBeTruthy();
  });
});

describe('drift', () => {
  it('opens a signal in the address, and asks for it alone', async () => {
    routes({
      'drift/top': { rows: [SIGNAL] },
      'drift/distribution': { data: [] },
      'metrics/drift': { query_time: '', data: [] },
    });
    showPage(DriftPage, '/drift?window=6h');
    await userEvent.click(await screen.findByText(STRANGE));
    expect(await screen.findByText('There are no observations in the window.')).toBeTruthy();
    expect(await screen.findByText('Largest psi of its past')).toBeTruthy();
    const [distribution] = asked(backend, 'drift/distribution');
    expect([
      distribution?.get('signal'),
      distribution?.get('window'),
      distribution?.get('model-version'),
    ]).toEqual([STRANGE, '6h', 'v1']);
    expect(asked(backend, 'drift/top')).toHaveLength(1);
  });

  it('sorts by its address', async () => {
    routes({ 'drift/top': { rows: [SIGNAL, { ...SIGNAL, signal: 'small', n: 1 }] } });
    showPage(DriftPage, '/drift?sort=n');
    await screen.findByText('small');
    const cells = screen
      .getAllByRole('row')
      .slice(1)
      .map((row) => within(row).getAllByRole('cell')[1]?.textContent);
    expect(cells.length).toBe(2);
    expect(screen.getAllByRole('row')[1]?.textContent).toContain('small');
    await userEvent.click(screen.getByText('Observations'));
    await vi.waitFor(() => expect(currentAddress()).not.toBe('/drift?sort=n'));
  });
});

describe('compare', () => {
  it('asks nothing before a model and two versions are chosen', () => {
    routes({});
    showPage(ComparePage, '/compare?model-name=reader');
    expect(screen.getByText(/Choose a model/)).toBeTruthy();
    expect(asked(backend, 'compare')).toEqual([]);
  });

  it('shows the verdict, what is needed, and the line for a pipeline', async () => {
    routes({
      compare: {
        verdict: 'not_enough_data',
        level: 0.05,
        summary: ['It is early.'],
        indicators: [UNDECIDED],
      },
    });
    showPage(ComparePage, '/compare?model-name=reader&tenant-id=acme&baseline=v1&candidate=v2');
    expect(await screen.findByText('error_ratio: Fewer than four slices.')).toBeTruthy();
    expect(screen.getByText('It is early.')).toBeTruthy();
    expect(screen.getByText(/^modelplane gate --model-name=reader --tenant-id=acme/)).toBeTruthy();
    expect(await screen.findByText('No compare/verdicts.')).toBeTruthy();
  });
});

describe('cost', () => {
  it('takes three requests, and one sentence where the month cannot be told', async () => {
    routes({
      costs: {
        idle: 'keep',
        shared: 'keep',
        rows: [COST_ROW, { ...COST_ROW, currency: null, amount: null }],
      },
    });
    showPage(CostPage, '/cost?from=now-1d&to=now');
    expect(await screen.findByText('No costs/forecast.')).toBeTruthy();
    expect(await screen.findByText(/Without a price, so in no total: 3,600 device seconds/)).toBeTruthy();
    expect(screen.getByText('Total in EUR').nextSibling?.textContent).toBe('12.50 EUR');
    const reads = backend.requests.map(({ url }) => pathOf(url)).filter((path) => !path.includes('menus'));
    expect(reads).toHaveLength(3);
  });

  it('downloads a file, or says why not', async () => {
    routes({ costs: { idle: 'keep', shared: 'keep', rows: [] } });
    const click = vi.spyOn(HTMLAnchorElement.prototype, 'click').mockImplementation(() => {});
    URL.createObjectURL = () => 'blob:x';
    URL.revokeObjectURL = () => {};
    showPage(CostPage, '/cost');
    await userEvent.click(await screen.findByText('Download CSV'));
    await vi.waitFor(() => expect(click).toHaveBeenCalledOnce());
    expect(asked(backend, 'costs').at(-1)?.get('format')).toBe('csv');
    backend.reply = () => ({
      status: 422,
      data: JSON.stringify({ message: 'Too many rows.', error: 'x', details: {} }),
    });
    await userEvent.click(screen.getByText('Download FOCUS'));
    expect(await screen.findByText('Too many rows.')).toBeTruthy();
  });
});

describe('configuration', () => {
  it('has one button that asks everything again', async () => {
    const identity = { version: '1', name: 'ann', role: 'reader', tenants: 2, models: 3 };
    routes({ identity });
    showPage(ConfigurationPage, '/configuration');
    expect(await screen.findByText('No watchdog.')).toBeTruthy();
    expect(screen.getAllByRole('button', { name: /again/ })).toHaveLength(1);
    await userEvent.click(screen.getByText('Check again'));
    for (const route of ['identity', 'registry', 'incidents', 'silences', 'watchdog']) {
      await vi.waitFor(() => expect(asked(backend, route)).toHaveLength(2));
    }
  });

  it('says who asks, as Grafana knows them', async () => {
    const user = { name: 'ann', role: 'Editor', may_write: true };
    routes({ identity: { version: '1', name: 'grafana', role: 'grafana', user, tenants: 2, models: 3 } });
    showPage(ConfigurationPage, '/configuration');
    expect(await screen.findByText('ann (Editor), by the token grafana')).toBeTruthy();
  });

  it('says once why there is no answer', async () => {
    routes({});
    showPage(ConfigurationPage, '/configuration');
    expect(await screen.findByText('No identity.')).toBeTruthy();
    expect(screen.getAllByRole('button', { name: /again/ })).toHaveLength(1);
    expect(backend.requests).toHaveLength(1);
  });
});

describe('registry', () => {
  it('says that a selection has nothing', async () => {
    routes({ registry: { rows: [], total: 0, states: {} } });
    showPage(RegistryPage, '/registry?search=x');
    expect(await screen.findByText('There are no versions in this selection')).toBeTruthy();
  });

  it('counts what differs, and pages on the server', async () => {
    const declared = {
      model_name: STRANGE,
      model_version: 'v9',
      tenant_id: 'acme',
      state: 'undeclared',
      stage: '',
      owner: '',
      framework: '',
    };
    routes({
      registry: {
        rows: [declared],
        total: 20_000,
        states: { undeclared: 20_000, unseen: 3, 'as declared': 1 },
      },
    });
    showPage(RegistryPage, '/registry?state=undeclared&search=v9');
    expect(await screen.findByText('1 to 1 of 20,000')).toBeTruthy();
    expect(asked(backend, 'registry').map(String)).toEqual(['search=v9&state=undeclared&limit=50&offset=0']);
  });
});
