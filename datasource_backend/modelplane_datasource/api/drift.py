"""Routes about drift at one moment: which signals moved most, and the bins of one of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import orjson
from flask import Blueprint, Response

from modelplane_datasource.context import AppContext
from modelplane_datasource.drift.bin_counts import Block, QueryAnswer, SignalKey
from modelplane_datasource.drift.bin_labels import bin_labels
from modelplane_datasource.drift.claims import CALIBRATED, UNCALIBRATED, WARMING_UP, Claim, claimed_series
from modelplane_datasource.drift.history import is_calibrated
from modelplane_datasource.drift.metric import DRIFT
from modelplane_datasource.drift.parameters import (
    DRIFT_OPTIONS,
    DRIFT_SELECTION,
    KIND,
    METHOD,
    REFERENCE,
    SIGNAL,
    WINDOW,
    Reference,
)
from modelplane_datasource.drift.queries import blocks, confidence_bounds, edges, queries
from modelplane_datasource.drift.series import compute
from modelplane_datasource.drift.visibility import of_visible_signals
from modelplane_datasource.errors import invalid
from modelplane_datasource.prometheus.client import PrometheusClient
from modelplane_datasource.series.model import Series
from modelplane_datasource.series.request import read_selection
from modelplane_datasource.series.selection import Selection
from modelplane_datasource.timeline.grid import Grid
from modelplane_datasource.timeline.times import format_rfc3339
from modelplane_datasource.web.openapi import BAD_INPUT, UPSTREAM, NamedSchema, Operation, Table, described
from modelplane_datasource.web.parameters import Parameter, check_names, whole_number
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
from modelplane_datasource.web.time_parameters import FROM, TO, read_moment
from modelplane_schema.calibration import PSI, TWO_SIDED_ARMS

LIMIT = Parameter(
    "limit", "Largest number of rows.", "a whole number from 1 to 1000", whole_number(1, 1000), default="20"
)
START = replace(
    FROM, summary=f"Start of the live window where {WINDOW.name} does not say how long it is.", default=None
)
PARAMETERS = (*DRIFT_SELECTION, *DRIFT_OPTIONS, START, TO)

LIMITS_OF_ARMS = tuple(
    f"{arm.method}{part}" for arm in TWO_SIDED_ARMS for part in ("", "_low_limit", "_high_limit")
)
ROW = record(
    {
        "series": TEXT,
        "value": NUMBER,
        "n": NUMBER,
        "noise": NUMBER,
        "beyond": NUMBER,
        "state": {**TEXT, "enum": [CALIBRATED, WARMING_UP, UNCALIBRATED]},
        "moved": TEXT,
        "limit": NUMBER,
        "past_max": NUMBER,
        "past_hours": {"type": "integer"},
        **dict.fromkeys(LIMITS_OF_ARMS, NUMBER),
    },
    others=TEXT,
)
MOVED = NamedSchema("MovedSignals", with_warnings(record({"query_time": QUERY_TIME, "rows": array(ROW)})))
_LABEL = {**TEXT, "description": "The bin for people, such as <= 20.1, > 51.3, other or missing."}
BAR = record({"x": TEXT, "y": NUMBER, "label": _LABEL, "upper_bound": NUMBER})
BARS = record({"name": TEXT, "type": {"const": "bar"}, "labels": LABELS, "n": NUMBER, "data": array(BAR)})
BIN = record(
    {"series": TEXT, "bin": TEXT, "label": _LABEL, "value": NUMBER, "upper_bound": NUMBER, "n": NUMBER},
    others=TEXT,
)
DISTRIBUTION = NamedSchema(
    "Distribution",
    with_warnings(record({"query_time": QUERY_TIME, "data": array(BARS), "rows": array(BIN)})),
)
_ERRORS = (*BAD_INPUT, *UPSTREAM)

Bounds = Mapping[str, Mapping[str, float]]  # upper bounds by baseline and bin


def drift_blueprint(context: AppContext) -> Blueprint:
    """``/api/v1/drift/top`` and ``/api/v1/drift/distribution``."""
    routes = Blueprint("drift", __name__, url_prefix="/api/v1/drift")

    @routes.get("/top")
    @described(
        Operation(
            "Signals by how far they are beyond their own limits, the farthest first.",
            ok(
                "A row for each signal. state says whether limits come from its last two days, moved which "
                "arms are beyond theirs, and beyond by how much, 1 being the limit.",
                MOVED,
            ),
            (*PARAMETERS, LIMIT),
            _ERRORS,
            tables=(Table("moved_signals", "Signals by drift"),),
        )
    )
    def top() -> Response:
        values = query_values()
        check_names(values, (*PARAMETERS, LIMIT))
        limit = LIMIT.read(values)
        selection, grid = _request(context, values)
        rows = context.cached_body(
            ("top", selection.key, grid, limit),
            grid.step / 1000,
            lambda: orjson.dumps(_farthest(context, selection, grid, limit)),
        )
        return json_response({"query_time": format_rfc3339(grid.end), "rows": orjson.Fragment(rows)})

    @routes.get("/distribution")
    @described(
        Operation(
            "The bins of one signal, live and of its reference.",
            ok("Bars, live and reference, and the same as flat rows.", DISTRIBUTION),
            PARAMETERS,
            _ERRORS,
            tables=(Table("distribution", "Distribution of a signal", units={"value": "ratio"}),),
        )
    )
    def distribution() -> Response:
        values = query_values()
        check_names(values, PARAMETERS)
        selection, grid = _request(context, values)
        for parameter in (KIND, SIGNAL):
            if len(selection.options[parameter.name]) != 1:
                raise invalid(parameter.name, "must be given once", parameter.allowed)
        data = of_visible_signals(context, selection, lambda part: _bars_of(context.prometheus, part, grid))
        rows = [row for bars in data for row in _bins(bars)]
        return json_response({"query_time": format_rfc3339(grid.end), "data": data, "rows": rows})

    return routes


def _request(context: AppContext, values: Mapping[str, Any]) -> tuple[Selection, Grid]:
    """The selection, and a grid of the one moment of the request.

    Now is the last whole scrape interval, so that panels which ask within it share their queries.
    """
    selection = read_selection(DRIFT, values)
    length, moment = read_moment(values, START, context.last_scrape())
    if length is not None and WINDOW.name not in values:
        selection = replace(selection, options={**selection.options, WINDOW.name: length})
    return selection, Grid(moment, moment, selection.options[WINDOW.name])


def _farthest(context: AppContext, selection: Selection, grid: Grid, limit: int) -> list[dict[str, Any]]:
    """The rows of the signals that are farthest beyond their limits, the farthest first."""
    return sorted(_claimed_rows(context, selection, grid), key=_distance, reverse=True)[:limit]


def _claimed_rows(context: AppContext, selection: Selection, grid: Grid) -> list[dict[str, Any]]:
    """A row for each signal. Only psi against the baseline has a past, over windows of hours."""
    options = selection.options
    if options[METHOD.name] != PSI or options[REFERENCE.name] != Reference() or not is_calibrated(selection):
        return [_row(series, None) for series in compute(context, selection, grid).series]
    return [_row(series, claim) for series, claim in claimed_series(context, selection, grid)]


def _row(series: Series, claim: Claim | None) -> dict[str, Any]:
    extra = {name: column[0] for name, column in series.extra.items()}
    row = {**series.labels, "series": series.name, "value": series.values[0], **extra}
    return {**row, **(_UNCLAIMED if claim is None else _columns_of(claim))}


def _columns_of(claim: Claim) -> dict[str, Any]:
    values = (value for sides in claim.arms.values() for value in sides)
    return {
        "state": claim.state,
        "moved": ", ".join(claim.moved),
        "beyond": claim.beyond,
        "limit": claim.limit,
        "past_max": claim.past_max,
        "past_hours": claim.past_hours,
        **dict(zip(LIMITS_OF_ARMS, values, strict=True)),
    }


_UNCLAIMED: Mapping[str, Any] = {
    "state": UNCALIBRATED, "moved": "", "beyond": None, "limit": None, "past_max": None, "past_hours": 0,
    **dict.fromkeys(LIMITS_OF_ARMS),
}  # fmt: skip


def _distance(row: Mapping[str, Any]) -> tuple[bool, float, float]:
    """In units of the limit; of methods without one how far from no change. Without a value last."""
    value, n = row["value"], row["n"] or 0.0
    if value is None:
        return False, 0.0, n
    if row["beyond"] is not None:
        return True, row["beyond"], n
    no_change = 1.0 if row["method"] == "variance_ratio" else 0.0
    floor = row["noise"] if row["method"] == PSI and row["noise"] is not None else 0.0
    return True, abs(value - no_change) - floor, n


def _bars_of(prometheus: PrometheusClient, selection: Selection, grid: Grid) -> list[dict[str, Any]]:
    edges_of_bins, *answers = prometheus.at_once(
        partial(edges, prometheus, selection, grid), *queries(prometheus, selection, grid)
    )
    bounds = _upper_bounds(edges_of_bins) or confidence_bounds(answers[0])
    return [bars for block in blocks(selection, grid, answers) for bars in _distributions(block, bounds)]


def _upper_bounds(answer: QueryAnswer) -> Bounds:
    """The upper bound of each bin."""
    bounds: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for labels, bound in zip(answer.labels, answer.values[:, 0].tolist(), strict=True):
        bounds[labels.get("baseline", "")][labels.get("bin", "")] = bound
    return bounds


def _distributions(block: Block, bounds: Bounds) -> Iterator[dict[str, Any]]:
    """Live shares, and those of the reference, by bin: ``x`` is the bin's name."""
    live, reference = block
    for row, signal in enumerate(live.signals):
        counts, bins = live.counts[row, 0], live.bins_of(row)
        of_signal = bounds.get(signal.baseline, {})
        labels = bin_labels(bins, of_signal, live.is_numeric)
        n = float(counts.sum())
        live_shares = [count / n if n > 0 else None for count in counts.tolist()]
        yield _bars("live", signal, n, live_shares, labels, of_signal)
        if reference.exists[row]:
            size = float(reference.observations[row, 0])
            yield _bars("reference", signal, size, reference.ratios[row, 0].tolist(), labels, of_signal)


def _bars(
    name: str,
    signal: SignalKey,
    n: float,
    shares: Sequence[float | None],
    labels: Mapping[str, str],
    bounds: Mapping[str, float],
) -> dict[str, Any]:
    data = [
        {"x": bin_name, "y": share, "label": label, "upper_bound": bounds.get(bin_name)}
        for (bin_name, label), share in zip(labels.items(), shares, strict=True)
    ]
    return {"name": name, "type": "bar", "labels": signal._asdict(), "n": n, "data": data}


def _bins(bars: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Bars as flat rows."""
    return [
        {
            **bars["labels"],
            "series": bars["name"],
            "bin": bar["x"],
            "label": bar["label"],
            "value": bar["y"],
            "upper_bound": bar["upper_bound"],
            "n": bars["n"],
        }
        for bar in bars["data"]
    ]
