"""Render the mixin and the registry's constants to Prometheus rule files."""

from __future__ import annotations

import datetime
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import _jsonnet
import yaml

from modelplane_schema import alerts, expressions, metrics, recorded
from modelplane_schema.errors import UserError
from modelplane_schema.promql import Matcher, ratio
from modelplane_schema.registry import Price, Registry, TokenPrice
from modelplane_schema.token_expressions import Rule, token_cost_rules
from modelplane_schema.uids import FLEET_UID

MIXIN = Path(__file__).parent / "mixin"
SCHEMA_FILE = MIXIN / "schema.json"

Group = dict[str, Any]

# Times that a person can wait for; everything else is as in production.
DEMO_CONFIG: Mapping[str, Any] = {
    "for": {alert.name: "10s" for alert in alerts.ALERTS},
    "tokenCostInterval": "10s",
    "signalBaselineInterval": "10s",
    "signalWindows": {"1h": "10s", "6h": "30s", "1d": "30s"},
}


class MixinError(UserError, ValueError):
    """The mixin cannot be evaluated with the configuration given; the message holds jsonnet's trace."""


def schema_json() -> str:
    """What the mixin needs to know of the schema, as the text of ``mixin/schema.json``."""
    content = {
        "identity": metrics.IDENTITY,
        "fleetUid": FLEET_UID,
        "missingBin": metrics.MISSING_BIN,
        "minObservations": recorded.DEFAULT_MIN_OBSERVATIONS,
        "metrics": {key: value.name for key, value in _declared(metrics, metrics.Metric)},
        "labels": {
            "SIGNAL_DEVIATION_POSITIVE": metrics.SIGNAL_DEVIATION_POSITIVE.labels,
            "BASELINE_OBSERVATIONS": metrics.BASELINE_OBSERVATIONS.labels,
        },
        "recorded": {
            key: {"name": value.name, "window": value.window}
            for key, value in _declared(recorded, recorded.RecordedSeries)
        },
        "expressions": _expressions(),
        "latencyQuantiles": [_latency_quantile(q) for q in recorded.LATENCY_QUANTILES],
        "tokenCosts": [_recording(rule) for rule in token_cost_rules()],
        "windowed": {key: value.name for key, value in _declared(recorded, recorded.WindowedSeries)},
        "alerts": {
            key: {
                "name": value.name,
                "severity": value.severity,
                "pending": value.pending,
                "summary": value.summary,
                "labels": value.labels,
            }
            for key, value in _declared(alerts, alerts.Alert)
        },
    }
    return json.dumps(content, indent=2) + "\n"


def _expressions() -> dict[str, str]:
    """What rules record of requests, by the key of the recorded series."""
    request, failure, error_ratio = recorded.REQUEST_RATE, recorded.FAILURE_RATE, recorded.ERROR_RATIO
    completed = _request_rate(error_ratio.window, expressions.COMPLETED)
    return {
        "REQUEST_RATE": _request_rate(request.window),
        "FAILURE_RATE": _request_rate(failure.window, expressions.FAILED),
        "ERROR_RATIO": ratio(failure.name, completed, separator="\n"),
    }


def _request_rate(window: str, outcome: Matcher | None = None) -> str:
    return expressions.request_rate(expressions.everything, window, metrics.IDENTITY, outcome)


def _latency_quantile(q: float) -> dict[str, str]:
    by, window = (*metrics.IDENTITY, "le"), recorded.LATENCY_QUANTILE.window
    expression = expressions.quantile(q, metrics.LATENCY, expressions.everything, window, by)
    return {"quantile": f"{q:g}", "expression": expression}


def _recording(rule: Rule) -> dict[str, Any]:
    labels = {"labels": rule.labels} if rule.labels else {}
    return {"record": rule.series.name, "expr": rule.expression, **labels}


def rule_files(registry: Registry, config: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Map file name to YAML text: constants of the registry, recording rules, alerts.

    ``config`` is patched (RFC 7396) onto the mixin's ``_config``. MixinError when jsonnet refuses it.
    """
    merged = {
        "grafanaUrl": registry.urls.grafana,
        "runbooksUrl": registry.urls.runbooks,
        **(config or {}),
    }
    return {
        "modelplane-config.yml": _to_yaml([constants(registry)]),
        "modelplane-rules.yml": _to_yaml(_evaluate("prometheusRules", merged)),
        "modelplane-alerts.yml": _to_yaml(_evaluate("prometheusAlerts", merged)),
    }


def constants(registry: Registry) -> Group:
    """The registry as recorded series that never change, so that the rules are the same for everyone."""
    rules = []
    for model in registry.models:
        for version in model.production_versions:
            labels = dict(zip(metrics.VERSION_IDENTITY, (model.name, version, model.framework), strict=True))
            rules.append(_constant(recorded.PRODUCTION_VERSION, 1, labels))
        if model.latency_threshold is not None:
            threshold = model.latency_threshold
            rules.append(_constant(recorded.LATENCY_THRESHOLD, threshold, {metrics.MODEL_NAME: model.name}))
        if model.max_in_flight is not None:
            most = model.max_in_flight
            rules.append(_constant(recorded.MAX_IN_FLIGHT, most, {metrics.MODEL_NAME: model.name}))
        minimum = model.drift.min_observations
        rules.append(_constant(recorded.MIN_OBSERVATIONS, minimum, {metrics.MODEL_NAME: model.name}))
    return {"name": "modelplane-config", "rules": [*rules, *_prices(registry)]}


def _prices(registry: Registry) -> Iterator[dict[str, Any]]:
    """Prices as constants that exist while they are in force."""
    of_devices: defaultdict[str, list[Price]] = defaultdict(list)
    for price in registry.devices.prices:
        of_devices[price.device_type].append(price)
    for device_type, prices in of_devices.items():
        yield from _dated(recorded.DEVICE_PRICE, {"device_type": device_type}, prices)
    for model in registry.models:
        of_kinds: defaultdict[str, list[TokenPrice]] = defaultdict(list)
        for token_price in model.token_prices:
            of_kinds[token_price.kind].append(token_price)
        for kind, token_prices in of_kinds.items():
            labels = {metrics.MODEL_NAME: model.name, "kind": kind}
            yield from _dated(recorded.TOKEN_PRICE, labels, token_prices)


def _dated(
    series: recorded.RecordedSeries, labels: dict[str, str], prices: Sequence[Price | TokenPrice]
) -> Iterator[dict[str, Any]]:
    """Each price from 00:00 UTC of its day on, until the next begins: one rule for each currency.

    Two rules of one series would write at once when one price follows another, which Prometheus refuses.
    """
    of_currency: defaultdict[str, list[str]] = defaultdict(list)
    by_date = sorted(prices, key=lambda price: price.effective_from)
    for price, following in zip_longest(by_date, by_date[1:]):
        in_force = f"vector(time()) >= {_midnight(price.effective_from)}"
        if following is not None:
            in_force += f" < {_midnight(following.effective_from)}"
        of_currency[price.currency].append(f"(vector({price.amount:f}) and ({in_force}))")
    for currency, constants in of_currency.items():
        yield {
            "record": series.name,
            "expr": "\nor\n".join(constants),
            "labels": {**labels, "currency": currency},
        }


def _midnight(day: datetime.date) -> int:
    return int(datetime.datetime.combine(day, datetime.time(), datetime.UTC).timestamp())


def _constant(series: recorded.RecordedSeries, value: float, labels: dict[str, str]) -> dict[str, Any]:
    return {"record": series.name, "expr": f"vector({value!r})", "labels": labels}


def _evaluate(field: str, config: Mapping[str, Any]) -> list[Group]:
    snippet = (
        "function(config) local mixin = import 'mixin.libsonnet'; "
        f"(mixin {{ _config:: std.mergePatch(mixin._config, config) }}).{field}.groups"
    )
    try:
        text = _jsonnet.evaluate_snippet(
            "modelplane", snippet, import_callback=_imported, tla_codes={"config": json.dumps(dict(config))}
        )
    except RuntimeError as error:
        raise MixinError(f"the rules cannot be rendered: {error}") from error
    groups: list[Group] = json.loads(text)
    return [_ordered({**group, "rules": [_ordered(rule) for rule in group["rules"]]}) for group in groups]


def _imported(folder: str, name: str) -> tuple[str, bytes]:
    """Path and content of a file of the mixin; of ``schema.json`` what it must hold, not what it holds."""
    path = MIXIN / name
    return str(path), schema_json().encode() if path == SCHEMA_FILE else path.read_bytes()


def _ordered(declaration: dict[str, Any]) -> dict[str, Any]:
    """The order in which people read a group or a rule; jsonnet sorts keys."""
    keys = ("name", "interval", "rules", "record", "alert", "expr", "for", "labels", "annotations")
    return {key: declaration[key] for key in keys if key in declaration}


def _declared(module: Any, kind: type[Any]) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in vars(module).items() if isinstance(value, kind)]


class _Dumper(yaml.SafeDumper):
    """Multi-line expressions as blocks, as people write them."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def _to_yaml(groups: list[Group]) -> str:
    return yaml.dump({"groups": groups}, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000)
