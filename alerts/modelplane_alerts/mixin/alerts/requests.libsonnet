// Calls that fail or are slow, of models that promise nothing else by an SLO; calls that are given up; none at all.
local schema = import '../schema.json';

local passes = import '../passes.libsonnet';
local promql = import '../promql.libsonnet';

local metrics = schema.metrics;
local recorded = schema.recorded;

local of = '{{ $labels.model_name }} {{ $labels.model_version }}';
local ofTenant = 'tenant {{ $labels.tenant_id }}';
local increase(window, matchers='') =
  promql.by('sum', promql.calls, promql.increase(metrics.REQUESTS, window, matchers));
// Of what is recorded, which has one series for all outcomes of a tenant.
local rateOver(operator, range) =
  promql.by('sum', promql.calls, operator + '_over_time(' + recorded.REQUEST_RATE.name + range + ')');

{
  local config = $._config,

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
        passes.alert('ERROR_RATIO_HIGH', recorded.CALLS_FAILING.name, of + ' fails {{ $value | humanizePercentage }} of the calls of ' + ofTenant + '; the limit is ' +
                                                                      '{{ ' + config.errorRatioThreshold + ' | humanizePercentage }}.'),
        passes.alert('LATENCY_HIGH', promql.lines([
          '((' + slow('5m') + ' >= ' + config.minBadEvents + ')',
          '/ ' + latency.all('5m') + ' > ' + config.latencyRatioThreshold + ')',
          'unless on (model_name) ' + recorded.SLO_INDICATOR.name + '{indicator="latency"}',
        ]), of + ' answers {{ $value | humanizePercentage }} of the calls of ' + ofTenant + ' more slowly than ' +
            config.latencyThreshold + ' s; the limit is {{ ' + config.latencyRatioThreshold + ' | humanizePercentage }}.'),
      ],
    },
    {
      name: 'modelplane-traffic-alerts',
      interval: config.trafficInterval,
      rules: [
        passes.alert('NO_TRAFFIC', promql.lines([
          '(300 * ' + rateOver('sum', '[1h:5m] offset 15m') + ' >= ' + config.noTrafficMinCalls,
          'and',
          rateOver('max', '[10m]') + ' == 0',
          // Calls in flight are traffic, and a model that is down is another alert.
          'unless',
          promql.by('sum', promql.calls, promql.raw(metrics.ACTIVE)) + ' > 0',
          'unless on (model_name, model_version)',
          recorded.VERSION_DOWN.name,
          // Silent at this time yesterday, too: a daily habit.
          'unless',
          rateOver('max', '[25m] offset 1d') + ' == 0)',
        ]), 'No call of ' + ofTenant + ' to ' + of + ' has finished for 15 minutes; there were {{ $value | printf "%.0f" }} in the hour before.'),
        passes.alert('CANCELLED_STORM', promql.lines([
          '(' + increase('15m', 'outcome="cancelled"') + ' >= ' + config.minCancelled + ')',
          '/ ' + increase('15m') + ' > ' + config.cancelledRatioThreshold,
        ]), '{{ $value | humanizePercentage }} of the calls of ' + ofTenant + ' to ' + of + ' are given up by their callers; the limit is ' +
            '{{ ' + config.cancelledRatioThreshold + ' | humanizePercentage }}.'),
      ],
    },
  ],
}
