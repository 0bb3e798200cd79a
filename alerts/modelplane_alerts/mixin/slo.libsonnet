// Windows and factors of burn-rate alerts (SRE workbook), and what they become for an SLO.
//
// A burn rate is the share of bad calls over the share that the objective allows. 1 spends exactly the budget.
local schema = import 'schema.json';

local promql = import 'promql.libsonnet';

local recorded = schema.recorded;
local windowed = schema.windowed;

local factor(pair) = promql.constant(recorded.SLO_BURN_FACTOR, ['model_name', 'slo'], 'long_window="' + pair.long + '"');

{
  // The pairs, fastest first: an alert needs the long window for significance and the short one to end soon.
  pairs:: [
    { long: '1h', short: '5m', factor: '14.4', hours: 1, page: true },
    { long: '6h', short: '30m', factor: '6', hours: 6, page: true },
    { long: '1d', short: '2h', factor: '3', hours: 24, page: false },
    { long: '3d', short: '6h', factor: '1', hours: 72, page: false },
  ],
  pages:: std.filter(function(pair) pair.page, self.pairs),
  tickets:: std.filter(function(pair) !pair.page, self.pairs),
  // Increases over these come from counters; those over longer windows are sums of the first or the last of them.
  shortWindows:: ['5m', '30m', '1h'],
  longWindows:: ['2h', '6h'],
  // Sums of the window before them, so many of them.
  dayWindows:: [{ window: '1d', of: '6h', hours: 6, parts: 4 }, { window: '3d', of: '1d', hours: 24, parts: 3 }],

  days(window):: std.parseInt(std.rstripChars(window, 'd')),

  // A factor must be possible, so it is at most half of the burn rate of a total failure, 1 / (1 - objective); it
  // spends at most half of the period's budget within its window; and it is at least 1, for a burn rate of 1 is on
  // target. A pair whose window is longer than the period has none.
  factor(pair, slo)::
    local hours = self.days(slo.window) * 24;
    local objective = if std.isString(slo.objective) then std.parseJson(slo.objective) else slo.objective;
    local usual = std.parseJson(pair.factor);
    local possible = std.max(1, std.min(0.5 / (1 - objective), std.max(1, 0.5 * hours / pair.hours)));
    if pair.hours > hours then null
    else if usual <= possible then pair.factor
    else possible,

  // No factor is below 1, and most burn rates are: only the others are joined with theirs.
  exceeds(burnRate, pair):: '(' + burnRate + ' > 1) > on (model_name, slo) group_left () ' + factor(pair),
  bad(window):: '(' + windowed.SLO_TOTAL + window + ' - ' + windowed.SLO_GOOD + window + ')',
  // Both windows, and enough bad calls. A burst stays in the short window until bursts are apart.
  burns(config, pair):: promql.lines([
    '(' + self.exceeds(windowed.SLO_BURN_RATE + pair.long, pair),
    'and',
    self.exceeds('max_over_time(' + windowed.SLO_BURN_RATE + pair.short + '[' + config.holdErrors + '])', pair),
    'and',
    self.bad(pair.long) + ' >= ' + config.minBadEvents + ')',
  ]),
  burnsAny(config, pairs):: std.join('\nor\n', [self.burns(config, pair) for pair in pairs]),
}
