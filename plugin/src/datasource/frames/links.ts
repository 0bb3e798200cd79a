/** Links from a cell to the page or board about it; they keep the time range. */
import type { DataLink } from '@grafana/data';
import { APP_ID } from '../../ids';

const VALUE = '${__value.raw:percentencode}';
const FLEET_BOARD = '/d/mp-fleet';

const BY_COLUMN: Record<string, DataLink> = {
  model_name: board('model'),
  model: board('model'),
  tenant_id: board('tenant'),
  tenant: board('tenant'),
  dashboard_url: { title: 'Board', url: '${__value.raw}', targetBlank: true },
  runbook_url: { title: 'Runbook', url: '${__value.raw}', targetBlank: true },
};

const BY_TABLE: Record<string, Record<string, DataLink>> = {
  incidents: { id: { title: 'Incident', url: `/a/${APP_ID}/incidents/${VALUE}?\${__url_time_range}` } },
};

/** The one link of a column: with several a click opens a menu. */
export function linksOf(table: string, column: string): { links?: DataLink[] } {
  const link = BY_TABLE[table]?.[column] ?? BY_COLUMN[column];
  return link ? { links: [link] } : {};
}

function board(kind: 'model' | 'tenant'): DataLink {
  return {
    title: `Fleet board with this ${kind} only`,
    url: `${FLEET_BOARD}?var-${kind}=${VALUE}&\${__url_time_range}`,
  };
}
