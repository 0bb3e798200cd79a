"""Panels about requests: how many, how they end, how many at once."""

from __future__ import annotations

from modelplane_dashboards import promql
from modelplane_dashboards.board import Panel, PromQuery
from modelplane_dashboards.scope import BoardScope, legend
from modelplane_schema.grafana_units import rate_unit, unit_of
from modelplane_schema.metrics import ACTIVE, REQUESTS, TENANT_ID
from modelplane_schema.promql import total
from modelplane_schema.recorded import ERROR_RATIO, REQUEST_RATE


def request_rate_now(scope: BoardScope) -> Panel:
    return Panel(
        key="request-rate-now",
        kind="stat",
        title="Requests",
        description="Finished calls per second at the end of the time range, whatever their outcome.",
        unit=rate_unit(REQUESTS),
        queries=(PromQuery(promql.request_rate(scope), instant=True),),
        width=4,
        height=4,
    )


def error_ratio_now(scope: BoardScope) -> Panel:
    return Panel(
        key="error-ratio-now",
        kind="stat",
        title="Errors",
        description="Failed calls as a share of succeeded and failed ones; no others count.",
        unit=unit_of(ERROR_RATIO),
        queries=(PromQuery(promql.error_ratio(scope), instant=True),),
        width=4,
        height=4,
    )


def in_flight_now(scope: BoardScope) -> Panel:
    return Panel(
        key="in-flight-now",
        kind="stat",
        title="In flight",
        description=ACTIVE.help,
        unit=unit_of(ACTIVE),
        queries=(PromQuery(total(scope.calls(ACTIVE.name)), instant=True),),
        width=4,
        height=4,
    )


def request_rate(scope: BoardScope) -> Panel:
    return Panel(
        key="request-rate",
        kind="timeseries",
        title="Request rate",
        description="Finished calls per second, whatever their outcome.",
        unit=rate_unit(REQUESTS),
        queries=(PromQuery(promql.request_rate(scope, scope.by), scope.legend),),
    )


def request_rate_by_tenant(scope: BoardScope) -> Panel:
    return Panel(
        key="request-rate-by-tenant",
        kind="timeseries",
        title="Request rate by tenant",
        description=f"{REQUEST_RATE.help} Recorded over {REQUEST_RATE.window}.",
        unit=unit_of(REQUEST_RATE),
        queries=(PromQuery(total(scope.calls(REQUEST_RATE.name), (TENANT_ID,)), legend(TENANT_ID)),),
    )


def error_ratio(scope: BoardScope) -> Panel:
    return Panel(
        key="error-ratio",
        kind="timeseries",
        title="Error ratio",
        description="Failed calls as a share of succeeded and failed ones. No line means no traffic.",
        unit=unit_of(ERROR_RATIO),
        queries=(PromQuery(promql.error_ratio(scope, scope.by), scope.legend),),
    )


def requests_by_outcome(scope: BoardScope) -> Panel:
    expression = promql.request_rate(scope, ("outcome",))
    return Panel(
        key="requests-by-outcome",
        kind="timeseries",
        title="Requests by outcome",
        description=f"{REQUESTS.help} All outcomes are always exposed, at 0 if need be.",
        unit=rate_unit(REQUESTS),
        queries=(PromQuery(expression, legend("outcome")),),
    )


def in_flight(scope: BoardScope) -> Panel:
    return Panel(
        key="in-flight",
        kind="timeseries",
        title="In flight",
        description=f"{ACTIVE.help} A steady rise means that calls arrive faster than they finish.",
        unit=unit_of(ACTIVE),
        queries=(PromQuery(total(scope.calls(ACTIVE.name), scope.by), scope.legend),),
    )
