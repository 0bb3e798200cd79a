"""The state of service level objectives at one moment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
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
from modelplane_datasource.slo.parameters import BURN_WINDOW, GROUP_BY, SLO_NAME
from modelplane_datasource.slo.series import Owner, SloEvents, count_events, slo_window
from modelplane_datasource.timeline.arrays import FloatArray
from modelplane_datasource.timeline.grid import Grid
from modelplane_datasource.timeline.times import format_rfc3339
from modelplane_datasource.web.openapi import BAD_INPUT, UPSTREAM, NamedSchema, Operation, Table, described
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
from modelplane_datasource.web.time_parameters import FROM, TO, read_moment
from modelplane_schema.slos import Slo

LIMIT = Parameter(
    "limit", "Largest number of rows.", "a whole number from 1 to 1000", whole_number(1, 1000), default="1000"
)
START = replace(
    FROM,
    summary="Start of the range of the burn rate; an hour before its end when it is left out.",
    default=None,
)
PARAMETERS = (*SELECTION_PARAMETERS, SLO_NAME, GROUP_BY, START, TO, LIMIT)

ROW = record(
    {
        **dict.fromkeys((*GROUP_LABELS, "slo", "window"), TEXT),
        **dict.fromkeys(("objective", "burn_rate", "budget_remaining", "total", "n"), NUMBER),
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
    tables=(Table("slo_states", "SLO states", units={"objective": "ratio", "budget_remaining": "ratio"}),),
)


def slo_blueprint(context: AppContext) -> Blueprint:
    """``/api/v1/slo``: a row for each objective of each version and tenant that has events, the one
    whose budget is most spent first.

    ``total`` are the events of the objective's window. ``burn_rate`` is that of the range, or of the last
    hour, which had ``n``; ``exhausted_at`` follows from the window and the last hour, in milliseconds, null
    when the budget lasts.
    """
    routes = Blueprint("slo", __name__, url_prefix="/api/v1")

    @routes.get("/slo")
    @described(STATE)
    def state() -> Response:
        values = query_values()
        check_names(values, PARAMETERS)
        selection = read_selection(SLO, values)
        length, moment = read_moment(values, START, context.last_scrape())
        range_ = BURN_WINDOW if length is None else length
        grid = Grid(moment, moment, BURN_WINDOW)
        counted = count_events(
            context, selection, grid, lambda slo: dict.fromkeys((slo_window(slo), BURN_WINDOW, range_))
        )
        rows = sorted(_rows(counted, range_, moment), key=_worst_first)
        body = {"query_time": format_rfc3339(moment), "rows": rows[: LIMIT.read(values)], "total": len(rows)}
        return json_response(body)

    return routes


def _rows(counted: Sequence[SloEvents], range_: int, moment: int) -> Iterator[dict[str, Any]]:
    """A row for each objective and owner, from events in its window, in the last hour and in the range."""
    hours, ranges = _last_events(counted, BURN_WINDOW), _last_events(counted, range_)
    for events in counted:
        if events.window == slo_window(events.slo):
            for owner, last in events.at_end():
                key = owner, events.slo.name
                recent = hours.get(key, NO_EVENTS), ranges.get(key, NO_EVENTS)
                yield _row(events.slo, owner, last, *recent, moment)


def _last_events(counted: Sequence[SloEvents], window: int) -> dict[tuple[Owner, str], Events]:
    """The events of one window by owner and objective."""
    return {
        (owner, events.slo.name): last
        for events in counted
        if events.window == window
        for owner, last in events.at_end()
    }


def _row(
    slo: Slo, owner: Owner, window: Events, hour: Events, of_range: Events, moment: int
) -> dict[str, Any]:
    burn, remaining = burn_rate(of_range, slo.objective), budget_remaining(window, slo.objective)
    return {
        **owner._asdict(),
        "slo": slo.name,
        "objective": slo.objective,
        "window": slo.window,
        "burn_rate": _number(burn),
        "budget_remaining": _number(remaining),
        "exhausted_at": exhausted_at(window, hour, slo.objective, moment),
        "total": _number(window.total),
        "n": _number(of_range.total),
    }


def _number(value: FloatArray) -> float | None:
    """A value, None where it is not finite."""
    return float(value) if np.isfinite(value) else None


def _worst_first(row: dict[str, Any]) -> tuple[Any, ...]:
    """The least budget first, then the fastest burn; what has no value last."""
    remaining, burn = row["budget_remaining"], row["burn_rate"]
    names = (row[label] for label in (*GROUP_LABELS, "slo"))
    return remaining is None, remaining or 0.0, -(burn or 0.0), *names
