"""``/api/v1/costs``: the ledger as rows, as CSV and as FOCUS; forecasts against budgets."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from flask import Blueprint, Response, request

from modelplane_datasource.context import AppContext
from modelplane_datasource.costs.ledger.allocation import MICRO
from modelplane_datasource.costs.ledger.cells import DEFAULT_CELL, CellGrid, month_of
from modelplane_datasource.costs.ledger.focus import focus_csv, focus_export, left_out
from modelplane_datasource.costs.ledger.focus_columns import FOCUS_VERSIONS, FocusVersion
from modelplane_datasource.costs.ledger.forecast import TRAILING, Forecast, Verdict, forecasts
from modelplane_datasource.costs.ledger.lines import Ledger, Policy
from modelplane_datasource.costs.ledger.projection import COVERAGE
from modelplane_datasource.costs.ledger.report import CostRow, rows_as_csv
from modelplane_datasource.costs.ledger_source import cells_of, ledger_of, required_registry
from modelplane_datasource.costs.parameters import (
    COST_OPTIONS,
    COST_SELECTION,
    GROUP_BY,
    IDLE_POLICY,
    SHARED,
    TENANT,
)
from modelplane_datasource.costs.rows import (
    check_rows,
    dearest,
    groups_of,
    is_selected,
    notices_of,
    selected_rows,
)
from modelplane_datasource.errors import invalid
from modelplane_datasource.prometheus.errors import INVALID, UpstreamError
from modelplane_datasource.series.selection import Selection
from modelplane_datasource.tenancy.notices import note, noted_for_caller
from modelplane_datasource.timeline.time_range import TimeRange
from modelplane_datasource.timeline.times import DAY, format_rfc3339
from modelplane_datasource.web.openapi import (
    BAD_INPUT,
    JSON,
    UPSTREAM,
    Content,
    NamedSchema,
    Operation,
    Table,
    described,
)
from modelplane_datasource.web.parameters import (
    Parameter,
    Values,
    check_names,
    choice,
    whole_number,
)
from modelplane_datasource.web.requests import query_values
from modelplane_datasource.web.responses import json_response
from modelplane_datasource.web.schemas import INSTANT, QUERY_TIME, TEXT, array, ok, record, with_warnings
from modelplane_datasource.web.time_parameters import FROM, TO, read_end, read_range, step_duration

STEP = Parameter(
    "step", "Length of the periods that rows are for, one period when it is left out; FOCUS rows are by day.",
    "a multiple of 5m, such as 1h or 1d", step_duration,
)  # fmt: skip
FORMAT = Parameter(
    "format", "How rows are given. In FOCUS, where a cost must not be null, what has no price has no row: "
    "the header X-Modelplane-Left-Out says how much that is, and X-Modelplane-Warnings what is odd.",
    "json, csv, focus", choice("json", "csv", "focus"), default="json",
)  # fmt: skip
LIMIT = Parameter(
    "limit", "Largest number of rows of each currency, the dearest first, without capacity; not for focus.",
    "a whole number from 1 to 1000; all rows by time and group when it is left out", whole_number(1, 1000),
)  # fmt: skip


def _focus_version(text: str) -> FocusVersion:
    return next(version for version in FOCUS_VERSIONS if version == choice(*FOCUS_VERSIONS)(text))


FOCUS_VERSION = Parameter(
    "version", "The version of FOCUS whose columns are given, with format=focus.",
    ", ".join(FOCUS_VERSIONS), _focus_version, default="1.3",
)  # fmt: skip
_ROW_BYTES = 800  # measured with tracemalloc on CPython 3.11
MAX_FOCUS_ROWS = 100_000  # 3 kB each
PARAMETERS: tuple[Parameter[Any], ...] = (
    *COST_SELECTION,
    *COST_OPTIONS,
    FROM,
    TO,
    STEP,
    FORMAT,
    FOCUS_VERSION,
    LIMIT,
)

_POLICIES = {parameter.name: parameter.schema for parameter in (IDLE_POLICY, SHARED)}
_NUMBER = {"type": "number"}
_NUMBER_OR_NULL = {"type": ["number", "null"]}
_TEXT_OR_NULL = {"type": ["string", "null"]}
_ROW = record(
    {
        **dict.fromkeys(("start", "end"), INSTANT),
        **dict.fromkeys(("kind", "unit", "state"), TEXT),
        "quantity": _NUMBER,
        "estimated": _NUMBER,
        "currency": _TEXT_OR_NULL,
        "amount": _NUMBER_OR_NULL,
    },
    others=_TEXT_OR_NULL,
)
ROWS = NamedSchema(
    "Costs",
    with_warnings(
        record(
            {
                **dict.fromkeys(("query_time", "from", "to"), QUERY_TIME),
                **_POLICIES,
                "rows": array(_ROW),
            }
        )
    ),
)
COSTS = Operation(
    "The cost ledger as rows, as CSV or in the columns of FOCUS.",
    {200: Content("A row for each period, group and kind of charge.", {JSON: ROWS, "text/csv": TEXT})},
    PARAMETERS,
    (*BAD_INPUT, *UPSTREAM),
    tables=(Table("costs", "Costs", units={"amount": "currency"}),),
)
COVERAGE_SCHEMA = {"const": COVERAGE, "description": "The share of months that end between low and high."}
_FORECAST = record(
    {
        **dict.fromkeys(("tenant", "currency"), TEXT),
        **dict.fromkeys(("as_of", "month_end"), INSTANT),
        IDLE_POLICY.name: IDLE_POLICY.schema,
        "days": {"type": "integer", "description": "Days of data that it rests on."},
        **dict.fromkeys(("spent", "low", "expected", "high", "budget"), _NUMBER_OR_NULL),
        "verdict": {"enum": list(get_args(Verdict))},
    }
)
FORECASTS = NamedSchema(
    "Forecasts",
    with_warnings(
        record({"query_time": QUERY_TIME, **_POLICIES, "coverage": COVERAGE_SCHEMA, "rows": array(_FORECAST)})
    ),
)
FORECAST = Operation(
    "What each tenant's month will cost, against its budget.",
    ok("A row for each tenant and currency.", FORECASTS),
    (TENANT, TO),
    (*BAD_INPUT, *UPSTREAM),
    tables=(
        Table(
            "cost_forecast", "Cost forecast",
            units=dict.fromkeys(("spent", "low", "expected", "high", "budget"), "currency"),
        ),
    ),
)  # fmt: skip


def costs_blueprint(context: AppContext) -> Blueprint:
    """``/api/v1/costs`` and ``/api/v1/costs/forecast``."""
    routes = Blueprint("costs", __name__, url_prefix="/api/v1/costs")

    @routes.get("")
    @described(COSTS)
    def costs() -> Response:
        values = query_values()
        check_names(values, PARAMETERS)
        selection, cells = _selection(values), _cells(values, context.now())
        step = _step(values)
        format_, limit = _format(values), LIMIT.read_one(values)
        if limit is not None and format_ == "focus":
            raise invalid(LIMIT.name, "is given for focus, whose rows add up", "json or csv with it")
        by = groups_of(selection)
        ledger = ledger_of(context, cells, selection.options)
        if format_ == "focus":
            _refuse_incomplete()
            return _focus(ledger, selection, FOCUS_VERSION.read(values))

        def selected() -> tuple[CostRow, ...]:
            note(notices_of(ledger, selection))  # here, so that they are kept with the rows
            return selected_rows(ledger, selection, step, context.settings.max_points)

        rows = context.cached(
            ("costs", cells, selection.key, step),
            cells.cell / 1000,
            selected,
            lambda rows: _ROW_BYTES * len(rows),
        )
        rows = rows if limit is None else dearest(rows, limit)
        if format_ == "csv":
            return _csv(rows_as_csv(rows, by, noted_for_caller()))
        body = {
            "query_time": format_rfc3339(context.now()),
            "from": format_rfc3339(cells.start),
            "to": format_rfc3339(cells.end),
            **_policies(ledger.policy),
            "rows": [_row(row, by) for row in rows],
        }
        return json_response(body)

    @routes.get("/forecast")
    @described(FORECAST)
    def forecast() -> Response:
        values = query_values()
        check_names(values, (TENANT, TO))
        tenants = required_registry(context).tenants
        tenant_ids, now = TENANT.read_all(values), context.now()
        end = min(read_end(values, now), now)
        end -= end % DEFAULT_CELL
        start = min(month_of(end - 1).start, end - TRAILING)
        cells = cells_of(TimeRange(start, end), now)
        ledger = ledger_of(context, cells, {})
        selected = [tenant for tenant in tenants if not tenant_ids or tenant.id in tenant_ids]
        rows = [_forecast_row(forecast) for forecast in forecasts(ledger, selected)]
        note(notices_of(ledger, Selection((), tenant_ids, (), {})))
        body = {
            "query_time": format_rfc3339(now),
            **_policies(ledger.policy),
            "coverage": COVERAGE,
            "rows": rows,
        }
        return json_response(body)

    return routes


def _selection(values: Values) -> Selection:
    models, tenants, versions = (parameter.read_all(values) for parameter in COST_SELECTION)
    options = {
        GROUP_BY.name: GROUP_BY.read_all(values),
        IDLE_POLICY.name: IDLE_POLICY.read_one(values),
        SHARED.name: SHARED.read_one(values),
    }
    return Selection(models, tenants, versions, options)


def _cells(values: Values, now: int) -> CellGrid:
    return cells_of(read_range(values, now), now)


def _step(values: Values) -> int | None:
    step = STEP.read_one(values)
    if step is not None and step % DEFAULT_CELL:
        raise invalid(STEP.name, f"is {step} ms", STEP.allowed)
    return step


def _format(values: Values) -> str:
    if FORMAT.name not in values and request.accept_mimetypes.best == "text/csv":
        return "csv"
    return FORMAT.read(values)


def _refuse_incomplete() -> None:
    """UpstreamError when Prometheus warned of something: FOCUS has no place to say so."""
    if warnings := noted_for_caller():
        raise UpstreamError(
            INVALID,
            f"The costs may be incomplete, which FOCUS cannot say; format=json can: {' '.join(warnings)}",
        )


def _focus(ledger: Ledger, selection: Selection, version: FocusVersion) -> Response:
    """The selected lines in the columns of FOCUS; ApiError 422 when they are too many."""
    selected = sum(is_selected(line, selection) for line in ledger.lines)
    check_rows(selected * len(ledger.cells.first_of_each(DAY)), MAX_FOCUS_ROWS)
    export = focus_export(ledger, lambda line: is_selected(line, selection))
    note(notices_of(ledger, selection))
    headers = {
        "X-Modelplane-Left-Out": _header(left_out(export.unpriced)),
        "X-Modelplane-Warnings": _header(noted_for_caller()),
    }
    return _csv(focus_csv(export.rows, version), headers)


def _header(value: object) -> str:
    """JSON in the printable ASCII of a header."""
    return json.dumps(value)


def _policies(policy: Policy) -> dict[str, str]:
    """What an answer says about how it was charged, under the names of the parameters."""
    return {IDLE_POLICY.name: policy.idle, SHARED.name: policy.shared}


def _row(row: CostRow, by: Sequence[str]) -> dict[str, Any]:
    units = 1 if row.unit == "tokens" else MICRO
    return {
        "start": row.start,
        "end": row.end,
        **dict(zip(by, row.group, strict=True)),
        "kind": row.kind,
        "unit": row.unit,
        "quantity": row.quantity / units,
        "estimated": row.estimated / units,
        "currency": row.currency,
        "amount": None if row.amount is None else row.amount / MICRO,
        "state": row.state,
    }


def _forecast_row(forecast: Forecast) -> dict[str, Any]:
    def money(micro: int | None) -> float | None:
        return None if micro is None else micro / MICRO

    return {
        "tenant": forecast.tenant_id,
        "currency": forecast.currency,
        "as_of": forecast.as_of,
        "month_end": forecast.month_end,
        IDLE_POLICY.name: forecast.idle,
        "days": forecast.days,
        "spent": money(forecast.spent),
        "low": money(forecast.low),
        "expected": money(forecast.expected),
        "high": money(forecast.high),
        "budget": money(forecast.budget),
        "verdict": forecast.verdict,
    }


def _csv(text: str, headers: Mapping[str, str] | None = None) -> Response:
    return Response(text, headers=headers, mimetype="text/csv")
