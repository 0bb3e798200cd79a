// What concerns all rules alike, each in one place. A pass maps a rule to rules.
//
// Alerts come from alert(), and hold the declaration of the schema in the hidden field `declared`.
local schema = import 'schema.json';

local promql = import 'promql.libsonnet';

local recorded = schema.recorded;

{
  // An alert as the subjects write it. `extra` is patched onto it: a label, another `for`.
  alert(key, expr, description):: {
    local declared = schema.alerts[key],
    declared:: declared,
    alert: declared.name,
    expr: expr,
    labels: { severity: declared.severity },
    annotations: { summary: declared.summary, description: description },
  },

  // What is wrong with a version that nobody is served by is nobody's alert: only production pages, a canary warns.
  // The registry's stage counts; of versions that it does not know what the process says, and else production.
  byStage(rule)::
    local ofStage(stage) = recorded.VERSION_STAGE.name + '{stage=~"' + stage + '"}';
    local limited(operator, stages) = promql.lines([
      '(',
      std.rstripChars(rule.expr, '\n'),
      ')',
      operator + ' on (model_name, model_version)',
      ofStage(stages),
    ]);
    if !rule.declared.by_stage then [rule]
    else if rule.declared.severity == 'critical' then [
      rule { expr: limited('unless', 'canary|shadow|development') },
      rule { expr: limited('and', 'canary'), labels+: { severity: 'warning' } },
    ]
    else [rule { expr: limited('unless', 'shadow|development') }],

  // The owner of a model as a label; a model that the registry does not know has none, and its alert stays.
  withOwner(expr)::
    local owner = promql.constant(recorded.MODEL_OWNER, ['model_name', 'owner']);
    local whole = '(\n' + std.rstripChars(expr, '\n') + '\n)';
    promql.lines([whole, '* on (model_name) group_left (owner)', owner, 'or', whole, 'unless on (model_name)', owner]),

  // One alert for each audience: that of the owner carries the owner. `exprOf` has what one audience alone gets.
  byAudience(rule)::
    local exprOf(audience) = std.get(std.get(rule, 'exprOf', {}), audience, rule.expr);
    [
      rule {
        expr: if audience == 'owner' then $.withOwner(exprOf(audience)) else exprOf(audience),
        labels+: { audience: audience },
      }
      for audience in rule.declared.audiences
    ],

  timing(config)::
    function(rule) [
      rule {
        'for': config['for'][rule.alert],
        [if config.keepFiringFor then 'keep_firing_for']: rule.declared.keep_firing,
      },
    ],

  // The board of the subject, from some time before now on; and the section of the runbooks.
  links(config)::
    function(rule)
      local start = '{{ with query "(time() - ' + rule.declared.range_seconds + ') * 1000" }}' +
                    '{{ . | first | value | printf "%.0f" }}{{ end }}';
      local variable(label, name) =
        if std.member(rule.declared.labels, label)
        then ['var-' + name + '={{ $labels.' + label + ' | urlquery }}'] else [];
      local parameters = std.join('&', variable('tenant_id', 'tenant') + variable('model_name', 'model') +
                                       variable('model_version', 'version') + variable('slo', 'slo') +
                                       variable('kind', 'kind') + variable('signal', 'signal') + ['from=' + start, 'to=now']);
      [
        rule {
          annotations+: {
            runbook_url: config.runbooksUrl + '#' + std.asciiLower(rule.alert),
            dashboard_url: config.grafanaUrl + '/d/' + rule.declared.board_uid + '?' + parameters,
          },
        },
      ],

  placeholders(config)::
    local cluster = std.join(', ', config.clusterLabels);
    local selector = config.selector;
    local replaced(expr) = std.foldl(
      function(text, change) std.strReplace(text, change[0], change[1]),
      [
        ['__cluster_labels__, ', if cluster == '' then '' else cluster + ', '],
        ['__cluster_labels__', cluster],
        [',__selector__=""', if selector == '' then '' else ',' + selector],
        ['{__selector__=""}', if selector == '' then '' else '{' + selector + '}'],
      ],
      expr
    );
    function(rule) [rule { expr: replaced(rule.expr) }],

  // All groups with all passes applied, one after another.
  apply(passes, groups)::
    local applied(rules) = std.foldl(function(sofar, pass) std.flatMap(pass, sofar), passes, rules);
    [group { rules: applied(group.rules) } for group in groups],
}
