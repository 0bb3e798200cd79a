"""Annotations as flat rows, for Grafana's Infinity datasource."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, Response

from modelplane_datasource.context import AppContext
from modelplane_datasource.grafana.annotations import SOURCES, Source, as_rows, find
from modelplane_datasource.web.openapi import BAD_INPUT, STORE, UPSTREAM, NamedSchema, Operation, described
from modelplane_datasource.web.parameters import check_names
from modelplane_datasource.web.requests import query_values
from modelplane_datasource.web.responses import json_response
from modelplane_datasource.web.schemas import INSTANT, TEXT, array, ok, record, with_warnings
from modelplane_datasource.web.time_parameters import FROM, TO, read_range

_ROW = record(
    {
        "time": INSTANT,
        "timeEnd": {**INSTANT, "type": ["integer", "null"]},
        **dict.fromkeys(("title", "text", "tags"), TEXT),
    }
)
ROWS = NamedSchema("AnnotationRows", with_warnings(record({"rows": array(_ROW)})))


def annotation_rows_blueprint(context: AppContext) -> Blueprint:
    """``/api/v1/annotations/<source>``: ``{"rows": [{"time", "timeEnd", "title", "text", "tags"}]}``."""
    routes = Blueprint("annotations", __name__, url_prefix="/api/v1/annotations")
    for source in SOURCES.values():
        routes.add_url_rule(f"/{source.name}", source.name, _view(context, source))
    return routes


def _view(context: AppContext, source: Source) -> Callable[[], Response]:
    operation = Operation(
        f"{source.title}, by time.",
        ok("A row for each: timeEnd is null for a moment, tags are separated by commas.", ROWS),
        (*source.parameters, FROM, TO),
        (*BAD_INPUT, *UPSTREAM, *STORE),
    )

    @described(operation)
    def rows() -> Response:
        values = query_values()
        check_names(values, operation.parameters)
        time_range = read_range(values, context.now())
        of_source = {name: texts for name, texts in values.items() if name not in (FROM.name, TO.name)}
        return json_response({"rows": as_rows(find(context, source, of_source, (), time_range))})

    return rows
