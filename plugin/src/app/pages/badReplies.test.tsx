import { cleanup, screen, within } from '@testing-library/react';
import type { ComponentType } from 'react';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { FakeBackend, type Reply } from '../../testing/backend';
import { BAD_REPLIES } from '../../testing/badReplies';
import { showPage, sources } from '../../testing/page';
import { STRANGE } from '../../testing/samples';

let backend: FakeBackend;
vi.mock('@grafana/runtime', () => ({
  getBackendSrv: () => backend,
  getDataSourceSrv: () => sources,
  config: { bootData: { user: { login: 'ann', orgRole: 'Editor' } } },
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

const COMPARED = new URLSearchParams({ 'model-name': STRANGE, baseline: 'v1', candidate: 'v2' });
type Page = [string, ComponentType, string, string?];
const PAGES: [Page, ...Page[]] = [
  ['triage', TriagePage, '/triage'],
  ['incidents', IncidentsPage, '/incidents'],
  ['incident', IncidentPage, '/incidents/1-ab', '/incidents/:id'],
  ['compare', ComparePage, `/compare?${COMPARED}`],
  ['drift', DriftPage, '/drift'],
  ['cost', CostPage, '/cost'],
  ['registry', RegistryPage, '/registry'],
  ['configuration', ConfigurationPage, '/configuration'],
];

beforeEach(() => {
  backend = new FakeBackend(() => undefined);
});
afterEach(cleanup);

/** The alerts of a page that gets `reply` to all it asks for; each is a title and a sentence. */
async function alertsOf([, Component, at, path]: Page, reply: Reply) {
  backend.reply = () => reply;
  const { container } = showPage(Component, at, path);
  await screen.findAllByRole('alert');
  await vi.waitFor(() => expect(screen.queryByText('Loading')).toBeNull());
  expect(within(container).queryByRole('table')).toBeNull();
  return screen.getAllByRole('alert').map(({ textContent }) => textContent);
}

// Each on one page, in turn: all show a failure by the same component.
const SHOWN = BAD_REPLIES.map((bad, index) => ({ bad, page: PAGES[index % PAGES.length] ?? PAGES[0] }));

describe('a page', () => {
  it.each(SHOWN)('says of $bad.0 what it is: $page.0', async ({ bad: [, reply, sentence], page }) => {
    for (const text of await alertsOf(page, reply)) {
      expect(text).toContain(sentence);
    }
  });

  it.each(PAGES)('names the place of an answer without its parts: %s', async (...page) => {
    for (const text of await alertsOf(page, { data: {} })) {
      expect(text).toContain('is not as expected');
    }
  });
});
