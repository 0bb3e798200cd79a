/** Addresses of the app's pages and of boards. Names stand in them encoded, never as they are. */
import { APP_ID } from '../../ids';
import { type Changes, changed } from './search';

export const urlOf = (path: string) => `/a/${APP_ID}/${path}`;

const FLEET_BOARD = '/d/mp-fleet';

/** A page with what is chosen on it. */
export function pageUrl(path: string, choices: Changes = {}): string {
  return withQuery(urlOf(path), changed(new URLSearchParams(), choices));
}

export const incidentUrl = (id: string) => pageUrl(`incidents/${encodeURIComponent(id)}`);

/** The board of the fleet, narrowed to a model and tenant; an empty name, or that of all tenants, narrows nothing. */
export function boardUrl(model: string, tenant: string): string {
  const of = (name: string) => (name === '' || name === ALL_TENANTS ? undefined : name);
  return withQuery(
    FLEET_BOARD,
    changed(new URLSearchParams(), { 'var-model': of(model), 'var-tenant': of(tenant) }),
  );
}

/** What the API calls all tenants together. */
export const ALL_TENANTS = '__all__';

/** An address from an alert, if a browser may follow it. */
export function safeUrl(address: string): string | undefined {
  return /^https?:\/\//i.test(address) ? address : undefined;
}

function withQuery(path: string, search: URLSearchParams): string {
  const query = search.toString();
  return query ? `${path}?${query}` : path;
}
