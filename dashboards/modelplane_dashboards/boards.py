"""The boards: which panels each has, in which order, for which tenant or model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from modelplane_dashboards import alerts, confidence, inventory, latency, traffic
from modelplane_dashboards.api import ApiAccess, literal
from modelplane_dashboards.board import Board, Panel, Section, Variable
from modelplane_dashboards.links import row_links
from modelplane_dashboards.scope import BoardScope, FixedMatcher, variable_matcher
from modelplane_schema.errors import UserError
from modelplane_schema.metrics import ACTIVE, MODEL_NAME, MODEL_VERSION, TENANT_ID
from modelplane_schema.promql import Matcher, selector
from modelplane_schema.registry import Model, Registry, Tenant
from modelplane_schema.uids import FLEET_UID, dashboard_uid

_LABELS = {"tenant": TENANT_ID, "model": MODEL_NAME, "version": MODEL_VERSION}


class BoardError(UserError, ValueError):
    """The registry's names cannot all have a board; the message says which and what to do."""


def build(registry: Registry, api: ApiAccess = "plugin") -> tuple[Board, ...]:
    """Every board of a registry, of which no two have the same title; BoardError for two of the same uid.

    With ``api="none"`` panels that read the backend are left out.
    """
    boards = (
        fleet(registry),
        *(tenant_board(registry, tenant) for tenant in registry.tenants),
        *(model_board(model) for model in registry.models),
    )
    for uid, count in Counter(board.uid for board in boards).items():
        if count > 1:
            raise BoardError(f"{count} boards have the uid {uid!r}; rename a tenant or model")
    return tuple(map(_without_api, boards)) if api == "none" else boards


def _without_api(board: Board) -> Board:
    return replace(board, sections=tuple(_prometheus_sections(board)))


def _prometheus_sections(board: Board) -> Iterator[Section]:
    for section in board.sections:
        panels = tuple(panel for panel in section.panels if panel.queries[0].datasource == "prometheus")
        if panels:
            yield replace(section, panels=panels)


def fleet(registry: Registry) -> Board:
    scope = BoardScope(by=(MODEL_NAME,))
    links = row_links("model", (model.name for model in registry.models), {})
    return Board(
        kind="fleet",
        uid=FLEET_UID,
        title="Fleet",
        question="Which models are slow, failing or unsure right now, and for which tenants?",
        variables=_variables(scope),
        annotations=(alerts.firing_marks(scope), inventory.version_marks(scope)),
        sections=(
            _now(scope),
            Section(
                "models", "Models", (inventory.models_table(scope, links), inventory.loaded_versions(scope))
            ),
            Section("traffic", "Traffic", (*_traffic(scope), traffic.request_rate_by_tenant(scope))),
            Section("latency", "Latency", (latency.latency_quantiles(scope), latency.latency_p95(scope))),
            Section("confidence", "Confidence", _confidence(scope)),
            _alerts(scope, "Alerts of all tenants and models"),
        ),
    )


def tenant_board(registry: Registry, tenant: Tenant) -> Board:
    names = tuple(model.name for model in registry.models_of(tenant.id))
    scope = BoardScope(by=(MODEL_NAME, MODEL_VERSION), tenant=tenant.id, models=names)
    links = row_links("model", names, {"tenant": literal(tenant.id)})
    alert_filter = {"tenant-id": tenant.id}
    return Board(
        kind="tenant",
        uid=dashboard_uid("tenant", tenant.id),
        title=f"Tenant {tenant.full_title}",
        question="How well do the models that this tenant uses serve it?",
        variables=_variables(scope),
        annotations=(alerts.firing_marks(scope), inventory.version_marks(scope)),
        sections=(
            _now(scope),
            Section(
                "models", "Models", (inventory.models_table(scope, links), inventory.loaded_versions(scope))
            ),
            Section("traffic", "Traffic", _traffic(scope)),
            Section("latency", "Latency", (latency.latency_quantiles(scope), latency.latency_p95(scope))),
            Section("confidence", "Confidence", _confidence(scope)),
            _alerts(scope, "Alerts that name this tenant", alert_filter),
        ),
    )


def model_board(model: Model) -> Board:
    scope = BoardScope(by=(MODEL_VERSION,), model=model.name)
    links = row_links("tenant", model.tenants, {"model": literal(model.name)})
    tenants = (inventory.tenants_table(scope, links), inventory.loaded_versions(scope))
    times = (
        latency.latency_quantiles(scope, scope.by),
        latency.latency_p95_by_tenant(scope),
        latency.latency_p95_from_api(model.name, model.tenants),
    )
    return Board(
        kind="model",
        uid=dashboard_uid("model", model.name),
        title=f"Model {model.name}",
        question="How do the versions of this model compare, and which tenant feels it?",
        variables=_variables(scope),
        annotations=(alerts.firing_marks(scope), inventory.version_marks(scope)),
        sections=(
            _now(scope),
            Section("tenants", "Tenants and versions", tenants),
            Section("traffic", "Traffic", (*_traffic(scope), traffic.request_rate_by_tenant(scope))),
            Section("latency", "Latency", times),
            Section("confidence", "Confidence", _confidence(scope, scope.by)),
            _alerts(scope, "Alerts that name this model", {"model-name": model.name}),
        ),
    )


def _now(scope: BoardScope) -> Section:
    panels = (
        traffic.request_rate_now(scope),
        traffic.error_ratio_now(scope),
        latency.latency_p95_now(scope),
        traffic.in_flight_now(scope),
        confidence.mean_confidence_now(scope),
        alerts.firing_alerts_now(scope),
    )
    return Section("now", "Now", panels)


def _traffic(scope: BoardScope) -> tuple[Panel, ...]:
    return (
        traffic.request_rate(scope),
        traffic.error_ratio(scope),
        traffic.requests_by_outcome(scope),
        traffic.in_flight(scope),
    )


def _confidence(scope: BoardScope, by: tuple[str, ...] = ()) -> tuple[Panel, ...]:
    return (
        confidence.mean_confidence(scope),
        confidence.unsure_share(scope),
        confidence.confidence_quantiles(scope, by),
    )


def _alerts(scope: BoardScope, about: str, alert_filter: dict[str, str] | None = None) -> Section:
    panels = (alerts.firing_alerts(scope), alerts.recent_alerts(about, alert_filter or {}))
    return Section("alerts", "Alerts", panels)


def _variables(scope: BoardScope) -> tuple[Variable, ...]:
    """The variables that the scope leaves open, each limited to what those before it select."""
    fixed = {"tenant": scope.tenant, "model": scope.model}
    matchers: list[Matcher] = [
        FixedMatcher(_LABELS[name], value) for name, value in fixed.items() if value is not None
    ]
    variables = []
    for name, label in _LABELS.items():
        if fixed.get(name) is None:
            query = f"label_values({selector(ACTIVE.name, matchers)}, {label})"
            variables.append(Variable(name, name.capitalize(), query))
            matchers.append(variable_matcher(label, name))
    return tuple(variables)
