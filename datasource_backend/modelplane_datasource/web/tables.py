"""The catalogue of tables, made of what each route declares: answers that have rows, and their columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from flask import Flask

from modelplane_datasource.web.openapi import JSON, NamedSchema, Operation, Table, operations_of
from modelplane_datasource.web.parameters import JsonSchema
from modelplane_datasource.web.schemas import EPOCH_MILLISECONDS

API = "/api/v1/"
COLUMN_TYPES = ("text", "number", "time", "boolean", "list", "labels")


def described_tables(app: Flask) -> list[dict[str, Any]]:
    """Every table below ``API``, by its title: path, key of the rows, columns in order, and parameters.

    A row may have more columns than are listed: those of labels, which are texts.
    """
    tables = [
        {
            "name": table.name,
            "title": table.title,
            "summary": operation.summary,
            "path": rule.removeprefix(API),
            "rows": table.rows,
            "columns": [*_columns(operation, table)],
            "parameters": [parameter.describe() for parameter in operation.parameters],
        }
        for rule, operation in _operations(app)
        for table in operation.tables
    ]
    return sorted(tables, key=lambda table: str(table["title"]))


def _operations(app: Flask) -> Iterator[tuple[str, Operation]]:
    for rule in app.url_map.iter_rules():
        if rule.rule.startswith(API):
            yield from ((rule.rule, operation) for operation in operations_of(app, rule))


def _columns(operation: Operation, table: Table) -> Iterator[dict[str, Any]]:
    properties = _schema(operation.answers[200].media[JSON])["properties"]
    if table.rows:
        columns = _schema(properties[table.rows]["items"])["properties"]
    else:
        columns = {name: schema for name, schema in properties.items() if not _is_beside(name, schema)}
    for name, schema in columns.items():
        yield {"name": name, "type": column_type(schema), "unit": table.units.get(name)}


def _is_beside(name: str, schema: JsonSchema) -> bool:
    """Whether a key of an answer that is one row is no column: warnings, or rows of another table."""
    return name == "warnings" or "properties" in _schema(schema.get("items", {}))


def _schema(schema: NamedSchema | JsonSchema) -> JsonSchema:
    return schema.schema if isinstance(schema, NamedSchema) else schema


def column_type(schema: Mapping[str, Any]) -> str:
    """Which of ``COLUMN_TYPES`` a value of that schema is."""
    if schema.get("format") == EPOCH_MILLISECONDS:
        return "time"
    allowed = schema.get("type", "string")
    types = {allowed} if isinstance(allowed, str) else set(allowed)
    if types & {"number", "integer"}:
        return "number"
    of_type = {"boolean": "boolean", "array": "list", "object": "labels"}
    return next((name for type_, name in of_type.items() if type_ in types), "text")
