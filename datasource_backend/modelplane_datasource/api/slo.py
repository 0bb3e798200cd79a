"""The state of service level objectives at one moment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from flask import Blueprint, Response

from modelplane_datasource.context import AppContext
from modelplane_datasource.series.request import read_selection
from modelplane_datasource.series.selection import GROUP_LABELS, SELECTION_PARAMETERS
from modelplane_datasource.slo.arithmetic import (
    NO_EVENTS,
    Events,
    budget_remaining,
    burn_rate,
    exhausted_at,
)
from modelplane_datasource.slo.metric import SLO
from modelplane_datasource.slo.parameters import BURN_WINDOW, SLO_NAME
from modelplane_datasource.slo.series import Owner, SloEvents, count_events, slo_window
from modelplane_datasource.timeline.arrays import FloatArray
from modelplane_datasource.timeline.grid import Grid
from modelplane_datasource.timeline.times import format_rfc3339
from modelplane_datasource.web.openapi import BAD_INPUT, UPSTREAM, NamedSchema, Operation, described
from modelplane_datasource.web.parameters import check_names
from modelplane_datasource.web.requests import query_values
from modelplane_datasource.web.responses import json_response
from modelplane_datasource.web.schemas import (
    INSTANT,
    NUMBER,
    QUERY_TIME,
    TEXT,
    array,
    ok,
    record,
    with_warnings,
)
from modelplane_datasource.web.time_parameters import TO, read_end
from modelplane_schema.registry import Slo

PARAMETERS = (*SELECTION_PARAMETERS, SLO_NAME, TO)

ROW = record(
    {
        **dict.fromkeys((*GROUP_LABELS, "slo", "window"), TEXT),
        **dict.fromkeys(("objective", "burn_rate", "budget_remaining", "total", "n"), NUMBER),
        "exhausted_at": {**INSTANT, "type": ["integer", "null"]},
    }
)
STATES = NamedSchema("SloStates", with_warnings(record({"query_time": QUERY_TIME, "rows": array(ROW)})))
STATE = Operation(
    "The state of service level objectives at one moment.",
    ok("A row for each objective of each version and tenant that has events.", STATES),
    PARAMETERS,
    (*BAD_INPUT, 404, *UPSTREAM),
)


def slo_blueprint(context: AppContext) -> Blueprint:
    """``/api/v1/slo``: a row for each objective of each version and tenant that has events.

    ``total`` are the events of the objective's window. ``burn_rate`` is that of the last hour, which had
    ``n``; ``exhausted_at`` follows from both, in milliseconds, null when the budget lasts.
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
        rows = sorted(_rows(counted, moment), key=_order)
        return json_response({"query_time": format_rfc3339(moment), "rows": rows})

    return routes


def _rows(counted: Sequence[SloEvents], moment: int) -> Iterator[dict[str, Any]]:
    """A row for each objective and owner, from events in the objective's window and in the last hour."""
    hours = {
        (owner, events.slo.name): last
        for events in counted
        if events.window == BURN_WINDOW
        for owner, last in events.at_end()
    }
    for events in counted:
        if events.window == slo_window(events.slo):
            for owner, last in events.at_end():
                yield _row(events.slo, owner, last, hours.get((owner, events.slo.name), NO_EVENTS), moment)


def _row(slo: Slo, owner: Owner, window: Events, hour: Events, moment: int) -> dict[str, Any]:
    burn, remaining = burn_rate(hour, slo.objective), budget_remaining(window, slo.objective)
    return {
        **owner._asdict(),
        "slo": slo.name,
        "objective": slo.objective,
        "window": slo.window,
        "burn_rate": _number(burn),
        "budget_remaining": _number(remaining),
        "exhausted_at": exhausted_at(window, hour, slo.objective, moment),
        "total": _number(window.total),
        "n": _number(hour.total),
    }


def _number(value: FloatArray) -> float | None:
    """A value, None where it is not finite."""
    return float(value) if np.isfinite(value) else None


def _order(row: dict[str, Any]) -> tuple[str, ...]:
    return tuple(row[label] for label in (*GROUP_LABELS, "slo"))
