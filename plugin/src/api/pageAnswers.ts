/** Shapes of the answers that the app's pages show, checked where they arrive as those of `answers`. */
import * as v from 'valibot';

const number = v.nullable(v.number());
const text = v.string();
const warnings = v.optional(v.array(v.string()), []);
const rowsOf = <T extends v.GenericSchema>(row: T) => ({ rows: v.array(row), warnings });

export const triageRow = v.object({
  model_name: text,
  tenant_id: text,
  owner: text,
  severity: text,
  reasons: v.array(text),
  incident_id: v.nullable(text),
  alertnames: text,
  acknowledged_by: text,
  slo: text,
  burn_rate: number,
  moved_signals: v.number(),
  kind: text,
  signal: text,
  budget_ratio: number,
  currency: text,
  invalid_observations: number,
  production: text,
  candidate: text,
});
export const triage = v.object({ ...rowsOf(triageRow), total: v.number() });

export const registryRow = v.object({
  model_name: text,
  model_version: text,
  tenant_id: text,
  state: text,
  stage: text,
  owner: text,
  framework: text,
});
export const registry = v.object({
  ...rowsOf(registryRow),
  total: v.number(),
  states: v.record(text, v.number()),
});

const incidentRow = {
  id: text,
  starts_at: v.number(),
  ends_at: number,
  duration_seconds: v.number(),
  status: text,
  severity: text,
  tenant_id: text,
  model_name: text,
  alertnames: text,
  episodes: v.number(),
  flapping: text,
  planned: v.boolean(),
  acknowledged_at: number,
  acknowledged_by: text,
};
export const incidents = v.object({
  incidents: v.array(v.object(incidentRow)),
  total: v.number(),
  warnings,
});

const alert = v.object({
  starts_at: v.number(),
  ends_at: number,
  status: text,
  alertname: text,
  severity: text,
  model_version: text,
  summary: v.optional(text, ''),
  description: text,
  runbook_url: text,
  dashboard_url: text,
  fingerprint: text,
});
export const incident = v.object({
  ...incidentRow,
  acknowledgements: v.array(v.object({ at: v.number(), by: text, note: text })),
  comments: v.array(v.object({ at: v.number(), by: text, comment: text })),
  silences: v.array(
    v.object({
      id: text,
      status: text,
      starts_at: v.number(),
      ends_at: v.number(),
      by: text,
      comment: text,
    }),
  ),
  alerts: v.array(alert),
});
export const silence = v.object({ id: text, status: text, ends_at: v.number() });
export const silences = v.object({ silences: v.array(silence), total: v.number(), warnings });

const indicator = v.object({
  name: text,
  unit: text,
  method: text,
  reason: text,
  verdict: text,
  baseline_count: v.number(),
  candidate_count: v.number(),
  baseline: number,
  baseline_low: number,
  baseline_high: number,
  candidate: number,
  candidate_low: number,
  candidate_high: number,
  difference: number,
  low: number,
  high: number,
  margin: v.number(),
  relative: v.boolean(),
});
export const comparison = v.object({
  verdict: text,
  level: v.number(),
  summary: v.array(text),
  indicators: v.array(indicator),
  warnings,
});
export const verdicts = v.object(rowsOf(v.object({ time: v.number(), indicator: text, verdict: text })));

export const movedSignal = v.object({
  model_name: text,
  model_version: text,
  tenant_id: text,
  kind: text,
  signal: text,
  value: number,
  n: number,
  noise: v.optional(number, null),
  beyond: number,
  state: text,
  moved: text,
  limit: number,
  past_max: number,
  past_hours: v.number(),
  mean_shift: number,
  mean_shift_low_limit: number,
  mean_shift_high_limit: number,
  variance_ratio: number,
  variance_ratio_low_limit: number,
  variance_ratio_high_limit: number,
  missing_shift: number,
  missing_shift_low_limit: number,
  missing_shift_high_limit: number,
});
export const movedSignals = v.object(rowsOf(movedSignal));

export const distribution = v.object({
  data: v.array(
    v.object({
      name: text,
      n: number,
      data: v.array(v.object({ x: text, y: number, label: text })),
    }),
  ),
  warnings,
});

const name = v.optional(v.nullable(text), null);
export const costRow = v.object({
  start: v.number(),
  end: v.number(),
  tenant: name,
  model: name,
  version: name,
  kind: text,
  unit: text,
  quantity: v.number(),
  estimated: v.number(),
  currency: v.nullable(text),
  amount: number,
  state: text,
});
export const costs = v.object({ idle: text, shared: text, ...rowsOf(costRow) });
export const forecasts = v.object({
  coverage: v.number(),
  ...rowsOf(
    v.object({
      tenant: text,
      currency: text,
      month_end: v.number(),
      days: v.number(),
      spent: number,
      low: number,
      expected: number,
      high: number,
      budget: number,
      verdict: text,
    }),
  ),
});

export const watchdog = v.looseObject({ last_seen_at: number, age_seconds: number });

export type Triage = v.InferOutput<typeof triage>;
export type TriageRow = v.InferOutput<typeof triageRow>;
export type RegistryAnswer = v.InferOutput<typeof registry>;
export type RegistryRow = v.InferOutput<typeof registryRow>;
export type Incidents = v.InferOutput<typeof incidents>;
export type IncidentRow = Incidents['incidents'][number];
export type Incident = v.InferOutput<typeof incident>;
export type AlertRow = Incident['alerts'][number];
export type SilenceAnswer = v.InferOutput<typeof silence>;
export type Silences = v.InferOutput<typeof silences>;
export type Comparison = v.InferOutput<typeof comparison>;
export type Indicator = Comparison['indicators'][number];
export type Verdicts = v.InferOutput<typeof verdicts>;
export type MovedSignal = v.InferOutput<typeof movedSignal>;
export type MovedSignals = v.InferOutput<typeof movedSignals>;
export type Distribution = v.InferOutput<typeof distribution>;
export type Costs = v.InferOutput<typeof costs>;
export type CostRow = v.InferOutput<typeof costRow>;
export type Forecasts = v.InferOutput<typeof forecasts>;
export type ForecastRow = Forecasts['rows'][number];
export type Watchdog = v.InferOutput<typeof watchdog>;
