// The monitoring mixin of modelplane: prometheusRules, prometheusAlerts, grafanaDashboards, _config.
//
// Everything that depends on an installation is in _config (config.libsonnet says what there is). With Python,
// `modelplane rules render` fills it from the registry; without, write it yourself:
//
//   local modelplane = (import 'mixin.libsonnet') + { _config+:: { models: [...], grafanaUrl: '...' } };
//   std.manifestYamlDoc(modelplane.prometheusAlerts)
local passes = import 'passes.libsonnet';

local subjects =
  (import 'rules/constants.libsonnet') +
  (import 'rules/requests.libsonnet') +
  (import 'rules/levels.libsonnet') +
  (import 'rules/replicas.libsonnet') +
  (import 'rules/signals.libsonnet') +
  (import 'rules/slo.libsonnet') +
  (import 'alerts/drift.libsonnet') +
  (import 'alerts/requests.libsonnet') +
  (import 'alerts/replicas.libsonnet') +
  (import 'alerts/slo.libsonnet') +
  (import 'alerts/quality.libsonnet') +
  (import 'alerts/cost.libsonnet') +
  (import 'alerts/plane.libsonnet');

(import 'config.libsonnet') + {
  local config = $._config,

  assert std.isString(std.get(config, 'selector')) :
         '_config.selector must be a text such as \'job="models"\', or an empty text for all series',
  assert std.isArray(std.get(config, 'clusterLabels')) : '_config.clusterLabels must be a list of label names, such as ["cluster"]',
  local filled = subjects { _config:: config },
  // Constants have no placeholders, and are many.
  local rules = filled.constantGroups + passes.apply([passes.placeholders(config)], filled.ruleGroups),
  local alerts = passes.apply(
    [passes.byStage, passes.byAudience, passes.timing(config), passes.links(config), passes.placeholders(config)],
    filled.alertGroups
  ),
  prometheusRules+:: { groups+: rules },
  prometheusAlerts+:: { groups+: alerts },
  // Generated in Python; a board for each tenant and model needs the registry: `modelplane dashboards generate`.
  grafanaDashboards+:: import 'dashboards.json',
}
