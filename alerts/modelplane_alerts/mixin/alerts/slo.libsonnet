// Burn-rate alerts: the budget of an SLO is spent faster than it allows.
local schema = import '../schema.json';
local slo = import '../slo.libsonnet';

local passes = import '../passes.libsonnet';
local promql = import '../promql.libsonnet';

local recorded = schema.recorded;
local windowed = schema.windowed;

local objective = promql.constant(recorded.SLO_OBJECTIVE, ['model_name', 'slo']);
local inCluster = promql.labels(['model_name']);
// Of versions, of which there are fewer than of tenants; their labels are those of the models that were called.
local finished(range) =
  'max_over_time(' + schema.levelSeries.calls.version + '{outcome=~"' + schema.completedOutcomes + '"}' + range + ') > 0';
local called(labels) = promql.lines([
  'and on (' + labels + ') ' + finished('[1h]'),
  'and on (' + labels + ') ' + finished('[1h] offset 2h'),
]);

// The factor that holds for the SLO, in a text.
local limit(pair) =
  '{{ with printf "max(' + recorded.SLO_BURN_FACTOR.name + '{model_name=%q,slo=%q,long_window=\\"' + pair.long +
  '\\"})" $labels.model_name $labels.slo | query }}{{ . | first | value | printf "%.3g" }}{{ end }} over ' + pair.long;

local description(pairs) =
  'Calls of tenant {{ $labels.tenant_id }} to {{ $labels.model_name }} {{ $labels.model_version }} spend the error ' +
  'budget of the SLO {{ $labels.slo }} {{ $value | printf "%.3g" }} times as fast as it allows; the limit is ' +
  std.join(' or ', std.map(limit, pairs)) + '.';

{
  local config = $._config,

  // With a call now and then the short window is empty most of the time: a day alone decides.
  local littleTraffic(pair) = promql.lines([
    '(' + slo.exceeds(windowed.SLO_BURN_RATE + pair.long, pair),
    'and',
    slo.bad(pair.long) + ' >= ' + config.minBadEvents,
    'unless',
    windowed.SLO_TOTAL + pair.short + ' >= ' + config.minBadEvents + ')',
  ]),

  alertGroups+:: [
    {
      name: 'modelplane-slo-alerts',
      interval: config.sloInterval,
      rules: [
        passes.alert('SLO_BURN', recorded.SLO_PAGE_BURN_RATE.name, description(slo.pages)),
        // Not beside the page. Alertmanager could inhibit it, but would then never send its end.
        passes.alert('SLO_BURN_SLOW', promql.lines([
          '(',
          slo.burnsAny(config, slo.tickets),
          'or',
          littleTraffic(slo.tickets[0]),
          ')',
          'unless',
          recorded.SLO_PAGE_BURN_RATE.name,
        ]), description(slo.tickets)),
        // In a cluster that had data within a day, so that no other hides it; or nowhere.
        passes.alert('SLO_WITHOUT_DATA', promql.lines([
          '(max_over_time(' + recorded.SLO_DATA.name + '[1d])',
          called(inCluster),
          'unless',
          recorded.SLO_DATA.name + ') * 0 + on (model_name, slo) group_left ()',
          objective,
          'or on (model_name, slo)',
          '(' + objective,
          called('model_name'),
          'unless on (model_name, slo)',
          recorded.SLO_DATA.name + ')',
        ]), 'Nothing has counted for the SLO {{ $labels.slo }} of {{ $labels.model_name }}, whose objective is {{ $value | humanizePercentage }}, for two hours in which the model was called.'),
      ],
    },
  ],
}
