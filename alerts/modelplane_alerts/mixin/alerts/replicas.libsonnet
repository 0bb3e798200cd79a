// Processes that serve models: gone, too few, restarting, or full.
local schema = import '../schema.json';

local passes = import '../passes.libsonnet';
local promql = import '../promql.libsonnet';

local metrics = schema.metrics;
local recorded = schema.recorded;

local of = '{{ $labels.model_name }} {{ $labels.model_version }}';
local info = promql.raw(metrics.MODEL_INFO);
local model = promql.labels(['model_name']);

// Each tenant of a version that is down, in the clusters in which it was called within a day, else once. Tenants of
// other versions, which are almost all, are left out first.
local ofTenants =
  local ofPair = 'tenant_id, model_name, model_version';
  local down(labels, series) = series + ' and on (' + labels + ') ' + recorded.VERSION_DOWN.name;
  local pairs = promql.by('max', ofPair, down('model_name, model_version', recorded.MODEL_TENANT.name));
  local called = promql.by('group', promql.calls, down(promql.version, schema.windowed.CALLS_COMPLETED + '1d'));
  promql.lines([
    '(' + called + ' and on (' + ofPair + ') ' + pairs + ')',
    'or on (' + ofPair + ')',
    pairs,
  ]);

{
  local config = $._config,

  alertGroups+:: [
    {
      name: 'modelplane-replica-alerts',
      interval: config.replicaInterval,
      rules: [
        passes.alert(
          'MODEL_DOWN',
          recorded.VERSION_DOWN.name,
          'The registry declares ' + of + ' to be in production, but no process reports it, or its processes keep vanishing.'
        ) { exprOf:: { tenant: ofTenants } },
        // Over all clusters, for the registry counts so. A process may have several versions.
        passes.alert('REPLICAS_MISSING', promql.lines([
          promql.by('count', 'model_name', promql.by('group', 'model_name, job, instance', info)),
          '< on (model_name)',
          promql.constant(recorded.REPLICAS, ['model_name']),
        ]), '{{ $value }} processes serve {{ $labels.model_name }}; the registry expects ' +
            '{{ with printf "max(' + recorded.REPLICAS.name + '{model_name=%q})" $labels.model_name | query }}{{ . | first | value }}{{ end }}.'),
        passes.alert('RESTART_LOOP', promql.by('max', promql.version, promql.lines([
          info,
          '* on (job, instance) group_left ()',
          '(' + promql.by('max', 'job, instance', 'changes(' + promql.raw('process_start_time_seconds') + '[30m])'),
          ' >= ' + config.restarts + ')',
        ])), 'A process of ' + of + ' restarted {{ $value }} times in half an hour; the limit is ' + config.restarts + '.'),
        passes.alert('SATURATION', promql.lines([
          promql.by('sum', model, 'avg_over_time(' + schema.levelSeries.active.version + '[5m])'),
          '/ on (model_name) group_left ()',
          promql.constant(recorded.MAX_IN_FLIGHT, ['model_name']) + ' > ' + config.saturationThreshold,
        ]), '{{ $labels.model_name }} has {{ $value | humanizePercentage }} of the calls in flight that it can take; the limit is ' +
            '{{ ' + config.saturationThreshold + ' | humanizePercentage }}.'),
      ],
    },
  ],
}
