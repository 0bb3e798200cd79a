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

    // The registry: what it says of models, tenants and devices, in its own shape.
    models: [],
    tenants: [],
    devices: {},

    // Limits every series as it is scraped, such as 'job="models"'; '' takes all.
    selector: '',
    // Limits the plane's own series and `up`, where Prometheus scrapes more than models and the plane, such as
    // 'job=~"models|prometheus|alertmanager|modelplane-backend"'.
    planeSelector: '',
    // Labels that tell clusters apart. They stay on all recorded series and alerts, so that no cluster hides
    // another; a label that no series has does no harm.
    clusterLabels: ['cluster'],

    // Adds keep_firing_for to alerts, which vmalert before 1.80 does not know.
    keepFiringFor: false,
    // Bursts of errors that are closer than this are one alert.
    holdErrors: '10m',

    // Failed calls as a share of succeeded and failed ones, over 5 minutes.
    errorRatioThreshold: schema.limits.errorRatioThreshold,
    // Fewer bad calls than this never alert: with little traffic one error is a high ratio.
    minBadEvents: 5,

    // How often SLOs are recorded: over at most an hour, over days, and over their whole period, which reads most.
    // Keep all below 5 minutes: a query does not look further back for a recorded value.
    sloInterval: '30s',
    sloLongInterval: '1m',
    sloPeriodInterval: '4m',

    // Whether Prometheus converts classic histograms (convert_classic_histograms_to_nhcb): buckets are absent then.
    nativeHistograms: false,

    // A call is slow above this where no SLO says so, a bound of the latency histogram in seconds.
    latencyThreshold: schema.limits.latencyThreshold,
    // Slow calls as a share of all calls, over 5 minutes.
    latencyRatioThreshold: schema.limits.latencyRatioThreshold,

    // A tenant that made as many calls in an hour, and then none for 15 minutes, has no traffic.
    noTrafficMinCalls: 80,
    // Cancelled calls as a share of all calls over 15 minutes, and how many there must be.
    cancelledRatioThreshold: schema.limits.cancelledRatioThreshold,
    minCancelled: 20,
    // Calls in flight as a share of max_in_flight.
    saturationThreshold: schema.limits.saturationThreshold,
    // Restarts of a process in half an hour.
    restarts: 3,
    // How far the mean confidence of an hour may be from that of the week, in standard deviations of its hours
    // and in all.
    confidenceDeviations: 4,
    confidenceShift: 0.05,
    // Values that break the data contract as a share of calls over an hour, and how many there must be.
    dataContractThreshold: schema.limits.dataContractThreshold,
    minInvalid: 20,

    // How often the registry's constants are recorded, of which there may be ten thousand.
    constantInterval: '1m',

    // How often the levels of boards and quantiles of latency are recorded.
    levelInterval: '30s',

    // How often traffic is looked at, which reads hours; and quality and cost, which read days.
    trafficInterval: '1m',
    qualityInterval: '2m',
    // How often it is looked which versions are loaded.
    replicaInterval: '30s',

    // How often the cost of tokens is recorded, which is over 1h.
    tokenCostInterval: '1m',

    // The windows over which drift is recorded, and how often each is. More can be added; null removes one.
    // Keep the intervals below 5 minutes: a query does not look further back for a recorded value.
    signalWindows: { '1h': '1m', '6h': '2m', '1d': '4m' },
    // How often the baselines that processes expose are recorded.
    signalBaselineInterval: '1m',
    // Observations in a window that a drift value needs, for a model that the registry does not know.
    minObservations: schema.minObservations,
    // psi above what chance explains that warns while a signal has no past, and that is critical whatever its past,
    // for a model that the registry does not know.
    psiWarning: schema.psiThresholds.warning,
    psiCritical: schema.psiThresholds.critical,
    // How often it is looked whether signals have moved.
    driftInterval: '1m',
  },
}
