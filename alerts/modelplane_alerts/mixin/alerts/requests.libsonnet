// Calls that fail or are slow, of models that promise nothing else by an SLO; calls that are given up; none at all.
local schema = import '../schema.json';

local passes = import '../passes.libsonnet';
local promql = import '../promql.libsonnet';

local metrics = schema.metrics;
local recorded = schema.recorded;
local windowed = schema.windowed;

local of = '{{ $labels.model_name }} {{ $labels.model_version }}';
local ofTenant = 'tenant {{ $labels.tenant_id }}';
local increase(window, matchers='', offset='') =
  promql.by('sum', promql.calls, promql.increase(metrics.REQUESTS, window, matchers, offset));
local withoutSlo(indicator) =
  'unless on (model_name) ' + recorded.SLO_INDICATOR.name + '{indicator="' + indicator + '"}';

{
  local config = $._config,

  // Enough failures, and a large share. A burst stays in view for as long as bursts may be apart to be one alert.
  local failed(window) = windowed.CALLS_FAILED + window,
  local completed(window) = windowed.CALLS_COMPLETED + window,
  local fails(bad, all) = promql.lines([
    bad + ' / ((' + all + ') > 0) > ' + config.errorRatioThreshold,
    'and',
    bad + ' >= ' + config.minBadEvents,
  ]),
  local summed(series, window) = 'sum_over_time(' + series('5m') + '[' + window + ':5m])',
  local held = 'max_over_time((' + failed('5m') + ' / (' + completed('5m') + ' > 0) and ' + failed('5m') + ' >= ' +
               config.minBadEvents + ')[' + config.holdErrors + ':1m]) > ' + config.errorRatioThreshold,

  // Buckets above the threshold stand in where a histogram lacks the threshold's own.
  local limits = [config.latencyThreshold] + std.filter(
    function(bound) std.parseJson(bound) > std.parseJson(config.latencyThreshold), schema.latencyBounds
  ),
  local buckets = 'le=~"' + std.strReplace(std.join('|', limits + [bound + '.0' for bound in limits]), '.', '[.]') + '"',
  local ofClassic = {
    all(window):: promql.by('sum', promql.calls, promql.increase(metrics.LATENCY + '_bucket', window, 'le="+Inf"')),
    fast(window):: promql.by('min', promql.calls, promql.by(
      'sum', promql.calls + ', le', promql.increase(metrics.LATENCY + '_bucket', window, buckets)
    )),
  },
  local ofNative = {
    local histogram(window) = promql.by('sum', promql.calls, promql.increase(metrics.LATENCY, window)),
    all(window):: 'histogram_count(' + histogram(window) + ')',
    fast(window):: 'histogram_fraction(0, ' + config.latencyThreshold + ', ' + histogram(window) + ') * ' +
                   self.all(window),
  },
  local latency = if config.nativeHistograms then ofNative else ofClassic,
  local slow(window) = '(' + latency.all(window) + ' - ' + latency.fast(window) + ')',

  alertGroups+:: [
    {
      name: 'modelplane-request-alerts',
      interval: config.sloInterval,
      rules: [
        passes.alert('ERROR_RATIO_HIGH', promql.lines([
          '(' + fails(failed('5m'), completed('5m')),
          'or',
          held,
          'or',
          // Some calls a minute: an hour decides, and its last minutes say whether it is over.
          '(' + fails(failed('1h'), completed('1h')) + ' and ' + summed(failed, '30m') + ' > 0)',
          'or',
          // A call now and then: a day decides.
          '(' + fails(failed('1d'), completed('1d')),
          'unless ' + completed('1h') + ' >= ' + config.minBadEvents + ')',
          ')',
          withoutSlo('errors'),
        ]), of + ' fails {{ $value | humanizePercentage }} of the calls of ' + ofTenant + '; the limit is ' +
            '{{ ' + config.errorRatioThreshold + ' | humanizePercentage }}.'),
        passes.alert('LATENCY_HIGH', promql.lines([
          '(' + slow('5m'),
          '/ (' + latency.all('5m') + ' > 0) > ' + config.latencyRatioThreshold,
          'and',
          slow('5m') + ' >= ' + config.minBadEvents + ')',
          withoutSlo('latency'),
        ]), of + ' answers {{ $value | humanizePercentage }} of the calls of ' + ofTenant + ' more slowly than ' +
            config.latencyThreshold + ' s; the limit is {{ ' + config.latencyRatioThreshold + ' | humanizePercentage }}.'),
      ],
    },
    {
      name: 'modelplane-traffic-alerts',
      interval: config.trafficInterval,
      rules: [
        passes.alert('NO_TRAFFIC', promql.lines([
          '(' + increase('1h', offset=' offset 15m') + ' >= ' + config.noTrafficMinCalls,
          'and',
          increase('15m') + ' == 0',
          // Calls in flight are traffic, and a model that is down is another alert.
          'unless',
          promql.by('sum', promql.calls, promql.raw(metrics.ACTIVE)) + ' > 0',
          'unless on (model_name, model_version)',
          recorded.VERSION_DOWN.name,
          // Silent at this time yesterday, too: a daily habit.
          'unless',
          increase('30m', offset=' offset 1d') + ' == 0)',
        ]), 'No call of ' + ofTenant + ' to ' + of + ' has finished for 15 minutes; there were {{ $value | printf "%.0f" }} in the hour before.'),
        passes.alert('CANCELLED_STORM', promql.lines([
          '(' + increase('15m', 'outcome="cancelled"'),
          '/ (' + increase('15m') + ' > 0) > ' + config.cancelledRatioThreshold,
          'and',
          increase('15m', 'outcome="cancelled"') + ' >= ' + config.minCancelled + ')',
        ]), '{{ $value | humanizePercentage }} of the calls of ' + ofTenant + ' to ' + of + ' are given up by their callers; the limit is ' +
            '{{ ' + config.cancelledRatioThreshold + ' | humanizePercentage }}.'),
      ],
    },
  ],
}
