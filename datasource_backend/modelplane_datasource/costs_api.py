"""``/api/v1/costs``: the ledger as rows, as CSV and as FOCUS; forecasts against budgets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

from flask import Blueprint, Response, request

from modelplane_datasource.costs import (
    COST_OPTIONS,
    COST_SCOPE,
    GROUP_BY,
    IDLE_POLICY,
    SHARED,
    TENANT,
    chosen_rows,
    ledger_of,
    required_registry,
    window_of,
)
from modelplane_datasource.errors import invalid
from modelplane_datasource.ledger.allocation import MICRO
from modelplane_datasource.ledger.cells import DEFAULT_CELL, Window, month_of
from modelplane_datasource.ledger.focus import FocusRow, focus_csv, focus_export
from modelplane_datasource.ledger.forecast import TRAILING, Forecast, Verdict, forecasts
from modelplane_datasource.ledger.rows import CostRow, decimal_text, rows_as_csv
from modelplane_datasource.openapi import BAD_INPUT, JSON, UPSTREAM, Content, Operation, Shape, described
from modelplane_datasource.parameters import (
    Parameter,
    Values,
    check_known,
    choice,
    read_all,
    read_default,
    read_one,
)
from modelplane_datasource.plane import Plane
from modelplane_datasource.responses import json_response
from modelplane_datasource.scope import Scope
from modelplane_datasource.series_api import query_values
from modelplane_datasource.series_request import FROM, TO, check_order, read_instant, step_duration
from modelplane_datasource.shapes import (
    INSTANT,
    QUERY_TIME,
    TEXT,
    array,
    ok,
    record,
    with_warnings,
)
from modelplane_datasource.times import format_rfc3339

STEP = Parameter(
    "step", "Length of the periods that rows are for; one period when it is left out.",
    "a multiple of 5m, such as 1h or 1d", step_duration,
)  # fmt: skip
FORMAT = Parameter(
    "format", "How rows are given.", "json, csv, focus", choice("json", "csv", "focus"), default="json"
)
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
        options = scope.options
        ledger = ledger_of(plane, window, options[IDLE_POLICY.name], options[SHARED.name])
        if form == "focus":
            return _csv(focus_csv(row for row in focus_export(ledger).rows if _is_chosen(row, scope)))
        rows = chosen_rows(ledger, scope, step)
        if form == "csv":
            return _csv(rows_as_csv(rows, options[GROUP_BY.name]))
        body = {
            "query_time": format_rfc3339(plane.now()),
            "from": format_rfc3339(window.start),
            "to": format_rfc3339(window.end),
            "rows": [_row(row, options[GROUP_BY.name]) for row in rows],
        }
        return json_response({**body, "warnings": ledger.warnings} if ledger.warnings else body)

    @routes.get("/forecast")
    @described(FORECAST)
    def forecast() -> Response:
        values = query_values()
        check_known(values, (TENANT, TO))
        tenants = required_registry(plane).tenants
        asked = read_all(values, TENANT)
        end = read_instant(values, TO, plane.now()) or plane.now()
        end -= end % DEFAULT_CELL
        window = window_of(min(month_of(end - 1).start, end - TRAILING), end)
        ledger = ledger_of(plane, window, IDLE_POLICY.default or "keep", SHARED.default or "keep")
        chosen = [tenant for tenant in tenants if not asked or tenant.id in asked]
        rows = [_forecast(one) for one in forecasts(ledger, chosen)]
        return json_response({"query_time": format_rfc3339(plane.now()), "rows": rows})

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
    start, end = read_instant(values, FROM, now) or 0, read_instant(values, TO, now) or 0
    check_order(start, end)
    return window_of(start, end)


def _step(values: Values) -> int | None:
    step = read_one(values, STEP)
    if step is not None and step % DEFAULT_CELL:
        raise invalid(STEP.name, f"is {step} ms", STEP.allowed)
    return step


def _format(values: Values) -> str:
    if FORMAT.name not in values and request.accept_mimetypes.best == "text/csv":
        return "csv"
    return read_default(values, FORMAT)


def _is_chosen(row: FocusRow, scope: Scope) -> bool:
    asked = (
        ("x_model_name", scope.models),
        ("x_tenant_id", scope.tenants),
        ("x_model_version", scope.versions),
    )
    return all(row[column] in values for column, values in asked if values)


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
