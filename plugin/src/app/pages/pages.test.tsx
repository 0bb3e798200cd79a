import { cleanup, screen, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { TriageRow } from '../../api';
import { FakeBackend, type Reply } from '../../testing/backend';
import { asked, currentAddress, pathOf, showPage, sources } from '../../testing/page';

let backend: FakeBackend;
vi.mock('@grafana/runtime', () => ({
  getBackendSrv: () => backend,
  getDataSourceSrv: () => sources,
  config: {},
  PanelRenderer: () => null,
}));
const { TriagePage } = await import('./TriagePage');

const STRANGE = 'a/b "$x" 🦊&c=d';
const row = (more: Partial<TriageRow> = {}): TriageRow => ({
  model_name: 'reader',
  tenant_id: 'acme',
  owner: 'vision',
  severity: 'critical',
  reasons: ['incident', 'slo_burn'],
  incident_id: '1-ab',
  alertnames: 'ModelSloBurn',
  acknowledged_by: 'ann',
  slo: 'availability',
  burn_rate: 20,
  moved_signals: 0,
  kind: '',
  signal: '',
  budget_ratio: null,
  currency: '',
  invalid_observations: null,
  production: 'v1',
  candidate: 'v2',
  ...more,
});
const answer = (rows: TriageRow[], total = rows.length): Reply => ({ data: { rows, total } });
const replies = (triage: Reply) => {
  backend.reply = ({ url }) =>
    pathOf(url).includes('/menus/') ? { data: { values: ['acme'], total: 1 } } : triage;
};

beforeEach(() => {
  backend = new FakeBackend(() => undefined);
});
afterEach(cleanup);

describe('triage', () => {
  it('says why, in words, and where to go on', async () => {
    replies(
      answer([
        row(),
        row({
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
        Array.from({ length: 50 }, (_, n) => row({ model_name: `m${n}` })),
        10_000,
      ),
    );
    showPage(TriagePage, '/triage?page=2');
    await screen.findByText('51 to 100 of 10,000');
    expect(asked(backend, 'triage').map((params) => params.toString())).toEqual(['limit=50&offset=50']);
  });

  it('keeps what is chosen in its address, and a search starts at the first page', async () => {
    replies(answer([row()]));
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
