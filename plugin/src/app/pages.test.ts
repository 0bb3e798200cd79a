import { describe, expect, it, vi } from 'vitest';
import { APP_ID } from '../ids';
import app from '../plugin.json';
import { urlOf } from './state/links';

vi.mock('@grafana/runtime', () => ({}));
vi.mock('@grafana/ui', () => ({}));

describe('the pages of plugin.json', async () => {
  const { PAGES } = await import('./pages');
  const listed = PAGES.filter(({ path }) => !path.includes(':'));
  const declared = app.includes.filter(({ type }) => type === 'page');

  it('are those of the app, in its order, and the first is where the menu leads', () => {
    expect(declared.map(({ name, path }) => [name, path])).toEqual(
      listed.map(({ path, title }) => [title, urlOf(path)]),
    );
    expect(declared.map((page) => page.defaultNav ?? false)).toEqual(listed.map((_, index) => index === 0));
  });

  it('lie below the app', () => {
    expect(app.id).toBe(APP_ID);
    expect(urlOf('configuration')).toBe('/a/modelplane-monitoring-app/configuration');
  });
});
