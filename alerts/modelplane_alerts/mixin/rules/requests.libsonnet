// Requests, errors, latency and confidence.
local schema = import '../schema.json';

local promql = import '../promql.libsonnet';

local metrics = schema.metrics;
local recorded = schema.recorded;
local windowed = schema.windowed;
local expressions = schema.expressions;

local record(series, expr) = { record: series.name, expr: expr };
local increase(outcomes, window) =
  promql.by('sum', promql.calls, promql.increase(metrics.REQUESTS, window, 'outcome=~"' + outcomes + '"'));
local failed(window) = windowed.CALLS_FAILED + window;
local completed(window) = windowed.CALLS_COMPLETED + window;
// Of versions that the registry does not know, what their processes say; of several the stage that serves most. A
// version that is gone keeps its stage for as long as a day of its calls is looked at.
local perStage(expr) = promql.by('max', 'model_name, model_version, stage', expr);
local declaredStage = promql.constant(recorded.DECLARED_STAGE, ['model_name', 'model_version', 'stage']);
local said(stage) = promql.raw(metrics.MODEL_INFO, 'stage="' + stage + '"');
local stages = ['production', 'canary', 'shadow', 'development'];
local stagesSaid = [perStage(said(stage)) for stage in stages] +
                   [perStage('max_over_time(' + said(stage) + '[25h:5m])') for stage in stages];
local orElse(expr, other) = promql.lines([expr, 'or on (model_name, model_version)', other]);

{
  local config = $._config,

  local quantiles = if config.nativeHistograms then schema.latencyQuantilesNative else schema.latencyQuantiles,
  local histogram(part, window) =
    local increase(metric) = promql.by('sum', promql.version, promql.increase(metric, window));
    if config.nativeHistograms
    then 'histogram_' + part + '(' + increase(metrics.CONFIDENCE) + ')'
    else increase(metrics.CONFIDENCE + '_' + part),

  // Enough failures, and a large share. What few series have comes first, for the rest need not be joined then.
  local fails(window) =
    '(' + failed(window) + ' >= ' + config.minBadEvents + ') / ' + completed(window) + ' > ' + promql.number(config.errorRatioThreshold),

  // Calls, and those of whom too many fail, as alerts ask for each stage.
  callRules:: std.flatMap(
    function(window) [
      { record: failed(window), expr: increase('failure', window) },
      { record: completed(window), expr: increase(schema.completedOutcomes, window) },
    ],
    schema.callWindows
  ) + [
    record(recorded.CALLS_FAILING_BURST, fails('5m')),
    record(recorded.CALLS_FAILING, promql.lines([
      '(' + fails('5m'),
      'or',
      // A burst stays in view for as long as bursts may be apart to be one alert.
      'max_over_time(' + recorded.CALLS_FAILING_BURST.name + '[' + config.holdErrors + '])',
      'or',
      // Some calls a minute: an hour decides, and its last half says whether it is over.
      '(' + fails('1h') + ' and max_over_time(' + failed('5m') + '[30m]) > 0)',
      'or',
      // A call now and then: a day decides.
      '(' + fails('1d') + ' unless ' + completed('1h') + ' >= ' + config.minBadEvents + '))',
      'unless on (model_name) ' + recorded.SLO_INDICATOR.name + '{indicator="errors"}',
    ])),
  ],

  ruleGroups+:: [
    {
      name: 'modelplane-stages',
      interval: config.replicaInterval,
      rules: [record(recorded.VERSION_STAGE, std.foldl(orElse, stagesSaid, declaredStage))],
    },
    {
      name: 'modelplane-requests',
      interval: config.levelInterval,
      rules: [
        record(recorded.REQUEST_RATE, expressions.REQUEST_RATE),
        record(recorded.FAILURE_RATE, expressions.FAILURE_RATE),
        record(recorded.ERROR_RATIO, expressions.ERROR_RATIO),
      ],
    },
    {
      // A day is read every few minutes, for it costs as much as all else of requests.
      name: 'modelplane-requests-days',
      interval: config.sloPeriodInterval,
      rules: std.flatMap(
        function(window) [
          { record: series(window), expr: 'sum_over_time(' + series('5m') + '[' + window + ':5m])' }
          for series in [failed, completed]
        ],
        schema.summedCallWindows
      ),
    },
    {
      name: 'modelplane-latency',
      interval: config.levelInterval,
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
