"""``/api/v1/costs``: the ledger as rows, as CSV and as FOCUS; forecasts against budgets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, get_args

from flask import Blueprint, Response, request

from modelplane_datasource.context import Plane
from modelplane_datasource.costs.ledger.allocation import MICRO
from modelplane_datasource.costs.ledger.cells import DAY, DEFAULT_CELL, Window, month_of
from modelplane_datasource.costs.ledger.focus import focus_csv, focus_export
from modelplane_datasource.costs.ledger.forecast import TRAILING, Forecast, Verdict, forecasts
from modelplane_datasource.costs.ledger.lines import CAPACITY, KEEP, Ledger
from modelplane_datasource.costs.ledger.report import CostRow, decimal_text, rows_as_csv
from modelplane_datasource.costs.ledger_source import ledger_of, required_registry, window_of
from modelplane_datasource.costs.parameters import (
    COST_OPTIONS,
    COST_SCOPE,
    GROUP_BY,
    IDLE_POLICY,
    SHARED,
    TENANT,
)
from modelplane_datasource.costs.rows import check_rows, chosen_rows, groups_of, is_asked
from modelplane_datasource.errors import invalid
from modelplane_datasource.observability.query_warnings import noted
from modelplane_datasource.prometheus.decoding import INVALID, UpstreamError
from modelplane_datasource.series.selection import Scope
from modelplane_datasource.timeline.times import format_rfc3339
from modelplane_datasource.web.openapi import BAD_INPUT, JSON, UPSTREAM, Content, Operation, Shape, described
from modelplane_datasource.web.parameters import (
    Parameter,
    Values,
    check_known,
    choice,
    read_all,
    read_default,
    read_one,
)
from modelplane_datasource.web.requests import query_values
from modelplane_datasource.web.responses import json_response
from modelplane_datasource.web.schemas import INSTANT, QUERY_TIME, TEXT, array, ok, record, with_warnings
from modelplane_datasource.web.time_parameters import FROM, TO, read_moment, read_range, step_duration

STEP = Parameter(
    "step", "Length of the periods that rows are for, one period when it is left out; FOCUS rows are by day.",
    "a multiple of 5m, such as 1h or 1d", step_duration,
)  # fmt: skip
FORMAT = Parameter(
    "format", "How rows are given. In FOCUS, where a cost must not be null, what has no price has no row.",
    "json, csv, focus", choice("json", "csv", "focus"), default="json",
)  # fmt: skip
_ROW_BYTES = 800  # measured with tracemalloc on CPython 3.11
MOST_FOCUS_ROWS = 100_000  # 3 kB each
PARAMETERS: tuple[Parameter[Any], ...] = (*COST_SCOPE, *COST_OPTIONS, FROM, TO, STEP, FORMAT)

_TEXT_OR_NULL = {"type": ["string", "null"]}
_ROW = record(
    {
        **dict.fromkeys(("start", "end"), INSTANT),
        **dict.fromkeys(("kind", "unit", "state"), TEXT),
        "quantity": {"type": "number"},
        **dict.fromkeys(("currency", "amount"), _TEXT_OR_NULL),
    },
    others=_TEXT_OR_NULL,
)
ROWS = Shape(
    "Costs",
    with_warnings(record({**dict.fromkeys(("query_time", "from", "to"), QUERY_TIME), "rows": array(_ROW)})),
)
COSTS = Operation(
    "The cost ledger as rows, as CSV or in the columns of FOCUS.",
    {200: Content("A row for each period, group and kind of charge.", {JSON: ROWS, "text/csv": TEXT})},
    PARAMETERS,
    (*BAD_INPUT, *UPSTREAM),
)
_FORECAST = record(
    {
        **dict.fromkeys(("tenant", "currency"), TEXT),
        **dict.fromkeys(("as_of", "month_end"), INSTANT),
        **dict.fromkeys(("spent", "low", "high", "budget"), _TEXT_OR_NULL),
        "verdict": {"enum": list(get_args(Verdict))},
    }
)
FORECASTS = Shape("Forecasts", with_warnings(record({"query_time": QUERY_TIME, "rows": array(_FORECAST)})))
FORECAST = Operation(
    "What each tenant's month will cost, against its budget.",
    ok("A row for each tenant and currency.", FORECASTS),
    (TENANT, TO),
    (*BAD_INPUT, *UPSTREAM),
)


def costs_blueprint(plane: Plane) -> Blueprint:
    """``/api/v1/costs`` and ``/api/v1/costs/forecast``."""
    routes = Blueprint("costs", __name__, url_prefix="/api/v1/costs")

    @routes.get("")
    @described(COSTS)
    def costs() -> Response:
        values = query_values()
        check_known(values, PARAMETERS)
        scope, window = _scope(values), _window(values, plane.now())
        step = _step(values)
        form = _format(values)
        options, by = scope.options, groups_of(scope)
        ledger = ledger_of(plane, window, options[IDLE_POLICY.name], options[SHARED.name])
        if form != "json":
            _refuse_incomplete(form)
        if form == "focus":
            return _csv(focus_csv(focus_export(_of_focus(ledger, scope)).rows))
        rows = plane.kept(
            ("costs", window, scope.key, step),
            window.cell / 1000,
            lambda: chosen_rows(ledger, scope, step, plane.settings.max_points),
            lambda found: _ROW_BYTES * len(found),
        )
        if form == "csv":
            return _csv(rows_as_csv(rows, by))
        body = {
            "query_time": format_rfc3339(plane.now()),
            "from": format_rfc3339(window.start),
            "to": format_rfc3339(window.end),
            "rows": [_row(row, by) for row in rows],
        }
        return _json(body, ledger)

    @routes.get("/forecast")
    @described(FORECAST)
    def forecast() -> Response:
        values = query_values()
        check_known(values, (TENANT, TO))
        tenants = required_registry(plane).tenants
        asked, now = read_all(values, TENANT), plane.now()
        end = min(read_moment(values, now), now)
        end -= end % DEFAULT_CELL
        window = window_of(min(month_of(end - 1).start, end - TRAILING), end, now)
        ledger = ledger_of(plane, window, KEEP.idle, KEEP.shared)
        chosen = [tenant for tenant in tenants if not asked or tenant.id in asked]
        rows = [_forecast(one) for one in forecasts(ledger, chosen)]
        return _json({"query_time": format_rfc3339(now), "rows": rows}, ledger)

    return routes


def _scope(values: Values) -> Scope:
    models, tenants, versions = (read_all(values, parameter) for parameter in COST_SCOPE)
    options = {
        GROUP_BY.name: read_all(values, GROUP_BY),
        IDLE_POLICY.name: read_default(values, IDLE_POLICY),
        SHARED.name: read_default(values, SHARED),
    }
    return Scope(models, tenants, versions, options)


def _window(values: Values, now: int) -> Window:
    start, end = read_range(values, now)
    return window_of(start, end, now)


def _step(values: Values) -> int | None:
    step = read_one(values, STEP)
    if step is not None and step % DEFAULT_CELL:
        raise invalid(STEP.name, f"is {step} ms", STEP.allowed)
    return step


def _format(values: Values) -> str:
    if FORMAT.name not in values and request.accept_mimetypes.best == "text/csv":
        return "csv"
    return read_default(values, FORMAT)


def _refuse_incomplete(form: str) -> None:
    """UpstreamError when Prometheus warned of something: a file of costs has no place to say so."""
    if noted():
        raise UpstreamError(
            INVALID,
            f"The costs may be incomplete, which {form} cannot say; format=json can: {' '.join(noted())}",
        )


def _of_focus(ledger: Ledger, scope: Scope) -> Ledger:
    """What is asked for, with the capacities that it is a share of; ApiError 422 when it is too much."""
    lines = tuple(line for line in ledger.lines if line.kind == CAPACITY or is_asked(line, scope))
    check_rows(len(lines) * len(ledger.window.first_of_each(DAY)), MOST_FOCUS_ROWS)
    return replace(ledger, lines=lines)


def _json(body: dict[str, Any], ledger: Ledger) -> Response:
    return json_response({**body, "warnings": ledger.warnings} if ledger.warnings else body)


def _row(row: CostRow, by: Sequence[str]) -> dict[str, Any]:
    quantity = float(row.quantity) if row.unit == "tokens" else row.quantity / MICRO
    return {
        "start": row.start,
        "end": row.end,
        **dict(zip(by, row.group, strict=True)),
        "kind": row.kind,
        "unit": row.unit,
        "quantity": quantity,
        "currency": row.currency,
        "amount": None if row.amount is None else decimal_text(row.amount),
        "state": row.state,
    }


def _forecast(one: Forecast) -> dict[str, Any]:
    def money(micro: int | None) -> str | None:
        return None if micro is None else decimal_text(micro)

    return {
        "tenant": one.tenant_id,
        "currency": one.currency,
        "as_of": one.as_of,
        "month_end": one.month_end,
        "spent": money(one.spent),
        "low": money(one.low),
        "high": money(one.high),
        "budget": money(one.budget),
        "verdict": one.verdict,
    }


def _csv(text: str) -> Response:
    return Response(text, mimetype="text/csv")
