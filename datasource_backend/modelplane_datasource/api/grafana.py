"""Routes of Grafana's JSON datasource: the simpod plugin, and simple-json before it.

What a client can rely on:

- A target asks for a metric of the catalogue, or for a source of annotations, by name. Its payload has
  the parameters of the API and ``format``: ``timeserie`` (default), ``table`` or ``frame``. A target of
  ``"type": "table"`` means the same as ``"format": "table"``. Hidden targets are skipped.
- ``maxDataPoints`` may be any number from 1 on; above 11000 it counts as 11000, because Prometheus gives
  no more, and without it there are at most 500 points. 0, negative numbers and anything else are 400.
- A rate covers at least the step between two points, so that no spike falls between them.
- ``filters`` and ``adhocFilters`` narrow every target: see ``grafana_filters``. Those that are unknown or
  ordered (``<``, ``>``) are 400, because a filter that is ignored shows wrong data.
- A target may have its parameters in its text, for plugins without payloads:
  ``latency model=resnet50 tenant=user-A quantile=0.5``.
- Times are instants: ``timezone`` and ``scopedVars`` change nothing.
- Annotations come from the targets of ``annotations.SOURCES``, such as ``alerts``; the older
  ``/annotations`` takes them as text, for example ``alerts model=resnet50 status=firing``.
  ``/api/v1/annotations`` has them as rows.
- Variables are ``tenants``, ``models``, ``versions model=resnet50``, ``kinds`` and
  ``signals model=resnet50 kind=input``; in the older ``/search`` any other text lists the metrics.
- What the caller may read of what was noted is a notice on the panel, and in every answer the header
  ``X-Warnings``, a JSON list of texts: menus and the older annotations have no other place for it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import orjson
from flask import Blueprint, Response, request

from modelplane_datasource.catalogue import SERIES_METRICS
from modelplane_datasource.context import AppContext
from modelplane_datasource.errors import invalid
from modelplane_datasource.grafana import schemas
from modelplane_datasource.grafana.annotations import SOURCES, as_list, find
from modelplane_datasource.grafana.filters import FILTER_KEYS, read_filters
from modelplane_datasource.grafana.formats import with_notices
from modelplane_datasource.grafana.menus import (
    VARIABLES,
    find_source,
    metric_list,
    payload_options,
    tag_values,
    variable_values,
)
from modelplane_datasource.grafana.payloads import long_names, payload_values, text_query
from modelplane_datasource.grafana.requests import (
    json_object,
    menu_range,
    object_or_empty,
    read_grid,
    read_range,
    visible_targets,
)
from modelplane_datasource.grafana.targets import QueryRequest, query_target
from modelplane_datasource.tenancy.notices import noted_for_caller
from modelplane_datasource.web.authentication import GRAFANA_PATH
from modelplane_datasource.web.openapi import described
from modelplane_datasource.web.responses import json_response

WARNINGS_HEADER = "X-Warnings"
MAX_WARNINGS, MAX_WARNING = 10, 200  # proxies refuse headers of more than a few kilobytes


def grafana_blueprint(context: AppContext) -> Blueprint:
    """``/grafana``: health, metrics, queries, annotations, variables and ad hoc filters."""
    routes = Blueprint("grafana", __name__, url_prefix=GRAFANA_PATH)
    _add_queries(routes, context)
    _add_menus(routes, context)
    routes.after_request(_with_warnings)
    return routes


def _add_queries(routes: Blueprint, context: AppContext) -> None:
    @routes.get("")
    @routes.get("/")
    @described(schemas.HEALTH)
    def health() -> Response:
        return json_response({"status": "ok"})

    @routes.post("/query")
    @described(schemas.QUERY)
    def query() -> Response:
        body = json_object(request.get_data())
        targets, filters = visible_targets(body), read_filters(body)
        if not targets:
            return json_response([])
        query_request = QueryRequest(read_range(body), read_grid(body, context.scrape_interval), filters)
        elements = [element for target in targets for element in query_target(context, target, query_request)]
        elements_with_notices = with_notices(elements, noted_for_caller(), str(targets[0].get("refId", "")))
        return json_response([*map(orjson.Fragment, elements_with_notices)])

    @routes.post("/annotations")
    @described(schemas.ANNOTATIONS)
    def annotations() -> Response:
        body = json_object(request.get_data())
        definition = body.get("annotation")
        if not isinstance(definition, dict) or not isinstance(definition.get("query"), str):
            raise invalid("annotation", "has no query", "an object whose query is a text")
        name, values = text_query(definition["query"])
        if name not in SOURCES:
            raise invalid("annotation.query", f"asks for {name[:100]!r}", ", ".join(SOURCES))
        filters, time_range = read_filters(body), read_range(body)
        return json_response(as_list(find(context, SOURCES[name], values, filters, time_range), definition))


def _add_menus(routes: Blueprint, context: AppContext) -> None:
    @routes.post("/metrics")
    @described(schemas.METRICS)
    def metrics() -> Response:
        return json_response(metric_list())

    @routes.post("/metric-payload-options")
    @described(schemas.OPTIONS)
    def options() -> Response:
        body = json_object(request.get_data())
        source = find_source(body.get("metric"))
        time_range = menu_range(body, "range", context.now())
        choices = payload_options(context, source, body.get("name"), body.get("payload"), time_range)
        return json_response([{"label": value, "value": value} for value in choices])

    @routes.post("/variable")
    @described(schemas.VARIABLE)
    def variable() -> Response:
        body = json_object(request.get_data())
        variables = _variable(context, body, body.get("payload"))
        return json_response([{"__text": value, "__value": value} for value in variables])

    @routes.post("/search")
    @described(schemas.SEARCH)
    def search() -> Response:
        body = object_or_empty(request.get_data())
        target = body.get("target")
        if isinstance(target, str) and target.split(" ", 1)[0] in VARIABLES:
            return json_response(_variable(context, body, {"target": target}))
        return json_response([metric.name for metric in SERIES_METRICS])

    @routes.post("/tag-keys")
    @described(schemas.TAG_KEYS)
    def keys() -> Response:
        return json_response([{"type": "string", "text": key} for key in FILTER_KEYS])

    @routes.post("/tag-values")
    @described(schemas.TAG_VALUES)
    def values() -> Response:
        body = json_object(request.get_data())
        key = body.get("key")
        if key not in FILTER_KEYS:
            return json_response([])
        filters, time_range = read_filters(body), menu_range(body, "timeRange", context.now())
        return json_response([{"text": value} for value in tag_values(context, key, filters, time_range)])


def _with_warnings(response: Response) -> Response:
    warnings = [text[:MAX_WARNING] for text in noted_for_caller()[:MAX_WARNINGS]]
    if warnings:
        response.headers[WARNINGS_HEADER] = json.dumps(warnings)
    return response


def _variable(context: AppContext, body: dict[str, Any], payload: object) -> Iterable[str]:
    """The values of a payload whose ``target`` is text; its other keys are parameters, too.

    Text has dashboard variables as regular expressions; a payload with more keys has them as JSON.
    """
    if not isinstance(payload, dict):
        raise invalid("payload", "is not an object", "an object with a target")
    rest = dict(payload)
    target = rest.pop("target", "")
    if not isinstance(target, str):
        raise invalid("payload.target", "is not a text", ", ".join(VARIABLES))
    if not target.strip():
        return ()
    name, values = text_query(target)
    values = {**values, **long_names(payload_values(rest, literal=True))}
    return variable_values(context, name, values, menu_range(body, "range", context.now()))
