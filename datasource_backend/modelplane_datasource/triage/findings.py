"""What is found of models and tenants now, each reason by one question about all of them.

Burn rates, signals that moved and costs are those that the rules record: to compute them for ten thousand
models takes minutes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from modelplane_datasource.alerts.store import IncidentFilter
from modelplane_datasource.context import AppContext
from modelplane_datasource.drift.visibility import models_with_common_signals
from modelplane_datasource.prometheus.decoding import InstantSample
from modelplane_datasource.tenancy.caller import also_permitted, current_tenants
from modelplane_datasource.triage.attention import (
    BUDGET,
    CRITICAL,
    DATA_CONTRACT,
    DRIFT,
    INCIDENT,
    INFO,
    NOT_SEEN,
    SLO_BURN,
    WARNING,
    Finding,
    Subject,
)
from modelplane_schema.metrics import (
    ALL_TENANTS,
    INVALID_OBSERVATIONS,
    MODEL_NAME,
    MODEL_VERSION,
    REQUESTS,
    TENANT_ID,
)
from modelplane_schema.promql import Matcher, one_of, selector
from modelplane_schema.recorded import BUDGET as BUDGETS
from modelplane_schema.recorded import COST, SIGNAL_MOVED
from modelplane_schema.recorded_slo import SLO_BURN_RATE
from modelplane_schema.registry import Model, Registry
from modelplane_schema.registry import Version as DeclaredVersion
from modelplane_schema.slos import BURN_RATE_FACTORS

MAX_INCIDENTS = 1000
_HOUR = "1h"
_SECONDS_OF_MONTH = 30 * 86_400
_OWNER = f"{MODEL_NAME}, {TENANT_ID}"
_SIGNAL = f"{MODEL_NAME}, {MODEL_VERSION}, {TENANT_ID}, kind, signal"
_MOVED = SIGNAL_MOVED.over(_HOUR).name
BURNING = f"max by ({_OWNER}, slo) ({SLO_BURN_RATE.over(_HOUR).name}) >= 1"
MOVED = f"max by ({_SIGNAL}) ({_MOVED})"
INVALID = f"sum by ({_OWNER}) (increase({INVALID_OBSERVATIONS.name}[{_HOUR}])) > 0"
_BY_CURRENCY = f"{TENANT_ID}, currency"
SPENT_RATIO = (
    f"sum by ({_BY_CURRENCY}) ({COST.name}) * {_SECONDS_OF_MONTH}"
    f" / max by ({_BY_CURRENCY}) ({BUDGETS.name}) > 1"
)

Samples = Sequence[InstantSample]


def seen_query(*matchers: Matcher) -> str:
    """Versions that have series of calls, by the tenants that call them."""
    calls = selector(REQUESTS.name, matchers)
    return f"count by ({MODEL_NAME}, {MODEL_VERSION}, {TENANT_ID}) ({calls})"


class Version(NamedTuple):
    """A version of a model as one tenant uses it."""

    model_name: str
    model_version: str
    tenant_id: str


def seen_versions(context: AppContext, *matchers: Matcher) -> set[Version]:
    """What has series of calls now that ``matchers`` fit, as far as the caller may see it; UpstreamError."""
    samples = context.prometheus.query(seen_query(*matchers), context.last_scrape())
    return {Version(*(sample.labels.get(name, "") for name in Version._fields)) for sample in samples}


def findings_of(context: AppContext, seen: set[Version]) -> list[Finding]:
    """Everything that is found for a caller who has ``seen`` some versions; UpstreamError, StoreError."""
    at = context.last_scrape()
    ask = partial(_ask, context, at)
    calls: list[Callable[[], Samples]] = [
        partial(ask, query) for query in (BURNING, MOVED, INVALID, SPENT_RATIO)
    ]
    burning, moved, invalid, spent, common = context.prometheus.at_once(
        *calls, partial(_common_signals, context, at)
    )
    return [
        *_incidents(context),
        *_burning(burning),
        *_moved([*moved, *_of_seen(common, seen)]),
        *_spent(spent),
        *_invalid(invalid),
        *_not_seen(context.registry, seen),
    ]


def _ask(context: AppContext, at: int, query: str) -> Samples:
    return context.prometheus.query(query, at)


def _common_signals(context: AppContext, at: int) -> Samples:
    """Signals of all tenants together, of models that show them, for a caller who is limited to tenants."""
    tenants = current_tenants()
    if tenants is None:
        return ()
    models = models_with_common_signals(context.registry, tenants)
    if not models:
        return ()
    moved = selector(_MOVED, (one_of(TENANT_ID, (ALL_TENANTS,)), one_of(MODEL_NAME, models)))
    with also_permitted((ALL_TENANTS,)):
        return context.prometheus.query(f"max by ({_SIGNAL}) ({moved})", at)


def _of_seen(samples: Samples, seen: set[Version]) -> Iterator[InstantSample]:
    """Those of versions that the caller's tenants call."""
    versions = {(version.model_name, version.model_version) for version in seen}
    for sample in samples:
        if (sample.labels.get(MODEL_NAME), sample.labels.get(MODEL_VERSION)) in versions:
            yield sample


def _incidents(context: AppContext) -> Iterator[Finding]:
    """Open incidents, the worst of each subject first; those that are silenced were dealt with."""
    wanted = IncidentFilter(statuses=("firing",), limit=MAX_INCIDENTS, order="worst")
    for incident in context.store.incidents(wanted, context.incident_rules, current_tenants()):
        acknowledged = incident.acknowledgements[0].by if incident.acknowledgements else ""
        columns = {
            "incident_id": incident.id,
            "alertnames": ", ".join(incident.alertnames),
            "acknowledged_by": acknowledged,
        }
        subject = Subject(incident.model_name, incident.tenant_id)
        yield Finding(subject, INCIDENT, incident.severity, columns)


def _burning(samples: Samples) -> Iterator[Finding]:
    """The fastest of each subject first, by the limits of alerts."""
    fast, slow = BURN_RATE_FACTORS[:2]
    for sample in sorted(samples, key=lambda sample: -sample.value):
        burn = sample.value
        severity = CRITICAL if burn >= fast else WARNING if burn >= slow else INFO
        columns = {"slo": sample.labels.get("slo", ""), "burn_rate": burn}
        yield Finding(_subject(sample.labels), SLO_BURN, severity, columns)


def _moved(samples: Samples) -> Iterator[Finding]:
    by_subject = Counter(_subject(sample.labels) for sample in samples)
    for sample in sorted(samples, key=_signal):
        subject, (kind, signal) = _subject(sample.labels), _signal(sample)
        columns = {"moved_signals": by_subject[subject], "kind": kind, "signal": signal}
        yield Finding(subject, DRIFT, WARNING, columns)


def _spent(samples: Samples) -> Iterator[Finding]:
    """Tenants whose month, at the pace of the last hour, costs more than its budget."""
    for sample in samples:
        columns = {"budget_ratio": sample.value, "currency": sample.labels.get("currency", "")}
        yield Finding(Subject("", sample.labels.get(TENANT_ID, "")), BUDGET, INFO, columns)


def _invalid(samples: Samples) -> Iterator[Finding]:
    for sample in samples:
        columns = {"invalid_observations": sample.value}
        yield Finding(_subject(sample.labels), DATA_CONTRACT, INFO, columns)


def _not_seen(registry: Registry | None, seen: set[Version]) -> Iterator[Finding]:
    """Tenants of models that are declared to be in production, of which no call was ever seen."""
    called = {Subject(version.model_name, version.tenant_id) for version in seen}
    for model in declared_models(registry):
        if any(version.stage == "production" for version in model.versions):
            for tenant in visible_tenants(model):
                if (subject := Subject(model.name, tenant)) not in called:
                    yield Finding(subject, NOT_SEEN, INFO)


def declared_models(registry: Registry | None) -> list[Model]:
    """Models of the registry that serve a tenant of the caller."""
    return [model for model in (registry.models if registry else ()) if visible_tenants(model)]


def visible_tenants(model: Model) -> tuple[str, ...]:
    """Tenants of a model that the caller may see."""
    tenants = current_tenants()
    return tuple(tenant for tenant in model.tenants if tenants is None or tenant in tenants)


def visible_versions(
    model: Model, seen: set[Version], tenants: tuple[str, ...]
) -> tuple[DeclaredVersion, ...]:
    """Declared versions of a model that ``tenants`` call, or all of them where no tenant is named.

    A tenant does not know of versions that others alone call, and an operator sees what a tenant does.
    """
    if not tenants:
        return model.versions
    called = {(version.model_name, version.model_version) for version in seen if version.tenant_id in tenants}
    return tuple(version for version in model.versions if (model.name, version.version) in called)


def _subject(labels: Mapping[str, str]) -> Subject:
    return Subject(labels.get(MODEL_NAME, ""), labels.get(TENANT_ID, ""))


def _signal(sample: InstantSample) -> tuple[str, str]:
    return sample.labels.get("kind", ""), sample.labels.get("signal", "")
