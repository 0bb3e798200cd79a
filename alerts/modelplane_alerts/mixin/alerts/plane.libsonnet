// The monitoring itself: what it does not see, and whether its alerts arrive.
local schema = import '../schema.json';

local passes = import '../passes.libsonnet';
local promql = import '../promql.libsonnet';

local metrics = schema.metrics;
local sum(names, expr) = promql.by('sum', promql.labels(names), expr);
// One label for what the parts call differently.
local named(expr, label, source) = 'label_replace(' + expr + ', "' + label + '", "$1", "' + source + '", "(.*)")';

{
  local config = $._config,

  // The plane's own series have a selector of their own: that of the models would hide them.
  local ofPlane(metric, matchers='') =
    local all = std.filter(function(text) text != '', [matchers, config.planeSelector]);
    metric + (if all == [] then '' else '{' + std.join(',', all) + '}'),
  local grown(metric, matchers='') = 'increase(' + ofPlane(metric, matchers) + '[10m])',

  alertGroups+:: [
    {
      name: 'modelplane-plane-alerts',
      rules: [
        passes.alert('WATCHDOG', 'vector(1)', 'Alerts were evaluated and sent; this one has the value {{ $value }} for ever.'),
        passes.alert(
          'TARGET_DOWN',
          promql.by('count', promql.labels(['job']), ofPlane('up') + ' == 0'),
          '{{ $value }} targets of the job {{ $labels.job }} cannot be scraped.'
        ),
        passes.alert('RULE_FAILING', promql.lines([
          sum(['rule_group'], grown('prometheus_rule_evaluation_failures_total')) + ' > 0',
          'or',
          sum(['rule_group'], grown('prometheus_rule_group_iterations_missed_total')) + ' > 0',
          'or',
          sum(['rule_group'], named(
            grown('vmalert_alerting_rules_errors_total') + ' or ' + grown('vmalert_recording_rules_errors_total'),
            'rule_group',
            'group'
          )) + ' > 0',
        ]), 'Rules of the group {{ $labels.rule_group }} failed or were left out {{ $value | printf "%.0f" }} times in ten minutes.'),
        passes.alert('ALERT_DELIVERY', promql.lines([
          sum(['job', 'integration'], grown('alertmanager_notifications_failed_total')) + ' > 0',
          'or',
          sum(['job'], grown('prometheus_notifications_errors_total')) + ' > 0',
          'or',
          sum(['job'], grown('prometheus_notifications_dropped_total')) + ' > 0',
          'or',
          sum(['job'], grown('vmalert_alerts_send_errors_total')) + ' > 0',
        ]), '{{ $value | printf "%.0f" }} notifications of {{ $labels.job }} {{ $labels.integration }} failed in ten minutes.'),
        passes.alert(
          'STORE_FAILING',
          sum(['job'], grown('modelplane_datasource_store_calls_total', 'result="error"')) + ' > 0',
          '{{ $value | printf "%.0f" }} transactions of the alert store failed in ten minutes.'
        ),
        passes.alert(
          'CARDINALITY_OVERFLOW',
          promql.by('sum', promql.version + ', label', promql.increase(metrics.SERIES_OVERFLOW, '15m')) + ' > 0',
          '{{ $value | printf "%.0f" }} calls of {{ $labels.model_name }} {{ $labels.model_version }} were counted under __overflow__ in 15 minutes, for {{ $labels.label }} has too many values.'
        ),
      ],
    },
  ],
}
