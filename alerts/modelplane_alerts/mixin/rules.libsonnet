local schema = import 'schema.json';

local recorded = schema.recorded;
local expressions = schema.expressions;

// One recording rule for a series the schema declares.
local record(series, expr, labels={}) =
  { record: series.name, expr: expr } + (if labels == {} then {} else { labels: labels });

{
  prometheusRules+:: {
    groups+: [
      {
        name: 'modelplane-requests',
        rules: [
          record(recorded.REQUEST_RATE, expressions.REQUEST_RATE),
          record(recorded.FAILURE_RATE, expressions.FAILURE_RATE),
          record(recorded.ERROR_RATIO, expressions.ERROR_RATIO + '\n'),
        ],
      },
      {
        name: 'modelplane-latency',
        rules: [
          record(recorded.LATENCY_QUANTILE, latency.expression, { quantile: latency.quantile })
          for latency in schema.latencyQuantiles
        ],
      },
      { name: 'modelplane-token-costs', interval: $._config.tokenCostInterval, rules: schema.tokenCosts },
    ],
  },
}
