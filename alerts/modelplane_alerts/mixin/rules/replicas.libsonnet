// Versions in production that are not loaded where they were.
local schema = import '../schema.json';

local promql = import '../promql.libsonnet';

local metrics = schema.metrics;
local recorded = schema.recorded;

local inProduction = promql.constant(recorded.PRODUCTION_VERSION, ['model_name', 'model_version']);
local info(offset='') = promql.raw(metrics.MODEL_INFO) + offset;
local loaded(offset='') = promql.by('max', promql.version, info(offset));
// A cluster that lost a version still knows it for a day, so that another cluster that has it does not hide the loss.
local loadedBefore = promql.by('max', promql.version, 'max_over_time(' + info() + '[1d:5m])');
local starts = 'count_over_time((' + loaded() + ' unless ' + loaded(' offset 1m') + ')[15m:1m])';

{
  local config = $._config,

  ruleGroups+:: [
    {
      name: 'modelplane-replicas',
      interval: config.replicaInterval,
      rules: [
        {
          record: recorded.VERSION_DOWN.name,
          expr: promql.lines([
            '(',
            '  (' + loadedBefore,
            '   unless on (' + promql.version + ') ' + loaded() + ')',
            '  or',
            // It keeps vanishing: every replica restarts again and again.
            '  (' + starts + ' >= 3) * 0 + 1',
            ')',
            'and on (model_name, model_version) ' + inProduction,
            'or',
            '(' + inProduction,
            ' unless on (model_name, model_version) (' + loadedBefore,
            '   or ' + loaded() + '))',
          ]),
        },
      ],
    },
  ],
}
