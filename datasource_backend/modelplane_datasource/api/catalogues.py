"""What a client needs to know before it asks: tables, annotations, menus and their values, and who it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version

from flask import Blueprint, Response, current_app

from modelplane_datasource.api.menus import MENUS, MODELS, TENANTS, Menu, menu_values
from modelplane_datasource.api.series import PARAMETER
from modelplane_datasource.context import AppContext
from modelplane_datasource.grafana.annotations import SOURCES
from modelplane_datasource.grafana.menus import variable_values
from modelplane_datasource.tenancy.caller import current_caller
from modelplane_datasource.timeline.time_range import TimeRange
from modelplane_datasource.timeline.times import parse_duration
from modelplane_datasource.web.openapi import BAD_INPUT, UPSTREAM, NamedSchema, Operation, described
from modelplane_datasource.web.parameters import Parameter, check_names, label_text, whole_number
from modelplane_datasource.web.requests import query_values
from modelplane_datasource.web.responses import json_response
from modelplane_datasource.web.schemas import TEXT, TOTAL, array, ok, record, with_warnings
from modelplane_datasource.web.tables import COLUMN_TYPES, described_tables
from modelplane_datasource.web.time_parameters import FROM, TO, read_range

SEARCH = Parameter("search", "Only values that contain this text, in any case.", "any text", label_text)
LIMIT = Parameter(
    "limit", "Largest number of values.", "a whole number from 1 to 10000", whole_number(1, 10_000),
    default="1000",
)  # fmt: skip
SEEN = parse_duration("1h")

_COLUMN = record(
    {
        "name": TEXT,
        "type": {"enum": [*COLUMN_TYPES]},
        "unit": {"type": ["string", "null"], "description": "currency is that of the column currency."},
    }
)
_TABLE = record(
    {
        **dict.fromkeys(("name", "title", "summary"), TEXT),
        "path": {**TEXT, "description": "Below /api/v1/."},
        "rows": {**TEXT, "description": "Key of the list of rows; empty where the answer is the one row."},
        "columns": array(_COLUMN),
        "parameters": array(PARAMETER),
    }
)
TABLES = NamedSchema("Tables", record({"tables": array(_TABLE)}))
_SOURCE = record({"name": TEXT, "title": TEXT, "parameters": array(PARAMETER)})
ANNOTATIONS = NamedSchema("AnnotationSources", record({"annotations": array(_SOURCE)}))
MENU_LIST = NamedSchema("Menus", record({"menus": array(_SOURCE)}))
MENU = NamedSchema("Menu", with_warnings(record({"values": array(TEXT), "total": TOTAL})))
_COUNT = {"type": "integer", "description": "Of those that were called in the last hour."}
_USER = {
    **record({"name": TEXT, "role": TEXT, "may_write": {"type": "boolean"}}),
    "type": ["object", "null"],
    "description": "Who uses the token in Grafana; null where it sends no identity, or the token needs none.",
}
IDENTITY = NamedSchema(
    "Identity",
    with_warnings(
        record(
            {
                **dict.fromkeys(("version", "name", "role"), TEXT),
                "user": _USER,
                "tenants": _COUNT,
                "models": _COUNT,
            }
        )
    ),
)


def catalogues_blueprint(context: AppContext) -> Blueprint:
    """``/api/v1/tables``, ``/annotations``, ``/menus``, ``/menus/<menu>`` and ``/identity``."""
    routes = Blueprint("catalogues", __name__, url_prefix="/api/v1")
    _add_lists(routes)
    for menu in MENUS.values():
        routes.add_url_rule(f"/menus/{menu.name}", f"menu_{menu.name}", _menu_view(context, menu))

    @routes.get("/identity")
    @described(
        Operation(
            "Who is asking, and how much they may see.",
            ok("The version of the backend, the name and role of the token, and what is visible.", IDENTITY),
            errors=(*BAD_INPUT, *UPSTREAM),
        )
    )
    def identity() -> Response:
        check_names(query_values(), ())
        now, caller = context.now(), current_caller()
        seen = TimeRange(now - SEEN, now)
        counts = {name: len(variable_values(context, name, {}, seen)) for name in (TENANTS, MODELS)}
        user = caller.user and {
            "name": caller.user.name,
            "role": caller.user.role,
            "may_write": caller.user.may_write,
        }
        who = {"name": caller.name, "role": caller.role, "user": user}
        return json_response({"version": version("modelplane"), **who, **counts})

    return routes


def _add_lists(routes: Blueprint) -> None:
    def listed(summary: str, schema: NamedSchema) -> Operation:
        return Operation(summary, ok("The catalogue.", schema), errors=BAD_INPUT)

    @routes.get("/tables")
    @described(listed("Tables, with their columns and parameters.", TABLES))
    def tables() -> Response:
        check_names(query_values(), ())
        return json_response({"tables": described_tables(current_app)})

    @routes.get("/annotations")
    @described(listed("Sources of annotations and their parameters.", ANNOTATIONS))
    def annotations() -> Response:
        check_names(query_values(), ())
        sources = [_source(source.name, source.title, source.parameters) for source in SOURCES.values()]
        return json_response({"annotations": sources})

    @routes.get("/menus")
    @described(listed("Menus of values for parameters, and what narrows them.", MENU_LIST))
    def menus() -> Response:
        check_names(query_values(), ())
        return json_response(
            {"menus": [_source(menu.name, menu.title, menu.parameters) for menu in MENUS.values()]}
        )


def _source(name: str, title: str, parameters: Sequence[Parameter[object]]) -> Mapping[str, object]:
    described_parameters = [parameter.describe() for parameter in parameters]
    return {"name": name, "title": title, "parameters": described_parameters}


def _menu_view(context: AppContext, menu: Menu) -> Callable[[], Response]:
    operation = Operation(
        f"{menu.title} that the caller may see, sorted.",
        ok("The first values; total is how many there are.", MENU),
        (*menu.parameters, FROM, TO, SEARCH, LIMIT),
        (*BAD_INPUT, *UPSTREAM),
    )

    @described(operation)
    def values() -> Response:
        given = query_values()
        check_names(given, operation.parameters)
        search, limit = SEARCH.read_one(given), LIMIT.read(given)
        every = menu_values(context, menu, given, read_range(given, context.now()))
        matching = [value for value in every if search is None or search.casefold() in value.casefold()]
        return json_response({"values": matching[:limit], "total": len(matching)})

    return values
