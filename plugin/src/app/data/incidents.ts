/** Incidents as frames of a timeline, and what surrounds one of them. */
import { type DataFrame, FieldType, createDataFrame } from '@grafana/data';
import type { IncidentRow } from '../../api';
import { ALL_TENANTS } from '../state/links';
import { wordMappings } from './colors';

export const STATUSES = [
  { value: 'firing', label: 'Firing' },
  { value: 'suppressed', label: 'Suppressed' },
  { value: 'resolved', label: 'Resolved' },
] as const;

export const ORDERS = [
  { value: 'worst', label: 'Worst first' },
  { value: 'newest', label: 'Newest first' },
] as const;

export function subjectText({
  model_name,
  tenant_id,
}: Pick<IncidentRow, 'model_name' | 'tenant_id'>): string {
  const tenant = tenant_id === ALL_TENANTS ? 'all tenants' : tenant_id || 'no tenant';
  return `${model_name || 'no model'}, ${tenant}`;
}

/** A frame for each model and tenant: its severity from the start of an incident to its end, then nothing. */
export function timelineFrames(incidents: readonly IncidentRow[], now: number): DataFrame[] {
  const bySubject = new Map<string, IncidentRow[]>();
  for (const incident of incidents) {
    const subject = subjectText(incident);
    bySubject.set(subject, [...(bySubject.get(subject) ?? []), incident]);
  }
  return [...bySubject].map(([subject, ofSubject]) => frameOf(subject, ofSubject, now));
}

function frameOf(subject: string, incidents: IncidentRow[], now: number): DataFrame {
  const ordered = [...incidents].sort((one, other) => one.starts_at - other.starts_at);
  const points = ordered.flatMap(({ starts_at, ends_at, severity }) => [
    { time: starts_at, severity: severity as string | null },
    { time: Math.max(starts_at, ends_at ?? now), severity: null },
  ]);
  return createDataFrame({
    name: subject,
    fields: [
      { name: 'time', type: FieldType.time, values: points.map(({ time }) => time) },
      {
        name: 'severity',
        type: FieldType.string,
        values: points.map(({ severity }) => severity),
        config: { displayNameFromDS: subject, mappings: wordMappings },
      },
    ],
  });
}

const HOUR = 3_600_000;

/** From an hour before an incident to its end, or to now while it lasts. */
export function surroundings(
  { starts_at, ends_at }: Pick<IncidentRow, 'starts_at' | 'ends_at'>,
  now: number,
) {
  return { from: starts_at - HOUR, to: Math.max(starts_at, ends_at ?? now) };
}

/** The `most` rows that are nearest to a moment, the newest first, and how many there are besides. */
export function nearest<T extends { time: number }>(rows: readonly T[], moment: number, most: number) {
  const byDistance = [...rows].sort(
    (one, other) => Math.abs(one.time - moment) - Math.abs(other.time - moment),
  );
  const shown = byDistance.slice(0, most).sort((one, other) => other.time - one.time);
  return { shown, hidden: rows.length - shown.length };
}

/**
 * The silence of an incident's alerts and of nothing else: by model and alert name, for one tenant, which is a
 * parameter of the route and never a matcher.
 */
export function silenceOf(
  incident: Pick<IncidentRow, 'model_name' | 'alertnames'>,
  written: { duration: string; by: string; comment: string },
) {
  const names = incident.alertnames.split(', ');
  const [only] = names;
  const ofName =
    names.length === 1
      ? { name: 'alertname', operator: '=', value: only ?? '' }
      : { name: 'alertname', operator: '=~', value: names.map(literal).join('|') };
  const ofModel = incident.model_name
    ? [{ name: 'model_name', operator: '=', value: incident.model_name }]
    : [];
  return { matchers: [ofName, ...ofModel], ...written };
}

/** A text as a regular expression that fits it alone. */
const literal = (text: string) => text.replace(/[\\.+*?()|[\]{}^$]/g, '\\$&');
