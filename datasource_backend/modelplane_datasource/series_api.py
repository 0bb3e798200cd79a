"""Routes of series: the catalogue, the {x, y} contract and flat rows."""

from __future__ import annotations

from flask import Blueprint, Response, request

from modelplane_datasource.catalogue import SERIES_METRICS, SeriesMetric, answer, find_metric
from modelplane_datasource.parameters import Values, check_known
from modelplane_datasource.plane import Plane
from modelplane_datasource.responses import json_response
from modelplane_datasource.series import Answer, as_contract, as_rows
from modelplane_datasource.series_request import TIME_PARAMETERS, read_request


def series_blueprint(plane: Plane) -> Blueprint:
    """``/api/v1/metrics``, ``/api/v1/metrics/<metric>`` and ``/api/v1/rows/<metric>``."""
    routes = Blueprint("series", __name__, url_prefix="/api/v1")

    @routes.get("/metrics")
    def catalogue() -> Response:
        check_known(query_values(), ())
        return json_response({"metrics": [_describe(metric) for metric in SERIES_METRICS]})

    @routes.get("/metrics/<metric>")
    def contract(metric: str) -> Response:
        now = plane.now()
        return json_response(as_contract(_answer(plane, metric, now), now))

    @routes.get("/rows/<metric>")
    def rows(metric: str) -> Response:
        return json_response(as_rows(_answer(plane, metric, plane.now())))

    return routes


def query_values() -> Values:
    """The parameters of the query string, each with all its values."""
    return request.args.to_dict(flat=False)


def _answer(plane: Plane, name: str, now: int) -> Answer:
    asked = read_request(find_metric(name), query_values(), now, plane.scrape_interval)
    return answer(plane, asked.metric, asked.scope, asked.grid)


def _describe(metric: SeriesMetric) -> dict[str, object]:
    parameters = (*metric.scope_parameters, *TIME_PARAMETERS)
    return {
        "name": metric.name,
        "title": metric.title,
        "unit": metric.unit,
        "summary": metric.summary,
        "parameters": [parameter.describe() for parameter in parameters],
    }
