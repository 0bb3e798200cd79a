"""Routes about drift at one moment: which signals moved most, and the bins of one of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from flask import Blueprint, Response

from modelplane_datasource.context import Plane
from modelplane_datasource.drift import series as drift_series
from modelplane_datasource.drift.bin_counts import Block, Found, SignalOf
from modelplane_datasource.drift.metric import DRIFT
from modelplane_datasource.drift.parameters import DRIFT_OPTIONS, DRIFT_SCOPE, KIND, SIGNAL, WINDOW
from modelplane_datasource.drift.queries import blocks, edges, questions
from modelplane_datasource.errors import invalid
from modelplane_datasource.series.model import Series
from modelplane_datasource.series.request import read_scope
from modelplane_datasource.series.selection import Scope
from modelplane_datasource.timeline.grid import Grid
from modelplane_datasource.timeline.times import format_rfc3339
from modelplane_datasource.web.openapi import BAD_INPUT, UPSTREAM, Operation, Shape, described
from modelplane_datasource.web.parameters import Parameter, check_known, read_default, whole_number
from modelplane_datasource.web.requests import query_values
from modelplane_datasource.web.responses import json_response
from modelplane_datasource.web.schemas import (
    LABELS,
    NUMBER,
    QUERY_TIME,
    TEXT,
    array,
    ok,
    record,
    with_warnings,
)
from modelplane_datasource.web.time_parameters import TO, read_moment

LIMIT = Parameter(
    "limit", "Largest number of rows.", "a whole number from 1 to 1000", whole_number(1, 1000), default="20"
)
PARAMETERS = (*DRIFT_SCOPE, *DRIFT_OPTIONS, TO)

ROW = record({"series": TEXT, "value": NUMBER, "n": NUMBER, "noise": NUMBER}, others=TEXT)
MOVED = Shape("MovedSignals", with_warnings(record({"query_time": QUERY_TIME, "rows": array(ROW)})))
BAR = record({"x": TEXT, "y": NUMBER, "upper_bound": NUMBER})
BARS = record({"name": TEXT, "type": {"const": "bar"}, "labels": LABELS, "n": NUMBER, "data": array(BAR)})
BIN = record({"series": TEXT, "bin": TEXT, "value": NUMBER, "upper_bound": NUMBER, "n": NUMBER}, others=TEXT)
DISTRIBUTION = Shape(
    "Distribution",
    with_warnings(record({"query_time": QUERY_TIME, "data": array(BARS), "rows": array(BIN)})),
)
_ERRORS = (*BAD_INPUT, *UPSTREAM)


def drift_blueprint(plane: Plane) -> Blueprint:
    """``/api/v1/drift/top`` and ``/api/v1/drift/distribution``."""
    routes = Blueprint("drift", __name__, url_prefix="/api/v1/drift")

    @routes.get("/top")
    @described(
        Operation(
            "Signals by how far they moved, the farthest first.",
            ok("A row for each signal.", MOVED),
            (*PARAMETERS, LIMIT),
            _ERRORS,
        )
    )
    def top() -> Response:
        values = query_values()
        check_known(values, (*PARAMETERS, LIMIT))
        limit = read_default(values, LIMIT)
        scope, grid = _asked(plane, values)
        lines = drift_series.compute(plane, scope, grid).series
        rows = sorted(map(_row, lines), key=_movement, reverse=True)
        return json_response({"query_time": format_rfc3339(grid.end), "rows": rows[:limit]})

    @routes.get("/distribution")
    @described(
        Operation(
            "The bins of one signal, live and of what it is held against.",
            ok("Bars, live and reference, and the same as flat rows.", DISTRIBUTION),
            PARAMETERS,
            _ERRORS,
        )
    )
    def distribution() -> Response:
        values = query_values()
        check_known(values, PARAMETERS)
        scope, grid = _asked(plane, values)
        for parameter in (KIND, SIGNAL):
            if len(scope.options[parameter.name]) != 1:
                raise invalid(parameter.name, "must be given once", parameter.allowed)
        bounds, *answers = plane.prometheus.at_once(
            partial(edges, plane.prometheus, scope, grid), *questions(plane.prometheus, scope, grid)
        )
        upper = _upper_bounds(bounds)
        data = [part for block in blocks(scope, grid, answers) for part in _distributions(block, upper)]
        rows = [row for part in data for row in _bins(part)]
        return json_response({"query_time": format_rfc3339(grid.end), "data": data, "rows": rows})

    return routes


def _asked(plane: Plane, values: Mapping[str, Any]) -> tuple[Scope, Grid]:
    """The scope, and a grid of the one moment asked for.

    Now is the last whole scrape interval, so that panels which ask within it share their queries.
    """
    scope = read_scope(DRIFT, values)
    moment = read_moment(values, plane.last_scrape())
    return scope, Grid(moment, moment, scope.options[WINDOW.name])


def _row(line: Series) -> dict[str, Any]:
    beside = {name: column[0] for name, column in line.beside.items()}
    return {**line.labels, "series": line.name, "value": line.values[0], **beside}


def _movement(row: Mapping[str, Any]) -> tuple[bool, float]:
    """What lies above the noise of psi; of other methods how far it is from 0. Without a value last."""
    value, noise = row["value"], row["noise"]
    if value is None:
        return False, row["n"] or 0.0
    return True, value - noise if row["method"] == "psi" and noise is not None else abs(value)


def _upper_bounds(found: Found) -> dict[tuple[str, str], float]:
    """The upper bound of each bin, by baseline and bin."""
    bounds = zip(found.labels, found.values[:, 0].tolist(), strict=True)
    return {(labels.get("baseline", ""), labels.get("bin", "")): bound for labels, bound in bounds}


def _distributions(block: Block, bounds: Mapping[tuple[str, str], float]) -> Iterator[dict[str, Any]]:
    """Live shares, and those of what they are held against, by bin: ``x`` is the bin's label."""
    live, against = block
    for row, signal in enumerate(live.signals):
        counts, bins = live.counts[row, 0], live.bins_of(row)
        n = float(counts.sum())
        live_shares = [count / n if n > 0 else None for count in counts.tolist()]
        yield _bars("live", signal, n, dict(zip(bins, live_shares, strict=True)), bounds)
        if against.known[row]:
            size = float(against.observations[row, 0])
            shares = dict(zip(bins, against.ratios[row, 0].tolist(), strict=True))
            yield _bars("reference", signal, size, shares, bounds)


def _bars(
    name: str,
    signal: SignalOf,
    n: float,
    shares: Mapping[str, float | None],
    bounds: Mapping[tuple[str, str], float],
) -> dict[str, Any]:
    data = [
        {"x": bin_name, "y": share, "upper_bound": bounds.get((signal.baseline, bin_name))}
        for bin_name, share in shares.items()
    ]
    return {"name": name, "type": "bar", "labels": signal._asdict(), "n": n, "data": data}


def _bins(bars: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Bars as flat rows."""
    return [
        {
            **bars["labels"],
            "series": bars["name"],
            "bin": bar["x"],
            "value": bar["y"],
            "upper_bound": bar["upper_bound"],
            "n": bars["n"],
        }
        for bar in bars["data"]
    ]
