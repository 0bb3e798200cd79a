// What boards over many models or tenants draw, at each level: calls, version, tenant, fleet.
local schema = import '../schema.json';

{
  local config = $._config,

  // Native histograms have no buckets, sum or count of their own; boards read the histograms then.
  local isRecorded(rule) = !(config.nativeHistograms && rule.isHistogram),
  local levels = std.set([rule.level for rule in schema.levels]),

  ruleGroups+:: [
    {
      name: 'modelplane-level-' + level,
      interval: config.levelInterval,
      rules: [
        { record: rule.record, expr: rule.expr }
        for rule in schema.levels
        if rule.level == level && isRecorded(rule)
      ],
    }
    for level in levels
  ],
}
