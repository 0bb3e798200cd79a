"""The state of service level objectives at one moment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from flask import Blueprint, Response

from modelplane_datasource.context import AppContext
from modelplane_datasource.series.request import read_selection
from modelplane_datasource.series.selection import GROUP_LABELS, SELECTION_PARAMETERS
from modelplane_datasource.slo.arithmetic import exhausted_at
from modelplane_datasource.slo.metric import SLO
from modelplane_datasource.slo.parameters import BURN_WINDOW, GROUP_BY, SLO_NAME
from modelplane_datasource.slo.series import Owner, SloEvents, count_events, slo_window
from modelplane_datasource.timeline.grid import Grid
from modelplane_datasource.timeline.times import format_rfc3339
from modelplane_datasource.web.openapi import BAD_INPUT, UPSTREAM, NamedSchema, Operation, described
from modelplane_datasource.web.parameters import Parameter, check_names, whole_number
from modelplane_datasource.web.requests import query_values
from modelplane_datasource.web.responses import json_response
from modelplane_datasource.web.schemas import (
    INSTANT,
    NUMBER,
    QUERY_TIME,
    TEXT,
    TOTAL,
    array,
    ok,
    record,
    with_warnings,
)
from modelplane_datasource.web.time_parameters import TO, read_end
from modelplane_schema.registry import Slo

LIMIT = Parameter(
    "limit", "Largest number of rows.", "a whole number from 1 to 1000", whole_number(1, 1000), default="1000"
)
PARAMETERS = (*SELECTION_PARAMETERS, SLO_NAME, GROUP_BY, TO, LIMIT)

ROW = record(
    {
        **dict.fromkeys((*GROUP_LABELS, "slo", "window"), TEXT),
        **dict.fromkeys(("objective", "burn_rate", "budget_remaining", "total"), NUMBER),
        "exhausted_at": {**INSTANT, "type": ["integer", "null"]},
    }
)
STATES = NamedSchema(
    "SloStates", with_warnings(record({"query_time": QUERY_TIME, "rows": array(ROW), "total": TOTAL}))
)
STATE = Operation(
    "The state of service level objectives at one moment, the worst first.",
    ok("A row for each objective of each version and tenant that has events.", STATES),
    PARAMETERS,
    (*BAD_INPUT, 404, *UPSTREAM),
)


def slo_blueprint(context: AppContext) -> Blueprint:
    """``/api/v1/slo``: a row for each objective of each version and tenant that has events, the one
    whose budget is most spent first.

    ``burn_rate`` is that of the last hour; ``exhausted_at`` is in milliseconds, null when the budget lasts.
    """
    routes = Blueprint("slo", __name__, url_prefix="/api/v1")

    @routes.get("/slo")
    @described(STATE)
    def state() -> Response:
        values = query_values()
        check_names(values, PARAMETERS)
        selection = read_selection(SLO, values)
        moment = read_end(values, context.last_scrape())
        grid = Grid(moment, moment, BURN_WINDOW)
        counted = count_events(context, selection, grid, lambda slo: (slo_window(slo), BURN_WINDOW))
        rows = sorted(_rows(counted, moment), key=_worst_first)
        body = {"query_time": format_rfc3339(moment), "rows": rows[: LIMIT.read(values)], "total": len(rows)}
        return json_response(body)

    return routes


def _rows(counted: Sequence[SloEvents], moment: int) -> Iterator[dict[str, Any]]:
    """A row for each objective and owner, from events in the objective's window and in the last hour."""
    burns = {
        (owner, events.slo.name): rate
        for events in counted
        if events.window == BURN_WINDOW
        for owner, (rate,) in zip(events.owners, events.burn_rates(), strict=True)
    }
    for events in counted:
        if events.window == slo_window(events.slo):
            budgets = zip(events.owners, events.budgets_remaining(), events.total(), strict=True)
            for owner, (remaining,), (total,) in budgets:
                rate = burns.get((owner, events.slo.name))
                yield _row(events.slo, owner, rate, remaining, total, moment)


def _row(
    slo: Slo, owner: Owner, rate: float | None, remaining: float | None, total: float | None, moment: int
) -> dict[str, Any]:
    # Without events in the last hour nothing burns.
    spent_at = exhausted_at(remaining, rate or 0.0, slo_window(slo), moment)
    return {
        **owner._asdict(),
        "slo": slo.name,
        "objective": slo.objective,
        "window": slo.window,
        "burn_rate": rate,
        "budget_remaining": remaining,
        "exhausted_at": spent_at,
        "total": total,
    }


def _worst_first(row: dict[str, Any]) -> tuple[Any, ...]:
    """The least budget first, then the fastest burn; what has no value last."""
    remaining, burn = row["budget_remaining"], row["burn_rate"]
    names = (row[label] for label in (*GROUP_LABELS, "slo"))
    return remaining is None, remaining or 0.0, -(burn or 0.0), *names
