// Signals that are not what they were, by their own past, or far from what they were in training.
local schema = import '../schema.json';

local drift = import '../drift.libsonnet';
local passes = import '../passes.libsonnet';
local promql = import '../promql.libsonnet';

local recorded = schema.recorded;
local calibration = schema.calibration;

local of = '{{ $labels.kind }} {{ $labels.signal }} of {{ $labels.model_name }} {{ $labels.model_version }}';
local value = '{{ $value | printf "%.3g" }}';
local identity = ['model_name', 'model_version', 'tenant_id', 'kind', 'signal', 'baseline'];

// Selectors of the signal and of its model, for the queries of an alert's text.
local selectors =
  '{{ $signal := printf `{' + std.join(',', [label + '=%q' for label in identity]) + '}` ' +
  std.join(' ', ['$labels.' + label for label in identity]) + ' }}' +
  '{{ $model := printf `{model_name=%q}` $labels.model_name }}';
local ofSignal = '%[1]s';
local ofModel = '%[2]s';
// A number that is asked for when the alert fires.
local queried(query) =
  '{{ with printf `' + query + '` $signal $model | query }}{{ . | first | value | printf "%.3g" }}{{ end }}';

{
  local config = $._config,

  local perSignal(parts) = promql.by('max', promql.labels(identity), promql.lines(parts)),
  local windows = drift.windows(config),
  local calibrated = drift.calibratedWindows(config),

  local psi = drift.first(windows, function(window) drift.name('SIGNAL_PSI', window)),
  local above(series, default) = promql.lines([
    '(' + drift.excess(config) + ')',
    '> on (model_name) group_left ()',
    drift.threshold(series, default, psi),
  ]),
  local critical = above(recorded.DRIFT_PSI_CRITICAL, config.psiCritical),
  // While a signal has no past, the registry's threshold counts.
  local warning = promql.lines(
    ['(' + psi + ')', 'and (' + above(recorded.DRIFT_PSI_WARNING, config.psiWarning) + ')'] +
    ['unless ' + drift.name('SIGNAL_PSI_LIMIT', window) for window in calibrated]
  ),

  // Of the windows that have a value the shortest counts, as in the expressions.
  local shortest(key, windows) =
    'max(' + std.join(' or ', [drift.name(key, window) + ofSignal for window in windows]) + ')',
  local threshold(series, default) =
    '(max(' + series.name + ofModel + ') or vector(' + promql.number(default) + '))',
  local limit(key) = queried(shortest(key, calibrated)),
  local psiLimit = queried(
    shortest('SIGNAL_PSI_LIMIT', calibrated) + ' or ' + shortest('SIGNAL_PSI_NOISE', windows) + ' + ' +
    threshold(recorded.DRIFT_PSI_WARNING, config.psiWarning)
  ),

  local moved(arm) =
    drift.first(calibrated, function(window) drift.name('SIGNAL_MOVED', window) + '{method="' + arm.method + '"}'),
  local drifted(arm) =
    local expr =
      if arm.method == 'psi'
      // What is above critical is an alert of its own.
      then perSignal(['(' + moved(arm), 'or', warning + ')', 'unless', critical])
      else perSignal([moved(arm)]);
    local limits =
      if arm.method == 'psi' then 'above its limit of ' + psiLimit
      else 'outside of its limits ' + limit(arm.low) + ' and ' + limit(arm.high);
    passes.alert('SIGNAL_DRIFT', expr, selectors + 'The ' + arm.method + ' of ' + of + ' is ' + value + ', ' + limits + '.') {
      labels+: { method: arm.method },
    },

  alertGroups+:: [
    {
      name: 'modelplane-drift-alerts',
      interval: config.driftInterval,
      rules: std.map(drifted, calibration.arms) + [
        passes.alert(
          'SIGNAL_FAR_FROM_BASELINE',
          perSignal([critical]),
          selectors + 'The psi of ' + of + ' is ' + value + ' above what chance explains; the limit is ' +
          queried(threshold(recorded.DRIFT_PSI_CRITICAL, config.psiCritical)) + '.'
        ) { labels+: { method: 'psi' } },
      ],
    },
  ],
}
