// Burn-rate alerts: the budget of an SLO is spent faster than it allows.
local schema = import '../schema.json';
local slo = import '../slo.libsonnet';

local passes = import '../passes.libsonnet';
local promql = import '../promql.libsonnet';

local recorded = schema.recorded;
local windowed = schema.windowed;

local factor(pair) = promql.constant(recorded.SLO_BURN_FACTOR, ['model_name', 'slo'], 'long_window="' + pair.long + '"');
// No factor is below 1, and most series are: only the others are joined with theirs.
local exceeds(burnRate, pair) = '(' + burnRate + ' > 1) > on (model_name, slo) group_left () ' + factor(pair);
local bad(window) = '(' + windowed.SLO_TOTAL + window + ' - ' + windowed.SLO_GOOD + window + ')';

local objective = promql.constant(recorded.SLO_OBJECTIVE, ['model_name', 'slo']);
local inCluster = promql.labels(['model_name']);
local called(labels) = promql.lines([
  'and on (' + labels + ') ' + windowed.CALLS_COMPLETED + '1h > 0',
  'and on (' + labels + ') ' + windowed.CALLS_COMPLETED + '1h offset 2h > 0',
]);

// The factor that holds for the SLO, in a text.
local limit(pair) =
  '{{ with printf "max(' + recorded.SLO_BURN_FACTOR.name + '{model_name=%q,slo=%q,long_window=\\"' + pair.long +
  '\\"})" $labels.model_name $labels.slo | query }}{{ . | first | value | printf "%.3g" }}{{ end }} over ' + pair.long;

local pages = std.filter(function(pair) pair.page, slo.pairs);
local tickets = std.filter(function(pair) !pair.page, slo.pairs);

local description(pairs) =
  'Calls of tenant {{ $labels.tenant_id }} to {{ $labels.model_name }} {{ $labels.model_version }} spend the error ' +
  'budget of the SLO {{ $labels.slo }} {{ $value | printf "%.3g" }} times as fast as it allows; the limit is ' +
  std.join(' or ', std.map(limit, pairs)) + '.';

{
  local config = $._config,

  // Both windows, and enough bad calls. A burst stays in the short window until bursts are apart.
  local burns(pair) = promql.lines([
    '(' + exceeds(windowed.SLO_BURN_RATE + pair.long, pair),
    'and',
    exceeds('max_over_time(' + windowed.SLO_BURN_RATE + pair.short + '[' + config.holdErrors + '])', pair),
    'and',
    bad(pair.long) + ' >= ' + config.minBadEvents + ')',
  ]),
  local any(conditions) = std.join('\nor\n', conditions),

  // With a call now and then the short window is empty most of the time: a day alone decides.
  local littleTraffic(pair) = promql.lines([
    '(' + exceeds(windowed.SLO_BURN_RATE + pair.long, pair),
    'and',
    bad(pair.long) + ' >= ' + config.minBadEvents,
    'unless',
    windowed.SLO_TOTAL + pair.short + ' >= ' + config.minBadEvents + ')',
  ]),

  alertGroups+:: [
    {
      name: 'modelplane-slo-alerts',
      interval: config.sloInterval,
      rules: [
        passes.alert('SLO_BURN', any(std.map(burns, pages)), description(pages)),
        // Not beside the page. Alertmanager could inhibit it, but would then never send its end.
        passes.alert('SLO_BURN_SLOW', promql.lines([
          '(',
          any(std.map(burns, tickets) + [littleTraffic(tickets[0])]),
          ')',
          'unless',
          '(',
          any(std.map(burns, pages)),
          ')',
        ]), description(tickets)),
        // In a cluster that had data within a day, so that no other hides it; or nowhere.
        passes.alert('SLO_WITHOUT_DATA', promql.lines([
          '(' + promql.by('group', inCluster + ', slo', windowed.SLO_TOTAL + '1d'),
          called(inCluster),
          'unless on (' + inCluster + ', slo)',
          windowed.SLO_TOTAL + '1h) * 0 + on (model_name, slo) group_left ()',
          objective,
          'or on (model_name, slo)',
          '(' + objective,
          called('model_name'),
          'unless on (model_name, slo)',
          windowed.SLO_TOTAL + '1h)',
        ]), 'Nothing has counted for the SLO {{ $labels.slo }} of {{ $labels.model_name }}, whose objective is {{ $value | humanizePercentage }}, for two hours in which the model was called.'),
      ],
    },
  ],
}
