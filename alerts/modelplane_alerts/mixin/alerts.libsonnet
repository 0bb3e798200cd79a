local schema = import 'schema.json';

local metrics = schema.metrics;
local recorded = schema.recorded;

{
  local config = $._config,

  // Name, severity and summary come from the schema, links from the configuration.
  local alert(key, expr, description) = {
    local declared = schema.alerts[key],
    local labels = declared.labels,
    local variable(label, name) =
      if std.member(labels, label) then ['var-%s={{ $labels.%s | urlquery }}' % [name, label]] else [],
    alert: declared.name,
    expr: expr,
    'for': config['for'][declared.name],
    labels: { severity: declared.severity },
    annotations: {
      summary: declared.summary,
      description: description,
      runbook_url: '%s#%s' % [config.runbooksUrl, std.asciiLower(declared.name)],
      dashboard_url: '%s/d/%s?%s' % [
        config.grafanaUrl,
        schema.fleetUid,
        std.join('&', variable('tenant_id', 'tenant') + variable('model_name', 'model')),
      ],
    },
  },

  local minutes5 = 300,
  local identity = std.join(', ', schema.identity),

  prometheusAlerts+:: {
    groups+: [
      {
        name: 'modelplane-alerts',
        rules: [
          alert('MODEL_DOWN', |||
            max by (model_name, model_version, framework) (%s)
            unless on (model_name, model_version)
            max by (model_name, model_version) (%s)
          ||| % [recorded.PRODUCTION_VERSION.name, metrics.MODEL_INFO],
                'The registry declares {{ $labels.model_name }} {{ $labels.model_version }} to be in production, but no process reports it.'),
          alert('ERROR_RATIO_HIGH', |||
            %s > %g
            and
            %s * %d >= %d
          ||| % [
            recorded.ERROR_RATIO.name,
            config.errorRatioThreshold,
            recorded.FAILURE_RATE.name,
            minutes5,
            config.minFailures,
          ], '{{ $labels.model_name }} {{ $labels.model_version }} fails {{ $value | humanizePercentage }} of the calls of tenant {{ $labels.tenant_id }}.'),
          alert('LATENCY_HIGH', |||
            max by (%s) (%s{quantile="%g"})
            > on (model_name) group_left ()
            max by (model_name) (%s)
          ||| % [identity, recorded.LATENCY_QUANTILE.name, config.latencyQuantile, recorded.LATENCY_THRESHOLD.name],
                'The p%g latency of {{ $labels.model_name }} {{ $labels.model_version }} for tenant {{ $labels.tenant_id }} is {{ $value | humanizeDuration }}, above the threshold of its SLO.' % (config.latencyQuantile * 100)),
        ],
      },
    ],
  },
}
