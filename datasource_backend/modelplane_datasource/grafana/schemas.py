"""What the routes of Grafana's JSON datasource take and give, for the OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelplane_datasource.grafana.filters import FILTER_KEYS
from modelplane_datasource.web.openapi import (
    BAD_INPUT,
    STORE,
    UPSTREAM,
    Content,
    NamedSchema,
    Operation,
    json_content,
)
from modelplane_datasource.web.schemas import INSTANT, NUMBER, TEXT, array, ok, record

_ANY: Mapping[str, Any] = {}
_OBJECT: Mapping[str, Any] = {"type": "object"}
_RANGE = {
    "type": "object",
    "required": ["from", "to"],
    "properties": {
        "from": {"type": "string", "format": "date-time"},
        "to": {"type": "string", "format": "date-time"},
    },
}
_FILTERS = {
    "type": ["array", "null"],
    "items": {
        "type": "object",
        "required": ["key", "operator"],
        "properties": {"key": {"enum": list(FILTER_KEYS)}, "operator": TEXT, "value": TEXT},
    },
}
_TARGET = {
    "type": "object",
    "properties": {"refId": TEXT, "target": TEXT, "payload": {"type": ["object", "null"]}},
}


def _body(description: str, required: Mapping[str, Any], **others: Mapping[str, Any]) -> Content:
    """An object with these keys; Grafana sends many more."""
    properties = {**required, **others}
    schema = {"type": "object", "required": list(required), "properties": properties}
    return json_content(description, schema)


_SERIES = NamedSchema(
    "GrafanaSeries",
    record(
        {"target": TEXT, "refId": TEXT, "datapoints": array({**array(NUMBER), "minItems": 2, "maxItems": 2})},
        others=_ANY,
    ),
)
_COLUMN = NamedSchema("GrafanaColumn", record({"text": TEXT, "type": TEXT}, others=_ANY))
_FIELD = NamedSchema("GrafanaField", record({"name": TEXT}, others=_ANY))
_TABLE = NamedSchema(
    "GrafanaTable",
    record(
        {"type": {"const": "table"}, "refId": TEXT, "columns": array(_COLUMN), "rows": array(array(_ANY))},
        others=_ANY,
    ),
)
_FRAME = NamedSchema("GrafanaFrame", record({"refId": TEXT, "fields": array(_FIELD)}, others=_ANY))
_ELEMENTS = NamedSchema("GrafanaElements", array({"anyOf": [_SERIES, _TABLE, _FRAME]}))
_OPTION = record({"label": TEXT, "value": TEXT})
_METRIC = record({"value": TEXT, "label": TEXT, "payloads": array(_OBJECT)})
_ANNOTATION = record(
    {"annotation": _OBJECT, "time": INSTANT, "title": TEXT, "text": TEXT, "tags": array(TEXT)}, others=_ANY
)

_ERRORS = (*BAD_INPUT, 404, *UPSTREAM)

_REACHABLE = NamedSchema("GrafanaHealth", record({"status": {"const": "ok"}}))
HEALTH = Operation("Health of the datasource.", ok("It is reachable.", _REACHABLE))
QUERY = Operation(
    "Targets as series, tables, frames or annotations.",
    ok("One or more elements for each target that is not hidden.", _ELEMENTS),
    errors=(*_ERRORS, *STORE),
    body=_body("A panel's query.", {"targets": array(_TARGET), "range": _RANGE}, filters=_FILTERS),
)
ANNOTATIONS = Operation(
    "Annotations, as the older datasource requests them.",
    ok("The annotations in the range.", array(_ANNOTATION)),
    errors=(*_ERRORS, *STORE),
    body=_body(
        "The definition of the annotations.",
        {"annotation": record({"query": TEXT}, others=_ANY), "range": _RANGE},
    ),
)
METRICS = Operation("Names that a target can have.", ok("The metrics.", array(_METRIC)))
OPTIONS = Operation(
    "Values of a parameter of a target.",
    ok("The values.", array(_OPTION)),
    errors=_ERRORS,
    body=_body("The parameter.", {"metric": TEXT, "name": TEXT}, payload={"type": ["object", "null"]}),
)
VARIABLE = Operation(
    "Values of a dashboard variable.",
    ok("The values.", array(record({"__text": TEXT, "__value": TEXT}))),
    errors=_ERRORS,
    body=_body("What the variable stands for.", {"payload": _OBJECT}),
)
SEARCH = Operation(
    "Names of metrics or values of a variable, as the older datasource requests them.",
    ok("The names or values.", array(TEXT)),
    errors=_ERRORS,
    body=_body("What to list.", {}, target=_ANY),
    body_required=False,
)
TAG_KEYS = Operation(
    "Labels that ad hoc filters can have.",
    ok("The labels.", array(record({"type": {"const": "string"}, "text": TEXT}))),
)
TAG_VALUES = Operation(
    "Values of a label for an ad hoc filter.",
    ok("The values.", array(record({"text": TEXT}))),
    errors=_ERRORS,
    body=_body("The label, and the filters that are set.", {}, key=_ANY, filters=_ANY),
)
