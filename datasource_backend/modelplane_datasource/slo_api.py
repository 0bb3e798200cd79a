"""The state of service level objectives at one moment."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response

from modelplane_datasource.catalogue import find_metric
from modelplane_datasource.grid import Grid
from modelplane_datasource.openapi import BAD_INPUT, UPSTREAM, Operation, Shape, described
from modelplane_datasource.parameters import check_known
from modelplane_datasource.plane import Plane
from modelplane_datasource.responses import json_response
from modelplane_datasource.scope import GROUP_LABELS, SCOPE_PARAMETERS
from modelplane_datasource.series_api import query_values
from modelplane_datasource.series_request import TO, read_moment, read_scope
from modelplane_datasource.shapes import (
    INSTANT,
    NUMBER,
    QUERY_TIME,
    TEXT,
    array,
    ok,
    record,
    with_warnings,
)
from modelplane_datasource.slo import exhausted_at
from modelplane_datasource.slo_request import BURN_WINDOW, SLO
from modelplane_datasource.slo_series import Counted, count_events, own_window
from modelplane_datasource.times import format_rfc3339

PARAMETERS = (*SCOPE_PARAMETERS, SLO, TO)

ROW = record(
    {
        **dict.fromkeys((*GROUP_LABELS, "slo", "window"), TEXT),
        **dict.fromkeys(("objective", "burn_rate", "budget_remaining", "total"), NUMBER),
        "exhausted_at": {**INSTANT, "type": ["integer", "null"]},
    }
)
STATES = Shape("SloStates", with_warnings(record({"query_time": QUERY_TIME, "rows": array(ROW)})))
STATE = Operation(
    "The state of service level objectives at one moment.",
    ok("A row for each objective of each version and tenant that has events.", STATES),
    PARAMETERS,
    (*BAD_INPUT, 404, *UPSTREAM),
)


def slo_blueprint(plane: Plane) -> Blueprint:
    """``/api/v1/slo``: a row for each objective of each version and tenant that has events.

    ``burn_rate`` is that of the last hour; ``exhausted_at`` is in milliseconds, null when the budget lasts.
    """
    routes = Blueprint("slo", __name__, url_prefix="/api/v1")

    @routes.get("/slo")
    @described(STATE)
    def state() -> Response:
        values = query_values()
        check_known(values, PARAMETERS)
        scope = read_scope(find_metric("slo"), values)
        moment = read_moment(values, plane.last_scrape())
        grid = Grid(moment, moment, BURN_WINDOW)
        budgets, _ = count_events(plane, scope, grid, own_window)
        burns, _ = count_events(plane, scope, grid, lambda slo: BURN_WINDOW)
        burning = {(one.owner, one.slo): one for one in burns}
        rows = sorted((_row(one, burning.get((one.owner, one.slo)), moment) for one in budgets), key=_order)
        return json_response({"query_time": format_rfc3339(moment), "rows": rows})

    return routes


def _row(budget: Counted, burn: Counted | None, moment: int) -> dict[str, Any]:
    (remaining,), (total,) = budget.budgets_remaining(), budget.total()
    (rate,) = burn.burn_rates() if burn is not None else (None,)
    # Without events in the last hour nothing burns.
    spent_at = exhausted_at(remaining, rate or 0.0, budget.window, moment)
    return {
        **budget.owner._asdict(),
        "slo": budget.slo.name,
        "objective": budget.slo.objective,
        "window": budget.slo.window,
        "burn_rate": rate,
        "budget_remaining": remaining,
        "exhausted_at": spent_at,
        "total": total,
    }


def _order(row: dict[str, Any]) -> tuple[str, ...]:
    return tuple(row[label] for label in (*GROUP_LABELS, "slo"))
