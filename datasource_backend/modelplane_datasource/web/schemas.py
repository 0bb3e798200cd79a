"""JSON schemas of the answers that several routes give."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelplane_datasource.web.openapi import Content, NamedSchema, json_content

NUMBER: Mapping[str, Any] = {"type": ["number", "null"]}
TEXT: Mapping[str, Any] = {"type": "string"}
LABELS: Mapping[str, Any] = {"type": "object", "additionalProperties": TEXT}
EPOCH_MILLISECONDS = "epoch-milliseconds"
INSTANT: Mapping[str, Any] = {
    "type": "integer",
    "format": EPOCH_MILLISECONDS,
    "description": "Milliseconds since 1970.",
}
TOTAL: Mapping[str, Any] = {"type": "integer", "description": "How many there are on all pages."}
QUERY_TIME: Mapping[str, Any] = {"type": "string", "format": "date-time"}


def record(required: Mapping[str, Any], others: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """An object that has every key of ``required``; ``others`` is the schema of any other key, if allowed."""
    return {
        "type": "object",
        "required": list(required),
        "properties": dict(required),
        "additionalProperties": False if others is None else others,
    }


def array(items: Mapping[str, Any] | NamedSchema) -> dict[str, Any]:
    """A list."""
    return {"type": "array", "items": items}


WARNINGS: Mapping[str, Any] = {
    **array(TEXT),
    "description": "What the caller should know besides, such as that an answer of Prometheus is partial. A "
    "token that is limited to tenants reads what is about these, and no text of Prometheus.",
}


def with_warnings(schema: Mapping[str, Any]) -> dict[str, Any]:
    """An answer that has ``warnings`` when there are some for the caller."""
    return {**schema, "properties": {**schema["properties"], "warnings": WARNINGS}}


_POINT = record({"x": INSTANT, "y": NUMBER}, others=NUMBER)
_LINE = record({"name": TEXT, "type": {"const": "line"}, "labels": LABELS, "data": array(_POINT)})
_ROW = record(
    {"time": INSTANT, "series": TEXT, "value": NUMBER, "unit": TEXT},
    others={"type": ["string", "number", "null"]},
)

CONTRACT = NamedSchema("Series", with_warnings(record({"query_time": QUERY_TIME, "data": array(_LINE)})))
ROWS = NamedSchema("Rows", with_warnings(record({"rows": array(_ROW)})))


def ok(description: str, schema: NamedSchema | Mapping[str, Any]) -> dict[int, Content]:
    """The one answer of an operation that always gives JSON when it succeeds."""
    return {200: json_content(description, schema)}
