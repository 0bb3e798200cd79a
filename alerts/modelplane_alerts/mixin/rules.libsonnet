local schema = import 'schema.json';

local metrics = schema.metrics;
local recorded = schema.recorded;
local identity = std.join(', ', schema.identity);

// One recording rule for a series the schema declares.
local record(series, expr, labels={}) =
  { record: series.name, expr: expr } + (if labels == {} then {} else { labels: labels });

local rateBy(labels, selector, window) = 'sum by (%s) (rate(%s[%s]))' % [labels, selector, window];

local requests(matchers, window) = rateBy(identity, metrics.REQUESTS + matchers, window);

local latencyQuantile(quantile) =
  local buckets = rateBy(identity + ', le', metrics.LATENCY + '_bucket', recorded.LATENCY_QUANTILE.window);
  record(
    recorded.LATENCY_QUANTILE,
    // Without traffic the quantile is NaN, which no comparison lets through.
    'histogram_quantile(%g, %s) >= 0' % [quantile, buckets],
    { quantile: '%g' % quantile }
  );

{
  prometheusRules+:: {
    groups+: [
      {
        name: 'modelplane-requests',
        rules: [
          record(recorded.REQUEST_RATE, requests('', recorded.REQUEST_RATE.window)),
          record(recorded.FAILURE_RATE, requests('{outcome="failure"}', recorded.FAILURE_RATE.window)),
          record(recorded.ERROR_RATIO, |||
            %s
            /
            (%s > 0)
          ||| % [
            recorded.FAILURE_RATE.name,
            requests('{outcome=~"success|failure"}', recorded.ERROR_RATIO.window),
          ]),
        ],
      },
      {
        name: 'modelplane-latency',
        rules: [latencyQuantile(quantile) for quantile in schema.latencyQuantiles],
      },
    ],
  },
}
