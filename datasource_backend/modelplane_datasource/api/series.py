"""Routes of series: the catalogue, the {x, y} contract and flat rows."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import orjson
from flask import Blueprint, Response

from modelplane_datasource.catalogue import SERIES_METRICS, find_metric
from modelplane_datasource.context import AppContext
from modelplane_datasource.series.computation import compute_series
from modelplane_datasource.series.encoding import as_contract, as_rows
from modelplane_datasource.series.metric import SeriesMetric
from modelplane_datasource.series.model import SeriesResult
from modelplane_datasource.series.request import TIME_PARAMETERS, read_request
from modelplane_datasource.timeline.times import format_rfc3339
from modelplane_datasource.web.openapi import BAD_INPUT, UPSTREAM, NamedSchema, Operation, described
from modelplane_datasource.web.parameters import check_names
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
CATALOGUE = NamedSchema("Catalogue", record({"metrics": array(METRIC)}))


def _operations(schema: NamedSchema) -> tuple[Operation, ...]:
    """One operation for each metric."""
    return tuple(
        Operation(
            metric.summary,
            ok(f"{metric.title}, in {metric.unit}.", schema),
            (*metric.parameters, *TIME_PARAMETERS),
            (*BAD_INPUT, 404, *UPSTREAM),
            path={"metric": metric.name},
        )
        for metric in SERIES_METRICS
    )


def series_blueprint(context: AppContext) -> Blueprint:
    """``/api/v1/metrics``, ``/api/v1/metrics/<metric>`` and ``/api/v1/rows/<metric>``."""
    routes = Blueprint("series", __name__, url_prefix="/api/v1")

    @routes.get("/metrics")
    @described(Operation("Metrics and their parameters.", ok("The catalogue.", CATALOGUE), errors=BAD_INPUT))
    def catalogue() -> Response:
        check_names(query_values(), ())
        return json_response({"metrics": [_describe(metric) for metric in SERIES_METRICS]})

    @routes.get("/metrics/<metric>")
    @described(*_operations(CONTRACT))
    def contract(metric: str) -> Response:
        now = context.now()
        data = _encoded(find_metric(metric), now, "data", as_contract)
        return json_response({"query_time": format_rfc3339(now), "data": data})

    @routes.get("/rows/<metric>")
    @described(*_operations(ROWS))
    def rows(metric: str) -> Response:
        of_name = find_metric(metric)
        encode = partial(as_rows, unit=of_name.unit)
        return json_response({"rows": _encoded(of_name, context.now(), "rows", encode)})

    def _encoded(
        of_name: SeriesMetric, now: int, encoding: str, encode: Callable[[SeriesResult], object]
    ) -> orjson.Fragment:
        """The series of a metric as JSON, cached for a step under the name of their ``encoding``."""
        metric, selection, grid = read_request(of_name, query_values(), now, context.scrape_interval)
        key = (metric.name, selection.key, grid, encoding)
        body = context.cached_body(
            key,
            grid.step / 1000,
            lambda: orjson.dumps(encode(compute_series(context, metric, selection, grid))),
        )
        return orjson.Fragment(body)

    return routes


def _describe(metric: SeriesMetric) -> dict[str, object]:
    parameters = (*metric.parameters, *TIME_PARAMETERS)
    return {
        "name": metric.name,
        "title": metric.title,
        "unit": metric.unit,
        "summary": metric.summary,
        "parameters": [parameter.describe() for parameter in parameters],
    }
