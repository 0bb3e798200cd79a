// What a model says and what is known of it: confidence, the data contract, baselines.
local schema = import '../schema.json';

local passes = import '../passes.libsonnet';
local promql = import '../promql.libsonnet';

local metrics = schema.metrics;
local recorded = schema.recorded;

local of = '{{ $labels.model_name }} {{ $labels.model_version }}';
local baselines = promql.by('group', promql.version, promql.raw(metrics.BASELINE_OBSERVATIONS));

{
  local config = $._config,

  // The hours of the week before; a day of them at least, for hours of a day differ.
  local week(operator) = operator + '_over_time(' + recorded.CONFIDENCE_MEAN.name + '[7d:1h] offset 2h)',
  local shift = 'abs(' + recorded.CONFIDENCE_MEAN.name + ' - ' + week('avg') + ')',
  local invalid = promql.increase(metrics.INVALID_OBSERVATIONS, '1h'),
  local finished = promql.by('sum', promql.version, promql.increase(metrics.REQUESTS, '1h')),
  local broken = promql.by('sum', promql.version + ', reason', invalid),

  alertGroups+:: [
    {
      name: 'modelplane-quality-alerts',
      interval: config.qualityInterval,
      rules: [
        // A version with a baseline of its predictions has the alerts of drift instead.
        passes.alert('CONFIDENCE_SHIFT', promql.lines([
          '(' + shift + ' > ' + config.confidenceShift,
          'and',
          shift + ' > ' + config.confidenceDeviations + ' * ' + week('stddev'),
          'and',
          week('count') + ' >= 24',
          'unless on (' + promql.version + ')',
          promql.raw(metrics.BASELINE_OBSERVATIONS, 'kind="output"') + ')',
        ]), 'The mean confidence of ' + of + ' over an hour is {{ $value | printf "%.3f" }} away from that of the week before; the limit is ' +
            config.confidenceShift + ', or ' + config.confidenceDeviations + ' standard deviations of its hours.'),
        passes.alert('DATA_CONTRACT', promql.lines([
          '(' + broken + ' >= ' + config.minInvalid + ')',
          '/ on (' + promql.version + ') group_left () (' + finished + ' > 0) > ' + config.dataContractThreshold,
        ]), '{{ $value | humanizePercentage }} of the calls of ' + of + ' break the data contract ({{ $labels.reason }}); the limit is ' +
            '{{ ' + config.dataContractThreshold + ' | humanizePercentage }}.'),
        passes.alert('BASELINE_MISSING', promql.lines([
          promql.by('group', promql.version, promql.raw(metrics.MODEL_INFO)),
          'and on (model_name, model_version)',
          recorded.PRODUCTION_VERSION.name,
          'and on (' + promql.labels(['model_name']) + ')',
          'max_over_time(' + promql.raw(metrics.BASELINE_OBSERVATIONS) + '[1d:5m])',
          'unless',
          baselines,
        ]), 'No process of ' + of + ' exposes a training baseline, so that its drift is not known; another version of the model has one.'),
      ],
    },
  ],
}
