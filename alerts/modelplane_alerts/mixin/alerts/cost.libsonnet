// What tenants spend, and what has no price.
local schema = import '../schema.json';

local passes = import '../passes.libsonnet';
local promql = import '../promql.libsonnet';

local metrics = schema.metrics;
local recorded = schema.recorded;

local ofTenant = 'tenant_id, currency';
// Of each currency by itself, over all clusters, for a budget counts so.
local pace = promql.by('sum', ofTenant, 'avg_over_time(' + recorded.COST.name + '[7d:1h])');

{
  local config = $._config,

  alertGroups+:: [
    {
      name: 'modelplane-cost-alerts',
      interval: config.qualityInterval,
      rules: [
        passes.alert('TENANT_OVER_BUDGET', promql.lines([
          pace + ' * 86400 * scalar(days_in_month(vector(time())))',
          '> on (' + ofTenant + ')',
          promql.constant(recorded.BUDGET, ['tenant_id', 'currency']),
        ]), 'At the pace of the last week tenant {{ $labels.tenant_id }} spends {{ $value | printf "%.2f" }} {{ $labels.currency }} in this month; its budget is ' +
            '{{ with printf "max(' + recorded.BUDGET.name + '{tenant_id=%q,currency=%q})" $labels.tenant_id $labels.currency | query }}{{ . | first | value }}{{ end }}.'),
        passes.alert('UNPRICED_USE', promql.lines([
          promql.by('sum', promql.labels(['device_type']), promql.increase(metrics.DEVICE_SECONDS, '1h')) + ' > 0',
          'unless on (device_type)',
          recorded.DEVICE_PRICE.name,
        ]), 'Devices of type {{ $labels.device_type }} worked {{ $value | humanizeDuration }} in an hour, and the registry has no price for them.'),
      ],
    },
  ],
}
