// Service level objectives: good calls and all calls of each window, kept apart so that long windows weight by
// traffic; burn rates; what is left of the budget and for how long. No traffic gives no point.
//
// Increases over at most an hour come from counters. Longer ones are sums of them, days are sums of quarters of a day,
// and periods of hours that are recorded once each, for reading days of what is recorded every minute costs too
// much (benchmarks/rule_evaluation.py). A young SLO has what there is.
//
// What alerts ask of every tenant is recorded for the few of whom it holds: an alert has several rules, by stage and by
// audience, and each would ask for itself.
local schema = import '../schema.json';
local slo = import '../slo.libsonnet';

local promql = import '../promql.libsonnet';

local metrics = schema.metrics;
local recorded = schema.recorded;
local windowed = schema.windowed;

local calls = promql.calls;
local ofSlo = calls + ', slo';
local good(window) = windowed.SLO_GOOD + window;
local total(window) = windowed.SLO_TOTAL + window;
local burnRate(window) = windowed.SLO_BURN_RATE + window;
local record(name, parts) = { record: name, expr: promql.lines(parts) };

local objective = promql.constant(recorded.SLO_OBJECTIVE, ['model_name', 'slo']);
local ofErrors = '* on (model_name) group_left (slo) ' +
                 promql.constant(recorded.SLO_INDICATOR, ['model_name', 'slo'], 'indicator="errors"');
local bounds = promql.constant(recorded.SLO_LATENCY_BOUND, ['model_name', 'slo', 'le']);

local requests(outcomes, window) =
  promql.by('sum', calls, promql.increase(metrics.REQUESTS, window, 'outcome=~"' + outcomes + '"'));

{
  local config = $._config,

  // Only the buckets that an SLO names are read.
  local thresholds = std.set([
    promql.number(objective.indicator.threshold_seconds)
    for model in config.models
    for objective in std.get(model, 'slos', [])
    if objective.indicator.type == 'latency'
  ]),
  local spelled = std.set(thresholds + [bound + '.0' for bound in thresholds] +
                          [std.rstripChars(std.rstripChars(bound, '0'), '.') for bound in thresholds]),
  local bucketsOfSlos = 'le=~"' + std.strReplace(std.join('|', spelled), '.', '[.]') + '"',

  local ofClassic = {
    fast(window):: promql.lines([
      promql.by('sum', ofSlo, promql.lines([
        promql.by('sum', calls + ', le', promql.increase(metrics.LATENCY + '_bucket', window, bucketsOfSlos)),
        '* on (model_name, le) group_left (slo) ' + bounds,
      ])),
    ]),
    all(window):: promql.by('sum', calls, promql.increase(metrics.LATENCY + '_count', window)),
  },
  local ofNative = {
    local increase(window) = promql.by('sum', calls, promql.increase(metrics.LATENCY, window)),
    // The bound of histogram_fraction is a number, so each bound is an expression of its own.
    fast(window):: promql.lines([
      std.join('\nor\n', [
        '(histogram_fraction(0, ' + bound + ', ' + increase(window) + ') * histogram_count(' + increase(window) + '))\n' +
        '* on (model_name) group_left (slo) ' +
        promql.constant(recorded.SLO_LATENCY_BOUND, ['model_name', 'slo'], 'le="' + bound + '"')
        for bound in thresholds
      ]),
    ]),
    all(window):: 'histogram_count(' + increase(window) + ')',
  },
  local latency = if config.nativeHistograms then ofNative else ofClassic,
  local latencyOr(expr) = if thresholds == [] then [] else ['or', expr],
  // All calls of a latency SLO, once for each SLO that the fast calls have.
  local allCalls(window) = promql.lines([
    '(' + latency.fast(window) + ') * 0',
    '+ on (' + calls + ') group_left () ' + latency.all(window),
  ]),

  // A tenant whose every call fails may have no series of success.
  local goodOfCounters(window) = [
    '(' + requests('success', window) + ' or ' + requests('failure', window) + ' * 0)',
    ofErrors,
  ] + latencyOr(latency.fast(window)),
  local totalOfCounters(window) =
    [requests(schema.completedOutcomes, window), ofErrors] + latencyOr(allCalls(window)),
  local fromCounters(window) = [
    record(good(window), goodOfCounters(window)),
    record(total(window), totalOfCounters(window)),
  ],
  local step = '5m',
  local fromIncreases(window) = [
    // Prometheus sums at whole multiples of the step, so that a young series has no sum for up to five minutes.
    record(name(window), ['sum_over_time(' + name(step) + '[' + window + ':' + step + '])', 'or', name('1h')])
    for name in [good, total]
  ],
  // A part counts whichever others there are, so each is a series of its own to `or`. One that was not recorded at its
  // very time, as while Prometheus was down, is taken from the hour before.
  local part(series, days, index) =
    if index == 0 then series(days.of)
    else
      'label_replace(last_over_time(' + series(days.of) + '[1h] offset ' + index * days.hours + 'h), "part", "' + index + '", "", "")',
  local fromParts(days) = [
    record(series(days.window), [
      promql.by('sum', ofSlo, std.join('\nor\n', [part(series, days, index) for index in std.range(0, days.parts - 1)])),
    ])
    for series in [good, total]
  ],
  local burn(window) = record(burnRate(window), [
    '(1 - ' + good(window) + ' / (' + total(window) + ' > 0))',
    '/ on (model_name, slo) group_left () (1 - ' + objective + ')',
  ]),

  local periods = std.set([
    std.get(objective, 'window', '30d')
    for model in config.models
    for objective in std.get(model, 'slos', [])
  ]),
  local ofPeriod(series, period) =
    'sum_over_time(last_over_time(' + series.name + '[1h])[' + period + ':1h])\nand on (model_name, slo) ' +
    recorded.SLO_PERIOD.name + '{period="' + period + '"}',
  local overPeriods(series) = std.join('\nor\n', ['(' + ofPeriod(series, period) + ')' for period in periods]),
  local allowed = '(1 - ' + objective + ')',

  ruleGroups+:: [
    {
      name: 'modelplane-slo',
      interval: config.sloInterval,
      rules:
        $.callRules +
        std.flatMap(fromCounters, slo.shortWindows) +
        std.map(burn, slo.shortWindows) + [
          record(recorded.SLO_PAGE_BURN_RATE.name, [slo.burnsAny(config, slo.pages)]),
          record(recorded.SLO_DATA.name, [promql.by('count', promql.labels(['model_name', 'slo']), total('1h'))]),
        ],
    },
    {
      name: 'modelplane-slo-long',
      interval: config.sloLongInterval,
      rules: std.flatMap(fromIncreases, slo.longWindows) + std.map(burn, slo.longWindows),
    },
    {
      name: 'modelplane-slo-days',
      interval: config.sloPeriodInterval,
      rules: std.flatMap(fromParts, slo.dayWindows) + [burn(days.window) for days in slo.dayWindows],
    },
  ] + (if periods == [] then [] else [
         {
           name: 'modelplane-slo-hourly',
           interval: '1h',
           rules: [
             record(recorded.SLO_GOOD_HOURLY.name, goodOfCounters('1h')),
             record(recorded.SLO_TOTAL_HOURLY.name, totalOfCounters('1h')),
           ],
         },
         {
           name: 'modelplane-slo-budget',
           interval: config.sloPeriodInterval,
           rules: [
             record(recorded.SLO_GOOD_IN_PERIOD.name, [overPeriods(recorded.SLO_GOOD_HOURLY)]),
             record(recorded.SLO_TOTAL_IN_PERIOD.name, [overPeriods(recorded.SLO_TOTAL_HOURLY)]),
             record(recorded.SLO_BUDGET_REMAINING.name, [
               '1 - (1 - ' + recorded.SLO_GOOD_IN_PERIOD.name + ' / (' + recorded.SLO_TOTAL_IN_PERIOD.name + ' > 0))',
               '/ on (model_name, slo) group_left () ' + allowed,
             ]),
             // (allowed - bad) / (bad of the last hour - allowed of the last hour), in hours. Not from what is recorded
             // of the period, which may be older than the hour.
             record(recorded.SLO_EXHAUSTION.name, [
               '3600 * clamp_min(',
               '  (' + overPeriods(recorded.SLO_GOOD_HOURLY) + ')',
               '  - (' + overPeriods(recorded.SLO_TOTAL_HOURLY) + ') * on (model_name, slo) group_left () ' + objective + ',',
               '  0',
               ')',
               '/ ((' + total('1h') + ' * on (model_name, slo) group_left () ' + objective + ' - ' + good('1h') + ') > 0)',
             ]),
           ],
         },
       ]),
}
