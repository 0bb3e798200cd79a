// Drift of signals: psi, its noise, the shift of the mean, the ratio of variances and the shift of the share of
// missing values, over each window of the configuration.
//
// c are the live counts of a signal's B bins that hold training data or observations, n their sum; m is the
// number of training observations and q their shares. With
//   P = c + 1/2,  N = n + B/2  and  Q = m q + 1/2,  M = m + B/2
// psi is the sum over the bins of (P/N - Q/M) ln((P/N) / (Q/M)). As P/N and Q/M both sum to 1, the constant
// ln(M/N) drops out, and a bin that is empty on both sides adds ln(1) = 0:
//   psi = sum(P ln(P/Q)) / N - sum(Q ln(P/Q)) / M  over all bins.
//
// The exporter exposes every bin of a signal at once, in the counters and in the baseline, so no join
// loses a bin. Counts of a baseline that no process exposes any more have n, but no drift.
local schema = import '../schema.json';

local metrics = schema.metrics;
local recorded = schema.recorded;

// Labels with the tenant, and those of the baseline, which belongs to a model version.
local signal = std.join(', ', schema.labels.SIGNAL_DEVIATION_POSITIVE);
local signalBin = signal + ', bin';
local baseline = std.join(', ', schema.labels.BASELINE_OBSERVATIONS);
local baselineBin = baseline + ', bin';

// Texts are joined by +, for jsonnet takes 5 ms for each % (measured), and there are many.
local lines(parts) = std.join('\n', parts);
local by(operator, labels, expr) = operator + ' by (' + labels + ') (' + expr + ')';
local ofBaseline = 'on (' + baseline + ') group_left () ';
local ofBaselineBin = 'on (' + baselineBin + ') group_left () ';

local m = by('max', baseline, metrics.BASELINE_OBSERVATIONS);
local mq = recorded.SIGNAL_BIN_BASELINE.name;

{
  local config = $._config,

  local group(window) = {
    local name(key) = schema.windowed[key] + window,
    local record(key, expr) = { record: name(key), expr: expr },
    local increase(labels, metric) = by('sum', labels, 'increase(' + metric + '[' + window + '])'),

    local c = name('SIGNAL_BIN_INCREASE'),
    local n = name('SIGNAL_INCREASE'),
    local B = name('SIGNAL_BINS'),
    local P = '(' + c + ' + 0.5)',
    local Q = '(' + mq + ' + 0.5)',
    local ofMissing = '{bin="' + schema.missingBin + '"}',
    local present = by('sum', signal, c + '{bin!="' + schema.missingBin + '"}'),
    local logarithm = 'ln(' + P + ' / ' + ofBaselineBin + Q + ')',

    local configured = by('max', 'model_name', recorded.MIN_OBSERVATIONS.name),
    local default = by('group', 'model_name', n) + ' * ' + config.minObservations,
    local enough(observations) =
      observations + ' >= on (model_name) group_left () (' + configured + ' or ' + default + ')',

    name: 'modelplane-signals-' + window,
    interval: config.signalWindows[window],
    // Each signal of each tenant costs one series for each of its bins (11 if numeric, at most 22 if
    // categorical) and seven more. The counters, by far the most samples, are read once for each window.
    rules: [
      record('SIGNAL_BIN_INCREASE', increase(signalBin, metrics.SIGNAL_OBSERVATIONS)),
      record('SIGNAL_INCREASE', by('sum', signal, c)),
      record('SIGNAL_BINS', by('count', signal, c + ' + ' + ofBaselineBin + mq + ' > 0')),
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
      // A value that is missing has no deviation, so it does not count here.
      record('SIGNAL_MEAN_SHIFT', lines([
        '(',
        '  ' + increase(signal, metrics.SIGNAL_DEVIATION_POSITIVE),
        '  -',
        '  ' + increase(signal, metrics.SIGNAL_DEVIATION_NEGATIVE),
        ')',
        '/ (' + enough(present) + ')',
      ])),
      // The mean of the squares minus the square of the mean, which rounding may bring below 0.
      record('SIGNAL_VARIANCE_RATIO', lines([
        'clamp_min(',
        '  ' + increase(signal, metrics.SIGNAL_DEVIATION_SQUARE),
        '  / (' + enough(present) + ')',
        '  - ' + name('SIGNAL_MEAN_SHIFT') + ' ^ 2,',
        '  0',
        ')',
      ])),
      record('SIGNAL_MISSING_SHIFT', lines([
        by('sum', signal, c + ofMissing) + ' / (' + enough(n) + ')',
        '- ' + ofBaseline + '(' + by('sum', baseline, mq + ofMissing) + ' / ' + m + ')',
      ])),
    ],
  },

  ruleGroups+::
    [
      {
        name: 'modelplane-signal-baselines',
        interval: config.signalBaselineInterval,
        // Replicas expose the same baseline: one series for each bin of each model version.
        rules: [{
          record: mq,
          expr: by('max', baselineBin, metrics.BASELINE_RATIO) + '\n* ' + ofBaseline + m,
        }],
      },
    ] + std.map(group, std.objectFields(config.signalWindows)),
}
