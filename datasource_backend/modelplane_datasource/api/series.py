"""Routes of series: the catalogue, the {x, y} contract and flat rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
from flask import Blueprint, Response

from modelplane_datasource.catalogue import SERIES_METRICS, find_metric
from modelplane_datasource.context import Plane
from modelplane_datasource.series.answering import served
from modelplane_datasource.series.encoding import as_contract, as_rows
from modelplane_datasource.series.metric import SeriesMetric
from modelplane_datasource.series.model import Answer
from modelplane_datasource.series.request import TIME_PARAMETERS, read_request
from modelplane_datasource.timeline.times import format_rfc3339
from modelplane_datasource.web.openapi import BAD_INPUT, UPSTREAM, Operation, Shape, described
from modelplane_datasource.web.parameters import check_known
from modelplane_datasource.web.requests import query_values
from modelplane_datasource.web.responses import json_response
from modelplane_datasource.web.schemas import CONTRACT, ROWS, TEXT, array, ok, record

PARAMETER = record(
    {
        "name": TEXT,
        "summary": TEXT,
        "allowed": TEXT,
        "required": {"type": "boolean"},
        "repeated": {"type": "boolean"},
        "default": {"type": ["string", "null"]},
        "schema": {"type": "object"},
    }
)
METRIC = record({"name": TEXT, "title": TEXT, "unit": TEXT, "summary": TEXT, "parameters": array(PARAMETER)})
CATALOGUE = Shape("Catalogue", record({"metrics": array(METRIC)}))


def _operations(shape: Shape) -> tuple[Operation, ...]:
    """One operation for each metric."""
    return tuple(
        Operation(
            metric.summary,
            ok(f"{metric.title}, in {metric.unit}.", shape),
            (*metric.scope_parameters, *TIME_PARAMETERS),
            (*BAD_INPUT, 404, *UPSTREAM),
            path={"metric": metric.name},
        )
        for metric in SERIES_METRICS
    )


def series_blueprint(plane: Plane) -> Blueprint:
    """``/api/v1/metrics``, ``/api/v1/metrics/<metric>`` and ``/api/v1/rows/<metric>``."""
    routes = Blueprint("series", __name__, url_prefix="/api/v1")

    @routes.get("/metrics")
    @described(Operation("Metrics and their parameters.", ok("The catalogue.", CATALOGUE), errors=BAD_INPUT))
    def catalogue() -> Response:
        check_known(query_values(), ())
        return json_response({"metrics": [_describe(metric) for metric in SERIES_METRICS]})

    @routes.get("/metrics/<metric>")
    @described(*_operations(CONTRACT))
    def contract(metric: str) -> Response:
        now = plane.now()
        return _respond({"query_time": format_rfc3339(now)}, "data", metric, now, as_contract)

    @routes.get("/rows/<metric>")
    @described(*_operations(ROWS))
    def rows(metric: str) -> Response:
        return _respond({}, "rows", metric, plane.now(), as_rows)

    def _respond(
        body: dict[str, Any], shape: str, name: str, now: int, write: Callable[[Answer], object]
    ) -> Response:
        """``body`` with the series under the name of their ``shape``."""
        asked = read_request(find_metric(name), query_values(), now, plane.scrape_interval)
        text = served(
            plane, asked.metric, asked.scope, asked.grid, shape, lambda found: orjson.dumps(write(found)), len
        )
        return json_response({**body, shape: orjson.Fragment(text)})

    return routes


def _describe(metric: SeriesMetric) -> dict[str, object]:
    parameters = (*metric.scope_parameters, *TIME_PARAMETERS)
    return {
        "name": metric.name,
        "title": metric.title,
        "unit": metric.unit,
        "summary": metric.summary,
        "parameters": [parameter.describe() for parameter in parameters],
    }
