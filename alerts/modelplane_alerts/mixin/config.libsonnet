{
  _config+:: {
    // Where alert links point; the renderer sets both from the registry.
    grafanaUrl: 'http://localhost:3000',
    runbooksUrl: 'docs/runbooks.md',

    // How long a condition must hold before its alert fires.
    'for': {
      ModelDown: '5m',
      ModelErrorRatioHigh: '2m',
      ModelLatencyHigh: '5m',
    },

    // Failed calls as a share of succeeded and failed ones, over 5 minutes.
    errorRatioThreshold: 0.05,
    // Fewer failures than this in 5 minutes never alert: with little traffic one error is a high ratio.
    minFailures: 5,
    // The latency quantile that is held against a model's threshold; one of the recorded quantiles.
    latencyQuantile: 0.95,
  },
}
