"""Plane: is the monitoring healthy?"""

from __future__ import annotations

from modelplane_dashboards.kit.board import Board, Row, Section
from modelplane_dashboards.kit.context import BoardContext
from modelplane_dashboards.kit.scope import BoardScope
from modelplane_dashboards.kit.variables import variables
from modelplane_dashboards.measures import plane as health
from modelplane_dashboards.measures import plane_servers as servers
from modelplane_schema.uids import template_uid

_TARGET = ("instance",)


def plane(context: BoardContext) -> Board:
    """The board of the monitoring itself; it has no tenant and no model."""
    scope = context.scope()
    return Board(
        kind="plane",
        uid=template_uid("plane"),
        title="Plane",
        question="Is the monitoring healthy?",
        advice="Red in the first rows: its section says where. What is not scraped is on no board.",
        variables=variables(scope),
        annotations=(),
        sections=(
            Section("now", "Now", _now(context, scope)),
            Section("scrapes", "Scrapes", _scrapes(scope)),
            Section("exporters", "Exporters and what they refuse", _exporters(scope)),
            Section("rules", "Rules and Prometheus", _rules(scope)),
            Section("delivery", "Delivery of alerts", _delivery(scope)),
            Section("backend", "Backend and alert store", _backend(scope)),
        ),
    )


def _now(context: BoardContext, scope: BoardScope) -> tuple[Row, ...]:
    alerting = (
        health.TARGETS_DOWN.stat(scope),
        health.RULES_FAILING.stat(scope),
        health.DELIVERIES_FAILING.stat(scope),
        health.watchdog(scope),
    )
    data = (
        health.OVERFLOWING.stat(scope),
        health.data_contract(context.limits).stat(scope),
        servers.STORE_ERRORS.stat(scope),
        servers.BACKEND_ERRORS.stat(scope),
    )
    return Row(alerting, height=5), Row(data, height=5)


def _scrapes(scope: BoardScope) -> tuple[Row, ...]:
    return (
        Row((health.targets_up(scope), health.targets_that_are_down(scope))),
        Row(
            (
                health.SLOWEST_SCRAPE.graph(scope, _TARGET, "Duration of scrapes, slowest 20", most=20),
                health.SAMPLES.graph(scope, _TARGET, "Samples of a scrape, largest 20", most=20),
            )
        ),
    )


def _exporters(scope: BoardScope) -> tuple[Row, ...]:
    return (
        Row(
            (
                health.COLLECTION.graph(scope, _TARGET, "Cost of exporters", most=20),
                health.sampling(scope),
                health.exporter_versions(scope),
            )
        ),
        Row((health.broken_contracts(scope), health.overflow(scope))),
    )


def _rules(scope: BoardScope) -> tuple[Row, ...]:
    return (
        Row((servers.slowest_rules(scope), servers.rule_failures(scope)), height=9),
        Row(
            (
                servers.SERIES_IN_MEMORY.graph(scope, _TARGET, "Series in memory"),
                servers.disk(scope),
                servers.storage_faults(scope),
            )
        ),
    )


def _delivery(scope: BoardScope) -> tuple[Row, ...]:
    return (
        Row((servers.alerts_sent(scope), servers.alertmanager_alerts(scope), servers.notifications(scope))),
    )


def _backend(scope: BoardScope) -> tuple[Row, ...]:
    return (
        Row(
            (
                servers.REQUESTS_BY_ROUTE.graph(scope, ("route",), "Requests by route", most=20),
                servers.ANSWER_P95.graph(scope, ("route",), "Answers p95 by route", most=20),
                servers.REFUSALS.graph(scope, ("kind",), "Refused requests by kind"),
            )
        ),
        Row(
            (
                servers.store_transactions(scope),
                servers.STORE_P95.graph(scope, ("operation",), "Transactions p95"),
                servers.UPSTREAM_FAILURES.graph(scope, ("kind",), "Failed calls of Prometheus"),
            )
        ),
    )
