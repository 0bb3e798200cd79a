/** Why a model needs attention, in words, and where to go on. */
import type { TriageRow } from '../../api';
import { ALL_TENANTS, boardUrl, incidentUrl, pageUrl } from '../state/links';
import { countText, numberText, shareText } from './format';

export const REASONS = [
  { value: 'incident', label: 'Incident' },
  { value: 'slo_burn', label: 'SLO burn' },
  { value: 'drift', label: 'Drift' },
  { value: 'budget', label: 'Cost against budget' },
  { value: 'data_contract', label: 'Data contract' },
  { value: 'not_seen', label: 'Not seen' },
] as const;

export interface Destination {
  text: string;
  /** Undefined where there is nowhere to go. */
  to?: string;
}

/** A sentence for each reason, in the API's order; one that this plugin does not know is shown as it is. */
export function reasonsOf(row: TriageRow): Destination[] {
  return row.reasons.map((reason) => DESCRIBED[reason]?.(row) ?? { text: reason });
}

const DESCRIBED: Record<string, (row: TriageRow) => Destination> = {
  incident: (row) => ({
    text: `Incident: ${row.alertnames}${row.acknowledged_by ? `, acknowledged by ${row.acknowledged_by}` : ''}`,
    to: row.incident_id ? incidentUrl(row.incident_id) : undefined,
  }),
  slo_burn: (row) => ({
    text: `Error budget of ${row.slo} burns ${numberText(row.burn_rate)} times as fast as it may`,
    to: boardUrl(row.model_name, row.tenant_id),
  }),
  drift: (row) => ({
    text:
      row.moved_signals > 1
        ? `${countText(row.moved_signals)} signals beyond their limits, such as ${row.signal}`
        : `Signal ${row.signal} is beyond its limit`,
    to: pageUrl('drift', { ...selectionOf(row), kind: row.kind, signal: row.signal }),
  }),
  budget: (row) => ({
    text: `A month at this hour's pace costs ${shareText(row.budget_ratio)} of the budget (${row.currency})`,
    to: pageUrl('cost', selectionOf(row)),
  }),
  data_contract: (row) => ({
    text: `${countText(row.invalid_observations)} values broke the data contract in an hour`,
    to: boardUrl(row.model_name, row.tenant_id),
  }),
  not_seen: (row) => ({
    text: 'Declared, but no call was ever seen',
    to: pageUrl('registry', { search: row.model_name, 'tenant-id': row.tenant_id }),
  }),
};

/** What a row is about, as parameters of another page. */
function selectionOf({ model_name, tenant_id }: TriageRow) {
  return { 'model-name': model_name, 'tenant-id': tenant_id === ALL_TENANTS ? undefined : tenant_id };
}

export function linksOf(row: TriageRow): Destination[] {
  const links: Destination[] = [
    { text: 'Board', to: boardUrl(row.model_name, row.tenant_id) },
    { text: 'Incidents', to: pageUrl('incidents', selectionOf(row)) },
  ];
  const { production: baseline, candidate } = row;
  if (baseline && candidate && row.tenant_id !== ALL_TENANTS) {
    links.push({ text: 'Compare', to: pageUrl('compare', { ...selectionOf(row), baseline, candidate }) });
  }
  return links;
}

export const modelText = ({ model_name }: TriageRow) => model_name || 'All models of the tenant';
export const tenantText = ({ tenant_id }: TriageRow) =>
  tenant_id === ALL_TENANTS ? 'All tenants' : tenant_id;
export const triageId = ({ model_name, tenant_id }: TriageRow) => JSON.stringify([model_name, tenant_id]);
