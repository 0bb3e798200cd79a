"""Everything that the demo promises, as checks of the running plane."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from modelplane_alerts.routing import AUDIENCE, OWNER
from modelplane_provisioning.clients.plane import prometheus_query
from modelplane_provisioning.demo import running
from modelplane_provisioning.doctor.finding import Finding, errors
from modelplane_provisioning.doctor.panels import PANELS_HAVE_DATA, check_panels
from modelplane_provisioning.doctor.parts import Parts
from modelplane_provisioning.doctor.rules import RULES_ARE_HEALTHY, check_rules
from modelplane_provisioning.doctor.running import NamedCheck, run_checks
from modelplane_provisioning.doctor.targets import TARGETS_ARE_UP, check_targets
from modelplane_provisioning.past.stories import Story
from modelplane_provisioning.processes import wait_until
from modelplane_schema.alerts import (
    PROBE_ALERT,
    SIGNAL_DRIFT,
    SIGNAL_FAR_FROM_BASELINE,
    SLO_BURN,
    SLO_BURN_SLOW,
)
from modelplane_schema.metrics import MODEL_INFO, MODEL_NAME, MODEL_VERSION, TENANT_ID
from modelplane_schema.promql import Matcher
from modelplane_schema.recorded import SIGNAL_PSI
from modelplane_schema.recorded_slo import SLO_BURN_RATE
from modelplane_schema.registry import Registry

# A record, an evaluation, its `for`, and a group of Alertmanager.
_PEOPLE_SECONDS = 90
_TABLE = "every framework has data in Prometheus"
_VERSIONS = "the latency API returns versions side by side"
_TRAVELLED = "alerts went Prometheus -> Alertmanager -> store"
_PEOPLE = "drift reaches owners, and failures tenants"
_PAST = "the past holds what befell the models"
# What shows in the past: more than the critical psi of the examples, and than the burn that pages.
_PSI, _BURN = 0.25, 6.0
_AVAILABILITY = "availability"  # the SLO of the examples that failures burn
# Less would not burn an error budget of one in a hundred fast enough to page.
_BAD_SHARE = 0.1


class _Kind(NamedTuple):
    """What goes wrong in a story, the alerts that tell of it, and the label that says whom."""

    cause: str
    label: str
    alerts: tuple[str, ...]


_DRIFT = _Kind("drift", OWNER, (SIGNAL_DRIFT.name, SIGNAL_FAR_FROM_BASELINE.name))
_FAILURES = _Kind("failures", TENANT_ID, (SLO_BURN.name, SLO_BURN_SLOW.name))
Pairs = set[tuple[str, str]]
"""Models, and who was or should be told."""


@dataclass(frozen=True, slots=True)
class Told:
    """The stories of the models that run, and when the past ended (milliseconds)."""

    stories: Mapping[str, Story]
    past_end: int


def verdict(parts: Parts, told: Told) -> list[Finding]:
    """Everything the demo promises, each as a finding."""
    checks = (
        NamedCheck(_TABLE, partial(_check_table, told)),
        NamedCheck(_PAST, partial(check_past, told)),
        NamedCheck(_TRAVELLED, partial(_check_alert_travelled, told)),
        NamedCheck(_PEOPLE, partial(check_people, told)),
        NamedCheck(_VERSIONS, _check_versions_side_by_side),
        NamedCheck(TARGETS_ARE_UP, check_targets),
        NamedCheck(RULES_ARE_HEALTHY, check_rules),
        NamedCheck(PANELS_HAVE_DATA, check_panels),
    )
    return list(run_checks(checks, parts))


def _check_table(told: Told, parts: Parts) -> Finding:
    models = running.summary(parts.prometheus, parts.registry, told.past_end)
    problems = [f"{model.framework}: a column has no data" for model in models if not model.complete]
    frameworks = len({model.framework for model in models})
    return Finding(_TABLE, f"{frameworks} frameworks", errors("demo", problems))


def check_past(told: Told, parts: Parts) -> Finding:
    """Before Prometheus started, inputs drifted, budgets burned and versions came, as the stories say."""
    shown, problems = [], []
    for what, expression in _past_facts(told):
        if prometheus_query(parts.prometheus, expression):
            shown.append(what)
        else:
            problems.append(f"{what} is not in Prometheus: {expression} returns nothing")
    alerts = parts.backend.get("/api/v1/alerts", {"limit": 1000})["alerts"]
    over = sum(alert["ends_at"] is not None and alert["ends_at"] <= told.past_end for alert in alerts)
    return Finding(_PAST, "; ".join([*shown, _counted(over)]), errors("demo", problems))


def _counted(over: int) -> str:
    return "1 alert that is over" if over == 1 else f"{over} alerts that are over"


def _past_facts(told: Told) -> list[tuple[str, str]]:
    """What each story holds, and an expression that returns something exactly when it shows."""
    facts = []
    for model, story in told.stories.items():
        span = f"[{story.hours * 3600:.0f}s] @ {told.past_end / 1000:.3f}"
        of_model = str(Matcher(MODEL_NAME, model))
        changed = {
            change.signal
            for chapter in story.chapters
            for effect in chapter.effects
            for change in effect.changes
        }
        for signal in sorted(changed):
            selected = f"{SIGNAL_PSI.over('1h').name}{{{of_model},{Matcher('signal', signal)}}}"
            facts.append((f"drift of {model} in {signal}", f"max_over_time({selected}{span}) > {_PSI}"))
        for tenant in sorted(tenant for _, tenant in _failing({model: story}, _BAD_SHARE)):
            selected = f"{SLO_BURN_RATE.over('1h').name}{{{of_model},{Matcher(TENANT_ID, tenant)}}}"
            facts.append((f"burn of {model} for {tenant}", f"max_over_time({selected}{span}) > {_BURN}"))
        for release in story.releases:
            if release.hours_ago < story.hours:
                selected = f"{MODEL_INFO.name}{{{of_model},{Matcher(MODEL_VERSION, release.version)}}}"
                moment = told.past_end / 1000 - release.hours_ago * 3600
                before = f"{MODEL_INFO.name}{{{of_model}}} @ {moment - 600:.3f}"
                facts.append(
                    (
                        f"deploy of {model} {release.version}",
                        f"{selected} @ {moment + 600:.3f} unless on ({MODEL_VERSION}) {before}",
                    )
                )
    return facts


def _check_alert_travelled(told: Told, parts: Parts) -> Finding:
    alerts = _live_alerts(told, parts)
    names = [alert["alertname"] for alert in alerts if alert["alertname"] != PROBE_ALERT]
    problems = [] if names else ["no alert reached the store"]
    text = f"{len(names)} alerts: {', '.join(sorted(set(names)))}{_who_was_told(alerts)}" if names else "none"
    return Finding(_TRAVELLED, text, errors("demo", problems))


def _who_was_told(alerts: Sequence[Mapping[str, Any]]) -> str:
    """The tenants and owners whose receivers these alerts go to, by the rules' own labels."""
    told: defaultdict[str, set[str]] = defaultdict(set)
    for alert in alerts:
        labels = alert["labels"]
        audience = labels.get(AUDIENCE, "")
        name = labels.get({"tenant": TENANT_ID, "owner": OWNER}.get(audience, ""), "")
        if name:
            told[f"{audience}s"].add(name)
    return "".join(f"; {who} {', '.join(sorted(names))}" for who, names in sorted(told.items()))


def check_people(told: Told, parts: Parts) -> Finding:
    """Drift alerts owners and failures alert tenants, those whom the stories name; all are waited for."""
    expected = {
        _DRIFT: _drifting(told, parts.registry),
        _FAILURES: _failing(told.stories, _BAD_SHARE, present=True),
    }
    wait_until(
        lambda: all(pairs <= _heard(told, parts, kind) for kind, pairs in expected.items()),
        _PEOPLE_SECONDS,
        interval=1,
    )
    problems, texts = [], []
    allowed = {_DRIFT: expected[_DRIFT], _FAILURES: _failing(told.stories, 0.0)}
    for kind, pairs in expected.items():
        heard = _heard(told, parts, kind)
        texts.append(f"{kind.cause}: {', '.join(sorted({person for _, person in heard})) or 'none'}")
        problems += [
            f"{person!r} was not told of {kind.cause} of {model!r} by {' or '.join(kind.alerts)}"
            for model, person in sorted(pairs - heard)
        ]
        problems += [
            f"{person!r} was told of {kind.cause} of {model!r}, which is none of theirs"
            for model, person in sorted(heard - allowed[kind])
        ]
    return Finding(_PEOPLE, "; ".join(texts), errors("demo", problems))


def _drifting(told: Told, registry: Registry) -> Pairs:
    """Models whose input drifts, and their owners."""
    return {
        (model.name, model.owner)
        for model in registry.models
        if any(effect.changes for effect in told.stories[model.name].chapters[-1].effects)
    }


def _failing(stories: Mapping[str, Story], least: float, *, present: bool = False) -> Pairs:
    """Models with more than the ``least`` share of bad calls in a chapter (the last), and their tenants."""
    return {
        (name, tenant)
        for name, story in stories.items()
        for tenant, _ in story.calls_per_second
        for chapter in (story.chapters[-1:] if present else story.chapters)
        for effect in chapter.effects
        if effect.bad_share > least and effect.tenant in ("", tenant)
    }


def _heard(told: Told, parts: Parts, kind: _Kind) -> Pairs:
    """Models and whom the alerts of a kind are for, as far as they are in the store.

    Slow calls are another matter than failures: a busy machine makes them too.
    """
    return {
        (alert["labels"].get(MODEL_NAME, ""), alert["labels"].get(kind.label, ""))
        for alert in _live_alerts(told, parts)
        if alert["alertname"] in kind.alerts and alert["labels"].get("slo", _AVAILABILITY) == _AVAILABILITY
    }


def _live_alerts(told: Told, parts: Parts) -> list[dict[str, Any]]:
    """The alerts that came since the past ended."""
    alerts = parts.backend.get("/api/v1/alerts", {"limit": 1000})["alerts"]
    return [alert for alert in alerts if alert["starts_at"] >= told.past_end]


def _check_versions_side_by_side(parts: Parts) -> Finding:
    """The latency API returns each version of the models that have several."""
    problems, versions = [], []
    for model in parts.registry.models:
        expected = {version.version for version in model.versions}
        if len(expected) < 2:
            continue
        query = {"model-name": model.name, "tenant-id": model.tenants[0], "from": "now-15m"}
        answer = parts.backend.get("/api/v1/metrics/latency", query)
        returned = {series["labels"]["model_version"] for series in answer["data"]}
        versions.append(f"{model.name} {', '.join(sorted(returned))}")
        if returned != expected:
            problems.append(f"{model.name}: expected {sorted(expected)}, the API returned {sorted(returned)}")
    return Finding(_VERSIONS, "; ".join(versions), errors("demo", problems))
