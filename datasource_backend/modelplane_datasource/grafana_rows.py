"""Annotations as flat rows, for Grafana's Infinity datasource."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, Response

from modelplane_datasource.grafana_annotations import SOURCES, Period, Source, as_rows, find
from modelplane_datasource.openapi import BAD_INPUT, STORE, UPSTREAM, Operation, Shape, described
from modelplane_datasource.parameters import check_known
from modelplane_datasource.plane import Plane
from modelplane_datasource.responses import json_response
from modelplane_datasource.series_api import query_values
from modelplane_datasource.series_request import FROM, TO, read_range
from modelplane_datasource.shapes import INSTANT, TEXT, array, ok, record, with_warnings

_ROW = record(
    {
        "time": INSTANT,
        "timeEnd": {**INSTANT, "type": ["integer", "null"]},
        **dict.fromkeys(("title", "text", "tags"), TEXT),
    }
)
ROWS = Shape("AnnotationRows", with_warnings(record({"rows": array(_ROW)})))


def annotation_rows_blueprint(plane: Plane) -> Blueprint:
    """``/api/v1/annotations/<source>``: ``{"rows": [{"time", "timeEnd", "title", "text", "tags"}]}``."""
    routes = Blueprint("annotations", __name__, url_prefix="/api/v1/annotations")
    for source in SOURCES.values():
        routes.add_url_rule(f"/{source.name}", source.name, _view(plane, source))
    return routes


def _view(plane: Plane, source: Source) -> Callable[[], Response]:
    operation = Operation(
        f"{source.title}, by time.",
        ok("A row for each: timeEnd is null for a moment, tags are separated by commas.", ROWS),
        (*source.parameters, FROM, TO),
        (*BAD_INPUT, *UPSTREAM, *STORE),
    )

    @described(operation)
    def rows() -> Response:
        values = query_values()
        check_known(values, operation.parameters)
        period = Period(*read_range(values, plane.now()))
        own = {name: texts for name, texts in values.items() if name not in (FROM.name, TO.name)}
        return json_response({"rows": as_rows(find(plane, source, own, (), period))})

    return rows
