"""``modelplane demo``: the plane, five real models, and proof that data flows all the way."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from modelplane_alerts.routing import OWNER
from modelplane_provisioning.checks import (
    Check,
    Finding,
    Parts,
    check_panels,
    check_rules,
    check_targets,
    run_checks,
)
from modelplane_provisioning.examples import ExampleService, example_process
from modelplane_provisioning.plane import Connection, prometheus_query
from modelplane_provisioning.processes import Process, free_port, wait_until
from modelplane_schema.alerts import (
    PROBE_ALERT,
    SIGNAL_DRIFT,
    SIGNAL_FAR_FROM_BASELINE,
    SLO_BURN,
    SLO_BURN_SLOW,
)
from modelplane_schema.expressions import FAILED, SUCCEEDED, everything, quantile
from modelplane_schema.metrics import CONFIDENCE, LATENCY, MODEL_INFO, MODEL_NAME, REQUESTS, TENANT_ID
from modelplane_schema.promql import total
from modelplane_schema.registry import Registry

# Five phases of this length are one cycle, so that every outcome shows within half a minute.
PHASE_SECONDS = 5
_BY_MODEL = (MODEL_NAME,)
# Drift needs 300 observations; then a record, an evaluation, its `for`, and a group of Alertmanager.
_PEOPLE_SECONDS = 90


class _Kind(NamedTuple):
    """What goes wrong in a phase, the alerts that tell of it, and the label that says whom."""

    cause: str
    label: str
    alerts: tuple[str, ...]


_KINDS = (
    _Kind("drift", OWNER, (SIGNAL_DRIFT.name, SIGNAL_FAR_FROM_BASELINE.name)),
    _Kind("failures", TENANT_ID, (SLO_BURN.name, SLO_BURN_SLOW.name)),
)


@dataclass(frozen=True, slots=True)
class ModelSummary:
    """What Prometheus holds of one model: counts since its start, latency in seconds."""

    framework: str
    model_name: str
    versions: int
    success: float
    failure: float
    confidence: float
    latency_p95: float

    @property
    def complete(self) -> bool:
        """Whether every column has data."""
        counts = (self.versions, self.success, self.failure, self.confidence)
        return all(count > 0 for count in counts) and math.isfinite(self.latency_p95)


def installed_part(registry: Registry, services: Sequence[ExampleService]) -> Registry:
    """The registry without the models whose framework is not installed."""
    running = {service.model_name for service in services if service.installed}
    models = tuple(model for model in registry.models if model.name in running)
    return registry.model_copy(update={"models": models})


def example_processes(
    folder: Path, services: Sequence[ExampleService], logs: Path
) -> tuple[list[Process], dict[str, list[str]]]:
    """Processes of the installed services on free ports, and the scrape targets by model."""
    processes, targets = [], {}
    for service in services:
        if service.installed:
            port = free_port()
            processes.append(example_process(folder, service, port, PHASE_SECONDS, logs))
            targets[service.model_name] = [f"127.0.0.1:{port}"]
    return processes, targets


def summary(prometheus: Connection, registry: Registry) -> list[ModelSummary]:
    """The summary of each model, in the order of the registry."""
    versions = _by_model(prometheus, f"count by ({MODEL_NAME}) ({MODEL_INFO.name})")
    success = _by_model(prometheus, total(everything(REQUESTS.name, SUCCEEDED), _BY_MODEL))
    failure = _by_model(prometheus, total(everything(REQUESTS.name, FAILED), _BY_MODEL))
    confidence = _by_model(prometheus, total(f"{CONFIDENCE.name}_count", _BY_MODEL))
    p95 = quantile(0.95, LATENCY, everything, "5m", (*_BY_MODEL, "le"))
    latency = _by_model(prometheus, p95, absent=math.nan)
    return [
        ModelSummary(
            model.framework,
            model.name,
            int(versions[model.name]),
            success[model.name],
            failure[model.name],
            confidence[model.name],
            latency[model.name],
        )
        for model in registry.models
    ]


def verdict(parts: Parts, registry: Registry) -> list[Finding]:
    """Everything the demo promises, each as a finding."""
    checks: tuple[tuple[str, Check], ...] = (
        ("every framework has data in Prometheus", _check_table),
        ("alerts went Prometheus -> Alertmanager -> store", _check_alert_travelled),
        ("drift reaches owners, and failures tenants", check_people),
        ("the latency API returns versions side by side", _check_versions_side_by_side),
        ("targets are up", check_targets),
        ("rules are healthy", check_rules),
        ("every panel query returns data", check_panels),
    )
    return list(run_checks(checks, parts, registry))


def _check_table(parts: Parts, registry: Registry) -> Finding:
    models = summary(parts.prometheus, registry)
    problems = [f"{model.framework}: a column has no data" for model in models if not model.complete]
    frameworks = len({model.framework for model in models})
    return Finding("every framework has data in Prometheus", f"{frameworks} frameworks", tuple(problems))


def _check_alert_travelled(parts: Parts, registry: Registry) -> Finding:
    alerts = parts.backend.get("/api/v1/alerts", {"limit": 1000})["alerts"]
    names = [alert["alertname"] for alert in alerts if alert["alertname"] != PROBE_ALERT]
    problems = () if names else ("no alert reached the store",)
    text = f"{len(names)} alerts: {', '.join(sorted(set(names)))}{_who_was_told(alerts)}" if names else "none"
    return Finding("alerts went Prometheus -> Alertmanager -> store", text, problems)


def _who_was_told(alerts: Sequence[Mapping[str, Any]]) -> str:
    """The tenants and owners whose receivers these alerts go to, by the rules' own labels."""
    told: defaultdict[str, set[str]] = defaultdict(set)
    for alert in alerts:
        labels = alert["labels"]
        audience = labels.get("audience", "")
        name = labels.get({"tenant": TENANT_ID, "owner": "owner"}.get(audience, ""), "")
        if name:
            told[f"{audience}s"].add(name)
    return "".join(f"; {who} {', '.join(sorted(names))}" for who, names in sorted(told.items()))


def check_people(parts: Parts, registry: Registry) -> Finding:
    """The drift phase alerts owners and the bad phase tenants, of their own models; both are waited for."""
    wait_until(lambda: all(_told(parts, kind) for kind in _KINDS), _PEOPLE_SECONDS, interval=1)
    problems, told = [], []
    for kind in _KINDS:
        pairs = _told(parts, kind)
        told.append(f"{kind.cause}: {', '.join(sorted({person for _, person in pairs}))}")
        problems += [] if pairs else [f"nobody was told of {kind.cause} by {' or '.join(kind.alerts)}"]
        problems += [
            f"{person!r} was told of {kind.cause} of {model!r}, which is not theirs"
            for model, person in sorted(pairs - _concerned(registry, kind))
        ]
    return Finding("drift reaches owners, and failures tenants", "; ".join(told), tuple(problems))


def _concerned(registry: Registry, kind: _Kind) -> set[tuple[str, str]]:
    """Models and whom their alerts of a kind are for, as the registry says."""
    return {
        (model.name, person)
        for model in registry.models
        for person in ((model.owner,) if kind.label == OWNER else model.tenants)
    }


def _told(parts: Parts, kind: _Kind) -> set[tuple[str, str]]:
    """Models and whom the alerts of a kind are for, as far as they are in the store."""
    alerts = parts.backend.get("/api/v1/alerts", {"limit": 1000})["alerts"]
    return {
        (alert["labels"].get(MODEL_NAME, ""), alert["labels"].get(kind.label, ""))
        for alert in alerts
        if alert["alertname"] in kind.alerts
    }


def _check_versions_side_by_side(parts: Parts, registry: Registry) -> Finding:
    """The latency API returns each version of the models that have several."""
    problems, versions = [], []
    for model in registry.models:
        expected = {version.version for version in model.versions}
        if len(expected) < 2:
            continue
        query = {"model-name": model.name, "tenant-id": model.tenants[0], "from": "now-15m"}
        answer = parts.backend.get("/api/v1/metrics/latency", query)
        returned = {series["labels"]["model_version"] for series in answer["data"]}
        versions.append(f"{model.name} {', '.join(sorted(returned))}")
        if returned != expected:
            problems.append(f"{model.name}: expected {sorted(expected)}, the API returned {sorted(returned)}")
    return Finding("the latency API returns versions side by side", "; ".join(versions), tuple(problems))


def _by_model(prometheus: Connection, expression: str, absent: float = 0.0) -> defaultdict[str, float]:
    values: defaultdict[str, float] = defaultdict(lambda: absent)
    for item in prometheus_query(prometheus, expression):
        values[item["metric"][MODEL_NAME]] = float(item["value"][1])
    return values
