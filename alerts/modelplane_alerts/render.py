"""Render the mixin and the registry's constants to Prometheus rule files."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

try:  # the same output from an eighth of the time (measured), where it is to be had
    import _gojsonnet as _jsonnet
except ModuleNotFoundError:
    import _jsonnet

from modelplane_alerts.yaml_text import dump
from modelplane_schema import alerts, calibration, expressions, metrics, recorded, recorded_slo
from modelplane_schema.alert_limits import limit_settings
from modelplane_schema.errors import UserError
from modelplane_schema.levels import level_rules
from modelplane_schema.mixin_settings import checked_settings
from modelplane_schema.promql import CLUSTER_LABELS, SELECTOR, Matcher, duration_seconds, selector
from modelplane_schema.recorded_types import RecordedSeries, WindowedSeries
from modelplane_schema.registry import PsiThresholds, Registry
from modelplane_schema.token_expressions import Rule, token_cost_rules
from modelplane_schema.uids import template_uid

MIXIN = Path(__file__).parent / "mixin"
SCHEMA_FILE = MIXIN / "schema.json"

_READING_ORDER = (
    "name", "interval", "rules", "record", "alert", "expr", "for", "keep_firing_for", "labels", "annotations",
)  # fmt: skip
CONSTANTS_GROUP = "modelplane-config"

Group = dict[str, Any]

# Times that a person can wait for; everything else is as in production.
DEMO_CONFIG: Mapping[str, Any] = {
    "for": {alert.name: "10s" for alert in alerts.ALERTS},
    "constantInterval": "4s",
    "levelInterval": "10s",
    "replicaInterval": "4s",
    "sloInterval": "10s",
    "sloLongInterval": "20s",
    "sloPeriodInterval": "30s",
    "trafficInterval": "20s",
    "qualityInterval": "20s",
    "tokenCostInterval": "10s",
    "signalBaselineInterval": "10s",
    "signalWindows": {"1h": "10s", "6h": "30s", "1d": "30s"},
    "driftInterval": "10s",
}


class MixinError(UserError, ValueError):
    """The mixin cannot be evaluated with the configuration given; the message holds jsonnet's trace."""


def schema_json() -> str:
    """What the mixin needs to know of the schema, as the text of ``mixin/schema.json``."""
    content = {
        "identity": metrics.IDENTITY,
        "completedOutcomes": "|".join(metrics.COMPLETED_OUTCOMES),
        "missingBin": metrics.MISSING_BIN,
        "minObservations": recorded.DEFAULT_MIN_OBSERVATIONS,
        "limits": limit_settings(),
        "psiThresholds": PsiThresholds().model_dump(mode="json"),
        "calibration": _calibration(),
        "metrics": {key: value.name for key, value in _declared(metrics, metrics.Metric)},
        "labels": {
            "SIGNAL_DEVIATION_POSITIVE": metrics.SIGNAL_DEVIATION_POSITIVE.labels,
            "BASELINE_OBSERVATIONS": metrics.BASELINE_OBSERVATIONS.labels,
        },
        "recorded": {
            key: {"name": value.name, "window": value.window} for key, value in _recorded(RecordedSeries)
        },
        "expressions": _expressions(),
        "callWindows": recorded_slo.CALL_WINDOWS,
        "summedCallWindows": recorded_slo.SUMMED_CALL_WINDOWS,
        "latencyQuantiles": [_latency_quantile(q) for q in recorded.LATENCY_QUANTILES],
        "latencyQuantilesNative": [_latency_quantile(q, native=True) for q in recorded.LATENCY_QUANTILES],
        "latencyBounds": [f"{bound:g}" for bound in metrics.LATENCY_BUCKETS],
        "levels": [
            {
                "level": rule.level,
                "record": rule.series.name,
                "expr": rule.expression,
                "isHistogram": rule.is_histogram,
            }
            for rule in level_rules()
        ],
        "tokenCosts": [_recording(rule) for rule in token_cost_rules()],
        "windowed": {key: value.name for key, value in _recorded(WindowedSeries)},
        "alerts": {
            key: {
                **asdict(value),
                "range_seconds": duration_seconds(value.range_),
                "board_uid": template_uid(value.board),
            }
            for key, value in _declared(alerts, alerts.Alert)
        },
    }
    return json.dumps(content, indent=2) + "\n"


def _calibration() -> dict[str, Any]:
    """Constants of the limits of drift, and its arms with the keys of their series.

    Margins of ratios are logarithms. Numbers of expressions are texts, for jsonnet prints 17 digits.
    """
    keys = {value.name: key for key, value in _recorded(WindowedSeries)}
    psi = {
        "method": calibration.PSI,
        "series": "SIGNAL_PSI",
        "hourly": "SIGNAL_PSI_HOURLY",
        "is_ratio": False,
    }
    arms = (
        {
            "method": arm.method,
            "is_ratio": arm.is_ratio,
            "margin": repr(math.log(arm.margin) if arm.is_ratio else arm.margin),
            **{name: keys[getattr(arm, name).name] for name in ("series", "hourly", "low", "high")},
        }
        for arm in calibration.TWO_SIDED_ARMS
    )
    return {
        "pastHours": calibration.PAST_HOURS,
        "leastWindows": calibration.LEAST_WINDOWS,
        "leastValues": calibration.LEAST_VALUES,
        "leastAgeHours": calibration.LEAST_AGE_HOURS,
        "certain": calibration.CERTAIN,
        "psiFactor": repr(calibration.PSI_FACTOR),
        "psiMargin": repr(calibration.PSI_MARGIN),
        "spread": repr(calibration.SPREAD),
        "leastRatio": repr(calibration.LEAST_RATIO),
        "arms": [psi, *arms],
    }


def _expressions() -> dict[str, str]:
    """What rules record of requests, by the key of the recorded series."""
    request, failure, error_ratio = recorded.REQUEST_RATE, recorded.FAILURE_RATE, recorded.ERROR_RATIO
    by = (CLUSTER_LABELS, *metrics.IDENTITY)
    return {
        "REQUEST_RATE": _request_rate(request.window),
        "FAILURE_RATE": _request_rate(failure.window, expressions.FAILED),
        "ERROR_RATIO": expressions.error_ratio(_selected, error_ratio.window, by),
    }


def _request_rate(window: str, outcome: Matcher | None = None) -> str:
    return expressions.request_rate(_selected, window, (CLUSTER_LABELS, *metrics.IDENTITY), outcome)


def _selected(name: str, /, *matchers: Matcher) -> str:
    return selector(name, (*matchers, SELECTOR))


def _latency_quantile(q: float, *, native: bool = False) -> dict[str, str]:
    by, window = (CLUSTER_LABELS, *metrics.IDENTITY), recorded.LATENCY_QUANTILE.window
    if native:
        expression = expressions.native_quantile(q, metrics.LATENCY, _selected, window, by) + " >= 0"
    else:
        expression = expressions.quantile(q, metrics.LATENCY, _selected, window, (*by, "le"))
    return {"quantile": f"{q:g}", "expression": expression}


def _recording(rule: Rule) -> dict[str, Any]:
    labels = {"labels": rule.labels} if rule.labels else {}
    return {"record": rule.series.name, "expr": rule.expression, **labels}


def rule_files(registry: Registry, config: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Map file name to YAML text: constants of the registry, recording rules, alerts.

    ``config`` is patched (RFC 7396) onto the mixin's ``_config`` after the registry's ``alerts``. MixinError
    with a line for each setting that the mixin does not have or whose value cannot be.
    """
    merged = _given(registry, config)
    # Evaluated apart, for rules and alerts are the same for all registries with such SLOs.
    constants = _evaluate(_CONSTANTS, merged)
    rules = _evaluate(_RULES, {**merged, "models": _slos_of_rules(merged["models"])})
    return {
        "modelplane-config.yml": _to_yaml(constants["constants"]),
        "modelplane-rules.yml": _to_yaml(rules["rules"]),
        "modelplane-alerts.yml": _to_yaml(rules["alerts"]),
    }


def mixin_config(registry: Registry, config: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The whole ``_config`` that ``rule_files`` renders with, defaults included; MixinError."""
    return _merged(_defaults(), _given(registry, config))


def _given(registry: Registry, config: Mapping[str, Any] | None) -> dict[str, Any]:
    try:
        settings = checked_settings(_merged(registry.alerts, config or {}))
    except ValueError as error:
        raise MixinError("\n".join(f"alerts.{line}" for line in str(error).splitlines())) from error
    return {**registry_config(registry), **settings}


def cluster_labels(registry: Registry) -> tuple[str, ...]:
    """The labels that tell clusters apart, as the registry sets them or the mixin has them."""
    labels = registry.alerts.get("clusterLabels")
    return tuple(map(str, labels if isinstance(labels, list) else _defaults()["clusterLabels"]))


def _merged(target: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """``target`` with ``patch`` as in RFC 7396, but null stays for the mixin to remove."""
    merged = dict(target)
    for key, value in patch.items():
        below = merged.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            value = _merged(below, value)
        merged[key] = value
    return merged


def registry_config(registry: Registry) -> dict[str, Any]:
    """What the mixin's ``_config`` takes from a registry; amounts are texts, so that no digit is lost."""
    content = registry.model_dump(mode="json", by_alias=True, exclude_none=True)
    models = content["models"]
    for model, declared in zip(models, registry.models, strict=True):
        if declared.expected_replicas is not None:
            model["replicas"] = declared.expected_replicas
        for slo in model["slos"]:
            slo["objective"] = _text(slo["objective"])
            if "threshold_seconds" in slo["indicator"]:
                slo["indicator"]["threshold_seconds"] = _text(slo["indicator"]["threshold_seconds"])
    return {
        "grafanaUrl": registry.urls.grafana,
        "runbooksUrl": registry.urls.runbooks,
        "models": models,
        "tenants": [tenant for tenant in content["tenants"] if "budget" in tenant],
        "devices": content["devices"],
    }


def _text(number: float) -> str:
    """All digits that tell ``number`` from others; a text costs jsonnet nothing."""
    return f"{number:g}" if float(f"{number:g}") == number else repr(number)


def _slos_of_rules(models: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What rules and alerts read of models: the thresholds and periods of SLOs, each once."""
    kinds = {
        json.dumps({key: slo[key] for key in ("indicator", "window") if key in slo}, sort_keys=True)
        for model in models
        for slo in model.get("slos", ())
    }
    return [{"slos": [json.loads(kind) for kind in sorted(kinds)]}]


_CONSTANTS = (
    "{ constants: ((import 'rules/constants.libsonnet') + { _config:: filled._config }).constantGroups }"
)
_RULES = (
    f"{{ rules: [g for g in filled.prometheusRules.groups if g.name != '{CONSTANTS_GROUP}'],"
    " alerts: filled.prometheusAlerts.groups }"
)


def _evaluate(part: str, config: Mapping[str, Any]) -> dict[str, list[Group]]:
    """A ``part`` of the mixin, an expression over ``filled``: names to groups."""
    content: dict[str, list[Group]] = json.loads(_evaluated(part, json.dumps(dict(config))))
    return {key: [_in_reading_order(group) for group in groups] for key, groups in content.items()}


# Jsonnet takes tenths of a second; a plane renders one registry several times (check, warnings, bundle).
@lru_cache(maxsize=8)
def _evaluated(part: str, config: str) -> str:
    # Patching costs by what is patched, so the registry is added as it is.
    snippet = (
        "function(config) local mixin = import 'mixin.libsonnet'; "
        "local lists = { models: config.models, tenants: config.tenants, devices: config.devices }; "
        "local settings = std.mergePatch(mixin._config, config { models: [], tenants: [], devices: {} }); "
        f"local filled = mixin {{ _config:: settings + lists }}; {part}"
    )
    tla = {"config": config}
    try:
        return str(_jsonnet.evaluate_snippet("modelplane", snippet, import_callback=_imported, tla_codes=tla))
    except RuntimeError as error:
        raise MixinError(f"the rules cannot be rendered: {error}") from error


@cache
def _defaults() -> dict[str, Any]:
    """``_config`` as the mixin has it."""
    snippet = "(import 'mixin.libsonnet')._config"
    defaults: dict[str, Any] = json.loads(
        _jsonnet.evaluate_snippet("defaults", snippet, import_callback=_imported)
    )
    return defaults


def _in_reading_order(group: Group) -> Group:
    return _ordered({**group, "rules": [_ordered(rule) for rule in group["rules"]]})


def _imported(folder: str, name: str) -> tuple[str, bytes]:
    """Path and content of a file of the mixin; of ``schema.json`` what it must hold, not what it holds."""
    path = (Path(folder) if folder else MIXIN).joinpath(name).resolve()
    return str(path), schema_json().encode() if path == SCHEMA_FILE else path.read_bytes()


def _ordered(declaration: dict[str, Any]) -> dict[str, Any]:
    """The order in which people read a group or a rule; jsonnet sorts keys."""
    return {key: declaration[key] for key in _READING_ORDER if key in declaration}


def _declared(module: Any, kind: type[Any]) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in vars(module).items() if isinstance(value, kind)]


def _recorded(kind: type[Any]) -> list[tuple[str, Any]]:
    return [*_declared(recorded, kind), *_declared(recorded_slo, kind)]


def _to_yaml(groups: list[Group]) -> str:
    return dump({"groups": groups})
