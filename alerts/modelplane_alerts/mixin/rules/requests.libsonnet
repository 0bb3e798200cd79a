// Requests, errors, latency and confidence.
local schema = import '../schema.json';

local promql = import '../promql.libsonnet';

local metrics = schema.metrics;
local recorded = schema.recorded;
local windowed = schema.windowed;
local expressions = schema.expressions;

local record(series, expr) = { record: series.name, expr: expr };
local calls(outcomes, window) =
  promql.by('sum', promql.calls, promql.increase(metrics.REQUESTS, window, 'outcome=~"' + outcomes + '"'));

{
  local config = $._config,

  local quantiles = if config.nativeHistograms then schema.latencyQuantilesNative else schema.latencyQuantiles,
  local histogram(part, window) =
    local increase(metric) = promql.by('sum', promql.version, promql.increase(metric, window));
    if config.nativeHistograms
    then 'histogram_' + part + '(' + increase(metrics.CONFIDENCE) + ')'
    else increase(metrics.CONFIDENCE + '_' + part),

  ruleGroups+:: [
    {
      name: 'modelplane-stages',
      // Of versions that the registry does not know, what their processes say.
      rules: [
        record(recorded.VERSION_STAGE, promql.lines([
          promql.constant(recorded.DECLARED_STAGE, ['model_name', 'model_version', 'stage']),
          'or',
          promql.by('max', 'model_name, model_version, stage', promql.raw(metrics.MODEL_INFO, 'stage!=""')),
          'unless on (model_name, model_version)',
          recorded.DECLARED_STAGE.name,
        ])),
      ],
    },
    {
      name: 'modelplane-requests',
      rules: [
        record(recorded.REQUEST_RATE, expressions.REQUEST_RATE),
        record(recorded.FAILURE_RATE, expressions.FAILURE_RATE),
        record(recorded.ERROR_RATIO, expressions.ERROR_RATIO),
      ] + std.flatMap(
        function(window) [
          { record: windowed.CALLS_FAILED + window, expr: calls('failure', window) },
          { record: windowed.CALLS_COMPLETED + window, expr: calls(schema.completedOutcomes, window) },
        ],
        schema.callWindows
      ),
    },
    {
      name: 'modelplane-latency',
      rules: [
        { record: recorded.LATENCY_QUANTILE.name, expr: latency.expression, labels: { quantile: latency.quantile } }
        for latency in quantiles
      ],
    },
    {
      name: 'modelplane-confidence',
      interval: config.sloLongInterval,
      rules: [
        record(
          recorded.CONFIDENCE_MEAN,
          histogram('sum', '1h') + '\n/ (' + histogram('count', '1h') + ' >= ' + config.minObservations + ')'
        ),
      ],
    },
    { name: 'modelplane-token-costs', interval: config.tokenCostInterval, rules: schema.tokenCosts },
  ],
}
