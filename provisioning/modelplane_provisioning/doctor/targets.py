"""What is scraped: targets that are down, models that nobody reports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import NamedTuple
from urllib.parse import urlsplit

from modelplane_provisioning.bundle.scrape_config import MODELS_JOB
from modelplane_provisioning.clients.plane import Connection, prometheus_query
from modelplane_provisioning.clients.plane_errors import NoRouteError
from modelplane_provisioning.doctor.finding import Finding, Problem, Severity
from modelplane_provisioning.doctor.parts import Parts
from modelplane_provisioning.doctor.scrape_reasons import ScrapeReason, scrape_reason
from modelplane_provisioning.doctor.start import Ages, ages_of, just_started
from modelplane_schema.metrics import MODEL_INFO, MODEL_NAME
from modelplane_schema.registry import Model, Registry

TARGETS_ARE_UP = "targets are up"
MODELS_ARE_REPORTED = "every model of the registry is reported"
_MOST_NAMED = 3
_OUR_JOBS = frozenset({MODELS_JOB, "prometheus", "alertmanager", "modelplane-backend"})


class Target(NamedTuple):
    """One address that is scraped. ``health`` is ``up``, ``down`` or ``unknown``."""

    url: str
    job: str
    health: str
    last_error: str

    @property
    def address(self) -> str:
        """Host and port."""
        return urlsplit(self.url).netloc

    @property
    def reason(self) -> ScrapeReason:
        """Why it is down."""
        return scrape_reason(self.last_error)

    @property
    def cause(self) -> str:
        """Names the problem that it is down, together with those of its job that fail alike."""
        return f"targets-down:{self.job}:{self.reason.group}"


def active_targets(prometheus: Connection) -> list[Target]:
    """All that Prometheus scrapes, or would; NoRouteError where a store has no list of targets."""
    rows = prometheus.get("/api/v1/targets", {"state": "active"})["data"]["activeTargets"]
    return [
        Target(row["scrapeUrl"], row["labels"].get("job", ""), row["health"], row.get("lastError", ""))
        for row in rows
    ]


def check_targets(parts: Parts) -> Finding:
    """Every target that is scraped answers."""
    try:
        targets = active_targets(parts.prometheus)
    except NoRouteError:
        return _without_list(parts)
    up = sum(target.health == "up" for target in targets)
    problems = [*_down(targets, parts.given_registry), *_waiting(targets)]
    if not targets:
        problems.append(_nothing_scraped(ages_of(parts.prometheus)))
    return Finding(TARGETS_ARE_UP, f"{up} of {len(targets)} targets", tuple(problems))


def _nothing_scraped(ages: Ages) -> Problem:
    if ages.looks_up:
        return just_started(ages)
    advice = "mount the bundle's prometheus/ and check `scrape_configs` in prometheus.yml"
    return Problem("error", "targets-none:", "Prometheus scrapes nothing", advice)


def _down(targets: Iterable[Target], registry: Registry | None) -> Iterator[Problem]:
    """A Prometheus that others use, too, may scrape much that is none of the plane's."""
    down = sorted((each for each in targets if each.health == "down"), key=lambda each: each.cause)
    for cause, alike in groupby(down, key=lambda each: each.cause):
        group = list(alike)
        reason = group[0].reason
        severity: Severity = "error" if registry is None or _is_ours(group, registry) else "warning"
        yield Problem(severity, cause, f"{_named(group)}: {reason.text}", reason.advice)


def _is_ours(targets: Iterable[Target], registry: Registry) -> bool:
    hosts = {host for model in registry.models for host in model.scrape.hosts}
    return any(target.job in _OUR_JOBS or target.address in hosts for target in targets)


def _waiting(targets: Iterable[Target]) -> Iterator[Problem]:
    waiting = [target for target in targets if target.health == "unknown"]
    if waiting:
        yield _not_scraped_yet(waiting)


def _not_scraped_yet(targets: list[Target]) -> Problem:
    return Problem("note", "targets-waiting:", f"{_named(targets)}: not scraped yet", "ask again soon")


def _named(targets: list[Target]) -> str:
    shown = ", ".join(target.url for target in targets[:_MOST_NAMED])
    more = len(targets) - _MOST_NAMED
    state = "is" if len(targets) == 1 else "are"
    health = "down" if targets[0].health == "down" else "new"
    return f"{shown}{f' and {more} more' if more > 0 else ''} of job {targets[0].job!r} {state} {health}"


def _without_list(parts: Parts) -> Finding:
    """A store that others write to has no list of targets, but what they scraped is ``up``."""
    down = prometheus_query(parts.prometheus, "count by (job) (up == 0)")
    counted = prometheus_query(parts.prometheus, "count(up)")
    problems = tuple(
        Problem(
            "error",
            f"targets-down:{item['metric'].get('job', '')}",
            f"{float(item['value'][1]):.0f} targets of job {item['metric'].get('job', '')!r} are down",
            "ask doctor with --prometheus at the Prometheus or agent that scrapes them, which says why",
        )
        for item in down
    )
    total = float(counted[0]["value"][1]) if counted else 0
    return Finding(
        TARGETS_ARE_UP, f"{total:.0f} targets, by `up`: this store has no list of targets", problems
    )


def check_models(parts: Parts) -> Finding:
    """Every model of the registry is reported by a target."""
    models = parts.registry.models
    reported = reported_models(parts.prometheus)
    missing = [model for model in models if model.name not in reported]
    problems = tuple(unreported(parts.prometheus, missing).values())
    unknown = sorted(reported - {model.name for model in models})
    problems += tuple(
        Problem(
            "warning",
            f"model-unregistered:{name}",
            f"a target reports the model {name!r}, which is not in the registry",
            "add it there, so that it has boards, owners and objectives",
        )
        for name in unknown
    )
    count = len(models) - sum(model.name not in reported for model in models)
    return Finding(MODELS_ARE_REPORTED, f"{count} of {len(models)} models", problems)


def reported_models(prometheus: Connection) -> set[str]:
    """The models that targets report now."""
    rows = prometheus_query(prometheus, f"group by ({MODEL_NAME}) ({MODEL_INFO.name})")
    return {row["metric"].get(MODEL_NAME, "") for row in rows}


def unreported(prometheus: Connection, models: Sequence[Model]) -> dict[str, Problem]:
    """Why nobody reports models of the registry, by name."""
    if not models:
        return {}
    try:
        targets = active_targets(prometheus)
    except NoRouteError:
        return {model.name: _missing(model) for model in models}
    if not targets:
        return dict.fromkeys((model.name for model in models), _nothing_scraped(ages_of(prometheus)))
    return {model.name: _unreported(model, targets) for model in models}


def _unreported(model: Model, targets: Iterable[Target]) -> Problem:
    """Its targets are down, unknown to Prometheus, or silent."""
    addresses = set(model.scrape.hosts)
    scraped = [target for target in targets if target.address in addresses]
    down = [target for target in scraped if target.health == "down"]
    if down:
        reason = down[0].reason
        text = f"{_named(down)}: {reason.text}"
        return Problem("error", down[0].cause, text, reason.advice)
    waiting = [target for target in scraped if target.health == "unknown"]
    if waiting:
        return _not_scraped_yet(waiting)
    missing = _missing(model)
    if scraped:
        advice = "its targets answer, but without its series: does the service measure with that model name?"
        return replace(missing, cause=f"model-silent:{model.name}", advice=advice)
    if addresses:
        unknown = f"Prometheus does not scrape {', '.join(sorted(addresses))}"
        advice = f"{unknown}: bundle again, and let it read the files"
        return replace(missing, cause=f"model-lost:{model.name}", advice=advice)
    return missing


def _missing(model: Model) -> Problem:
    text = f"model {model.name!r} is in the registry but no target reports it"
    return Problem("error", f"model-missing:{model.name}", text, "check its `targets`")
