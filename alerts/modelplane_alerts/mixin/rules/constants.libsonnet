// The registry as recorded series that never change, so that the rules are the same for one tenant and for ten
// thousand. _config.models, tenants and devices have the shape of the registry.
local schema = import '../schema.json';
local slo = import '../slo.libsonnet';

local promql = import '../promql.libsonnet';

local recorded = schema.recorded;
local entries(object, key) = std.get(object, key, []);

local number = promql.number;
local constant(series, value, labels) =
  { record: series.name, expr: 'vector(' + number(value) + ')', labels: labels };

// Seconds from 1970 to 00:00 UTC of a day (Hinnant, chrono-compatible low-level date algorithms).
local midnight(day) =
  local parts = std.map(std.parseInt, std.split(day, '-'));
  local shifted = parts[1] <= 2;
  local year = parts[0] - (if shifted then 1 else 0);
  local month = parts[1] + (if shifted then 9 else -3);
  local era = std.floor(year / 400);
  local ofEra = year - era * 400;
  local ofYear = std.floor((153 * month + 2) / 5) + parts[2] - 1;
  local days = era * 146097 + ofEra * 365 + std.floor(ofEra / 4) - std.floor(ofEra / 100) + ofYear - 719468;
  std.toString(days * 86400);

// Each price from its day on until the next begins: one rule for each currency, for two rules of one series would
// write at once when one price follows another, which Prometheus refuses.
local dated(series, labels, prices) =
  local sorted = std.sort(prices, function(price) price.effective_from);
  local inForce(index) =
    'vector(time()) >= ' + midnight(sorted[index].effective_from) +
    (if index + 1 < std.length(sorted) then ' < ' + midnight(sorted[index + 1].effective_from) else '');
  local ofCurrency(currency) = [
    '(vector(' + number(sorted[index].amount) + ') and (' + inForce(index) + '))'
    for index in std.range(0, std.length(sorted) - 1)
    if sorted[index].currency == currency
  ];
  [
    { record: series.name, expr: std.join('\nor\n', ofCurrency(currency)), labels: labels { currency: currency } }
    for currency in std.set([price.currency for price in sorted])
  ];

local grouped(items, key) =
  local names = std.set([item[key] for item in items]);
  [{ name: name, items: [item for item in items if item[key] == name] } for name in names];

local ofVersion(model, version) =
  local labels = { model_name: model.name, model_version: version.version };
  local stage = std.get(version, 'stage', 'production');
  [constant(recorded.DECLARED_STAGE, 1, labels { stage: stage })] + (
    if stage != 'production' then []
    else
      [constant(recorded.PRODUCTION_VERSION, 1, labels { framework: model.framework })] +
      [constant(recorded.MODEL_TENANT, 1, labels { tenant_id: tenant }) for tenant in model.tenants]
  );

// Both spellings of a bucket's bound: 1.0 of Python, 1 of others.
local spellings(seconds) =
  local text = number(seconds);
  std.set([text] + (if std.member(text, '.') then [std.rstripChars(std.rstripChars(text, '0'), '.')] else [text + '.0']));

local ofSlo(model, objective) =
  local labels = { model_name: model.name, slo: objective.name };
  local indicator = objective.indicator;
  [
    constant(recorded.SLO_OBJECTIVE, objective.objective, labels),
    constant(recorded.SLO_INDICATOR, 1, labels { indicator: indicator.type }),
    constant(recorded.SLO_PERIOD, slo.days(objective.window) * 86400, labels { period: objective.window }),
  ] + [
    constant(recorded.SLO_BURN_FACTOR, slo.factor(pair, objective), labels { long_window: pair.long })
    for pair in slo.pairs
    if slo.factor(pair, objective) != null
  ] + (
    if indicator.type != 'latency' then []
    else [constant(recorded.SLO_LATENCY_SECONDS, indicator.threshold_seconds, labels)] + [
      constant(recorded.SLO_LATENCY_BOUND, 1, labels { le: le })
      for le in spellings(indicator.threshold_seconds)
    ]
  );

local ofModel(model) =
  local labels = { model_name: model.name };
  local ifPresent(series, key, object=model) =
    if std.objectHas(object, key) then [constant(series, object[key], labels)] else [];
  std.flatMap(function(version) ofVersion(model, version), model.versions) +
  std.flatMap(function(objective) ofSlo(model, objective), entries(model, 'slos')) +
  [constant(recorded.MODEL_OWNER, 1, labels { owner: model.owner })] +
  ifPresent(recorded.MAX_IN_FLIGHT, 'max_in_flight') +
  ifPresent(recorded.REPLICAS, 'replicas') +
  (
    local drift = std.get(model, 'drift', {});
    local psi = std.get(drift, 'psi', {});
    ifPresent(recorded.MIN_OBSERVATIONS, 'min_observations', drift) +
    ifPresent(recorded.DRIFT_PSI_WARNING, 'warning', psi) +
    ifPresent(recorded.DRIFT_PSI_CRITICAL, 'critical', psi)
  ) +
  std.flatMap(
    function(kind) dated(recorded.TOKEN_PRICE, labels { kind: kind.name }, kind.items),
    grouped(entries(model, 'token_prices'), 'kind')
  );

{
  local config = $._config,

  constantGroups+:: [
    {
      name: 'modelplane-config',
      interval: config.constantInterval,
      rules:
        std.flatMap(ofModel, config.models) +
        [
          constant(recorded.BUDGET, tenant.budget.amount, { tenant_id: tenant.id, currency: tenant.budget.currency })
          for tenant in config.tenants
          if std.objectHas(tenant, 'budget')
        ] +
        std.flatMap(
          function(type) dated(recorded.DEVICE_PRICE, { device_type: type.name }, type.items),
          grouped(entries(config.devices, 'prices'), 'device_type')
        ),
    },
  ],
}
