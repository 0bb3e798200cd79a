// Drift of signals over each window of the configuration, and whether it is more than a signal's past explains.
//
// c are the live counts of a signal's B bins that hold training data or observations, n their sum; m is the
// number of training observations and q their shares. With
//   P = c + 1/2,  N = n + B/2  and  Q = m q + 1/2,  M = m + B/2
// psi is the sum over the bins of (P/N - Q/M) ln((P/N) / (Q/M)). As P/N and Q/M both sum to 1, the constant
// ln(M/N) drops out, and a bin that is empty on both sides adds ln(1) = 0:
//   psi = sum(P ln(P/Q)) / N - sum(Q ln(P/Q)) / M  over all bins.
// It drops out only where n is the sum of the same c: with another n, psi is off by ln(N/M) times their
// difference. So all drift of a window is computed from what one group of rules records of the counters, which are
// read once, and n and B are computed anew in each expression.
//
// The exporter exposes every bin of a signal at once, in the counters and in the baseline, so no join
// loses a bin. Counts of a baseline that no process exposes any more have n, but no drift.
local schema = import '../schema.json';

local drift = import '../drift.libsonnet';
local promql = import '../promql.libsonnet';

local metrics = schema.metrics;
local recorded = schema.recorded;
local calibration = schema.calibration;
local by = promql.by;
local lines = promql.lines;

// Labels with the tenant, and those of the baseline, which belongs to a model version.
local signal = promql.labels(schema.labels.SIGNAL_DEVIATION_POSITIVE);
local signalBin = signal + ', bin';
local baseline = promql.labels(schema.labels.BASELINE_OBSERVATIONS);
local baselineBin = baseline + ', bin';
local ofBaseline = 'on (' + baseline + ') group_left () ';
local ofBaselineBin = 'on (' + baselineBin + ') group_left () ';

local mq = recorded.SIGNAL_BIN_BASELINE.name;
local m = by('sum', baseline, mq);
local ofMissing = '{bin="' + schema.missingBin + '"}';
local present = '{bin!="' + schema.missingBin + '"}';

// The larger of two values of each series.
local larger(a, b) = '((' + a + ' >= ' + b + ') or ' + b + ')';

{
  local config = $._config,

  local ofWindow(window) = {
    local name(key) = drift.name(key, window),
    local record(key, expr) = { record: name(key), expr: expr },
    local increase(labels, metric) = by('sum', labels, promql.increase(metric, window)),

    local c = name('SIGNAL_BIN_INCREASE'),
    local n = by('sum', signal, c),
    local B = by('count', signal, c + ' + ' + ofBaselineBin + mq + ' > 0'),
    local P = '(' + c + ' + 0.5)',
    local Q = '(' + mq + ' + 0.5)',
    local logarithm = 'ln(' + P + ' / ' + ofBaselineBin + Q + ')',
    local enough(observations) =
      observations + ' >= on (model_name) group_left () ' +
      drift.threshold(recorded.MIN_OBSERVATIONS, config.minObservations, c),
    local observed = '(' + enough(by('sum', signal, c + present)) + ')',
    local deviation = name('SIGNAL_DEVIATION_INCREASE') + ' / ' + observed,

    // Each signal of each tenant costs one series for each of its bins (11 if numeric, at most 22 if
    // categorical) and eight more.
    values:: [
      record('SIGNAL_BIN_INCREASE', increase(signalBin, metrics.SIGNAL_OBSERVATIONS)),
      // A value that is missing has no deviation.
      record('SIGNAL_DEVIATION_INCREASE', lines([
        increase(signal, metrics.SIGNAL_DEVIATION_POSITIVE),
        '-',
        increase(signal, metrics.SIGNAL_DEVIATION_NEGATIVE),
      ])),
      record('SIGNAL_DEVIATION_SQUARE_INCREASE', increase(signal, metrics.SIGNAL_DEVIATION_SQUARE)),
      record('SIGNAL_INCREASE', n),
      record('SIGNAL_PSI', lines([
        '(',
        '  ' + by('sum', signal, P + ' * ' + logarithm),
        '  / (' + n + ' + ' + B + ' / 2)',
        '  -',
        '  ' + by('sum', signal, logarithm + ' * ' + ofBaselineBin + Q),
        '  / (' + B + ' / 2 + ' + ofBaseline + m + ')',
        ')',
        'and',
        enough(n),
      ])),
      record('SIGNAL_PSI_NOISE', lines([
        '(' + B + ' - 1)',
        '* (1 / ' + n + ' + ' + ofBaseline + '1 / ' + m + ')',
        'and',
        enough(n),
      ])),
      record('SIGNAL_MEAN_SHIFT', deviation),
      // The mean of the squares minus the square of the mean, which rounding may bring below 0.
      record('SIGNAL_VARIANCE_RATIO', lines([
        'clamp_min(',
        '  ' + name('SIGNAL_DEVIATION_SQUARE_INCREASE') + ' / ' + observed,
        '  - (' + deviation + ') ^ 2,',
        '  0',
        ')',
      ])),
      record('SIGNAL_MISSING_SHIFT', lines([
        by('sum', signal, c + ofMissing) + ' / (' + enough(n) + ')',
        '- ' + ofBaseline + '(' + by('sum', baseline, mq + ofMissing) + ' / ' + m + ')',
      ])),
    ],

    // What follows is modelplane_schema.calibration. A past is what was recorded once an hour, for limits over two
    // days of values of each minute cost sixty times as much.
    local sample(arm) = {
      record: name(arm.hourly),
      expr: if arm.is_ratio then 'ln(clamp_min(' + name(arm.series) + ', ' + calibration.leastRatio + '))'
      else name(arm.series),
    },
    samples:: [sample(arm) for arm in calibration.arms],

    local ago = 2 * drift.seconds(window),
    // A second less than so many hours: Prometheus 2 takes in both ends.
    local past(operator, arm, hours=calibration.pastHours, newerHours=0) =
      operator + '_over_time(' + name(arm.hourly) + '[' + (hours * 3600 - 1) + 's] offset ' +
      (ago + newerHours * 3600) + 's)',
    // Enough values, and one that is old enough.
    local calibrated(arm) = [
      'and',
      past('count', arm) + ' >= ' + calibration.leastValues,
      'and',
      past('last', arm, calibration.pastHours - calibration.leastAgeHours + 1, calibration.leastAgeHours - 1),
    ],
    local psi = calibration.arms[0],
    local psiLimit = name('SIGNAL_PSI_LIMIT'),
    local psiLimitOfPast = lines([
      larger(calibration.psiFactor + ' * ' + past('max', psi),
             '(' + name('SIGNAL_PSI_NOISE') + ' + ' + calibration.psiMargin + ')'),
    ] + calibrated(psi)),

    local sides(arm) =
      local mean = past('avg', arm);
      local farthest = larger('(' + past('max', arm) + ' - ' + mean + ')', '(' + mean + ' - ' + past('min', arm) + ')');
      local half = 'clamp_min(' + calibration.spread + ' * ' + farthest + ', ' + arm.margin + ')';
      local scaled(expr) = if arm.is_ratio then 'exp(' + expr + ')' else expr;
      [
        record(arm.low, lines([scaled(mean + ' - ' + half)] + calibrated(arm))),
        record(arm.high, lines([scaled(mean + ' + ' + half)] + calibrated(arm))),
      ],
    limits::
      [record('SIGNAL_PSI_LIMIT', psiLimitOfPast)] +
      std.flatMap(sides, calibration.arms[1:]) +
      [record('SIGNAL_WARMING_UP', lines([psiLimit + ' * 0', 'or', by('group', signal, name('SIGNAL_PSI'))]))],

    local before(series) = series + ' offset ' + window,
    local beyond(arm, value) =
      if arm.method == 'psi' then value + ' > ' + psiLimit
      else '(' + value + ' > ' + name(arm.high) + ' or ' + value + ' < ' + name(arm.low) + ')',
    // `certain` times as far from the middle of the limits as a limit is.
    local certain(arm) =
      local value = name(arm.series);
      local more = (calibration.certain - 1) / 2;
      local far(limit, other) =
        if arm.is_ratio then '(' + limit + ' * (' + limit + ' / ' + other + ') ^ ' + more + ')'
        else '(' + limit + ' + (' + limit + ' - ' + other + ') * ' + more + ')';
      if arm.method == 'psi' then value + ' > ' + calibration.certain + ' * ' + psiLimit
      else
        value + ' > ' + far(name(arm.high), name(arm.low)) + ' or ' +
        value + ' < ' + far(name(arm.low), name(arm.high)),
    local judgedByShorter = [
      'unless ' + drift.name('SIGNAL_PSI_LIMIT', shorter)
      for shorter in drift.shorter(config, window)
    ],
    moved:: [
      record('SIGNAL_MOVED', lines([
        '(',
        '  ' + beyond(arm, name(arm.series)) + ' and ' + beyond(arm, before(name(arm.series))),
        '  or ' + certain(arm),
        ')',
        'and ' + psiLimit,
      ] + judgedByShorter)) { labels: { method: arm.method } }
      for arm in calibration.arms
    ],
  },

  local group(window) = {
    name: 'modelplane-signals-' + window,
    interval: config.signalWindows[window],
    rules: ofWindow(window).values,
  },
  local limits(window) = {
    local parts = ofWindow(window),
    name: 'modelplane-signals-limits-' + window,
    interval: config.signalWindows[window],
    rules: parts.limits + parts.moved,
  },
  local history(window) = {
    name: 'modelplane-signals-hourly-' + window,
    interval: '1h',
    rules: ofWindow(window).samples,
  },

  ruleGroups+:: [
                  {
                    name: 'modelplane-signal-baselines',
                    interval: config.signalBaselineInterval,
                    // Replicas expose the same baseline: one series for each bin of each model version.
                    rules: [{
                      record: mq,
                      expr: lines([
                        by('max', baselineBin, promql.raw(metrics.BASELINE_RATIO)),
                        '* ' + ofBaseline + by('max', baseline, promql.raw(metrics.BASELINE_OBSERVATIONS)),
                      ]),
                    }],
                  },
                ] + std.map(group, drift.windows(config)) +
                std.flatMap(function(window) [limits(window), history(window)], drift.calibratedWindows(config)),
}
