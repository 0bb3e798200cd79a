local schema = import 'schema.json';

{
  _config+:: {
    // Where alert links point; the renderer sets both from the registry.
    grafanaUrl: 'http://localhost:3000',
    runbooksUrl: 'docs/runbooks.md',

    // How long a condition must hold before its alert fires.
    'for': {
      [schema.alerts[key].name]: schema.alerts[key].pending
      for key in std.objectFields(schema.alerts)
    },

    // Failed calls as a share of succeeded and failed ones, over 5 minutes.
    errorRatioThreshold: 0.05,
    // Fewer failures than this in 5 minutes never alert: with little traffic one error is a high ratio.
    minFailures: 5,
    // The latency quantile that is compared with a model's threshold; one of the recorded quantiles.
    latencyQuantile: 0.95,

    // How often the cost of tokens is recorded, which is over 1h.
    tokenCostInterval: '1m',

    // The windows over which drift is recorded, and how often each is. More can be added; null removes one.
    // Keep the intervals below 5 minutes: a query does not look further back for a recorded value.
    signalWindows: { '1h': '1m', '6h': '2m', '1d': '4m' },
    // How often the baselines that processes expose are recorded.
    signalBaselineInterval: '1m',
    // Observations in a window that a drift value needs, for a model that the registry does not know.
    minObservations: schema.minObservations,
  },
}
