/** Rows and answers that tests of pages show. */
import type { TriageRow } from '../api';

/** A name with all that an address or a page could trip over. */
export const STRANGE = 'a/b "$x" 🦊&c=d';

export const triageRow = (more: Partial<TriageRow> = {}): TriageRow => ({
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

export const INCIDENT = {
  id: '1-ab',
  starts_at: 1000,
  ends_at: null,
  duration_seconds: 60,
  status: 'firing',
  severity: 'critical',
  tenant_id: 'acme',
  model_name: STRANGE,
  alertnames: 'ModelSloBurn',
  episodes: 1,
  flapping: '',
  planned: false,
  acknowledged_at: null,
  acknowledged_by: '',
};
export const DETAIL = {
  ...INCIDENT,
  acknowledgements: [],
  silences: [],
  comments: [{ at: 2000, by: 'bob', comment: '<b>rolled back</b>' }],
  alerts: [
    {
      starts_at: 1000,
      ends_at: null,
      status: 'firing',
      alertname: 'ModelSloBurn',
      severity: 'critical',
      model_version: 'v1',
      description: 'burns',
      runbook_url: 'javascript:alert(1)',
      dashboard_url: 'https://grafana/d/x',
      fingerprint: 'f',
    },
  ],
};
export const AROUND = {
  'incidents/1-ab': DETAIL,
  'annotations/version_changes': {
    rows: [{ time: 1, timeEnd: null, title: 'v2 loaded', text: '', tags: '' }],
  },
  'drift/top': { rows: [] },
};

export const SIGNAL = {
  model_name: 'reader',
  model_version: 'v1',
  tenant_id: '__all__',
  kind: 'input',
  signal: STRANGE,
  value: 0.5,
  n: 900,
  noise: 0.01,
  beyond: 2,
  state: 'calibrated',
  moved: 'psi',
  limit: 0.2,
  past_max: 0.1,
  past_hours: 48,
  ...Object.fromEntries(
    ['mean_shift', 'variance_ratio', 'missing_shift'].flatMap((arm) =>
      ['', '_low_limit', '_high_limit'].map((part) => [arm + part, null]),
    ),
  ),
};

export const UNDECIDED = {
  name: 'error_ratio',
  unit: 'ratio',
  method: '',
  reason: 'Fewer than four slices.',
  verdict: 'not_enough_data',
  baseline_count: 4,
  candidate_count: 5,
  margin: 0.005,
  relative: false,
  ...Object.fromEntries(
    ['baseline', 'candidate'].flatMap((side) => ['', '_low', '_high'].map((part) => [side + part, null])),
  ),
  difference: null,
  low: null,
  high: null,
};

export const COST_ROW = {
  start: 0,
  end: 1,
  tenant: 'acme',
  model: STRANGE,
  kind: 'direct',
  unit: 'device_seconds',
  quantity: 3600,
  estimated: 0,
  currency: 'EUR',
  amount: 12.5,
  state: 'priced',
};
