"""The OpenAPI document, made of what each route declares next to its code.

A view is decorated with ``described``; the document walks the rules of the application and reads the
declarations, so a route cannot be forgotten by being listed elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, TypeVar

from flask import Flask
from werkzeug.routing import Rule

from modelplane_datasource.web.authentication import OPEN_PATHS
from modelplane_datasource.web.parameters import MAX_REPEATS, JsonSchema, Parameter

View = TypeVar("View", bound=Callable[..., Any])

JSON = "application/json"
_ATTRIBUTE = "described_operations"
_UNDOCUMENTED_METHODS = {"HEAD", "OPTIONS"}

BAD_INPUT = (400,)
UPSTREAM = (422, 502, 503, 504)
STORE = (503,)
_EVERY_OPERATION = (500, 503)
_PROTECTED = (401, 403)
_REASONS = {
    400: "Bad input: details name the parameter and what is allowed.",
    401: "A valid token is needed.",
    403: "The token does not allow this.",
    404: "There is no such thing.",
    413: "The body is too large.",
    422: "The range, or the result, is too large, or versions do not compare.",
    500: "The server failed unexpectedly.",
    502: "Prometheus, or for silences Alertmanager, gave no usable answer.",
    503: "Prometheus, Alertmanager or the alert store is not available, or too many requests wait.",
    504: "Prometheus, or for silences Alertmanager, did not answer in time.",
}


@dataclass(frozen=True, slots=True)
class NamedSchema:
    """A JSON schema with a name of its own in the document; it may be part of another."""

    name: str
    schema: JsonSchema


@dataclass(frozen=True, slots=True)
class Content:
    """A body: what it is, and its schema by media type."""

    description: str
    media: Mapping[str, NamedSchema | JsonSchema]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of an answer, for clients that show tables; ``rows`` is the key of the list of them, and empty
    where the answer itself is the one row. ``units`` are those of columns, by name."""

    name: str
    title: str
    rows: str = "rows"
    units: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Operation:
    """What a view does; ``path`` gives the placeholders of its rule the values that this is about.

    A value in braces keeps the placeholder open; the parameter of that name is then part of the path.
    """

    summary: str
    answers: Mapping[int, Content]
    parameters: tuple[Parameter[Any], ...] = ()
    errors: tuple[int, ...] = ()
    body: Content | None = None
    body_required: bool = True
    path: Mapping[str, str] = field(default_factory=dict)
    tables: tuple[Table, ...] = ()


ERROR = NamedSchema(
    "Error",
    {
        "type": "object",
        "required": ["message", "error", "details"],
        "properties": {
            "message": {"type": "string", "description": "A sentence for people."},
            "error": {"type": "string", "pattern": "^[a-z_]+$", "description": "A word for machines."},
            "details": {"type": "object"},
            "warnings": {"type": "array", "items": {"type": "string"}},
        },
        "additionalProperties": False,
    },
)


def json_content(description: str, schema: NamedSchema | JsonSchema) -> Content:
    """A body of JSON."""
    return Content(description, {JSON: schema})


def described(*operations: Operation) -> Callable[[View], View]:
    """Declare what a view does: one operation, or one for each value of its rule's placeholders."""

    def mark(view: View) -> View:
        setattr(view, _ATTRIBUTE, operations)
        return view

    return mark


def operations_of(app: Flask, rule: Rule) -> tuple[Operation, ...]:
    """What the view behind a rule declares; none when it declares nothing."""
    operations: tuple[Operation, ...] = getattr(app.view_functions[rule.endpoint], _ATTRIBUTE, ())
    return operations


def openapi_document(app: Flask, protected: bool) -> dict[str, Any]:
    """The OpenAPI 3.1 document of ``app``; ``protected``: tokens are needed.

    ValueError when two schemas have one name, or two operations one path and method.
    """
    schemas: dict[str, JsonSchema] = {}
    paths: dict[str, dict[str, Any]] = {}
    for rule in sorted(app.url_map.iter_rules(), key=lambda rule: rule.rule):
        for path, method, operation in _calls(app, rule):
            needs_token = protected and path not in OPEN_PATHS
            methods = paths.setdefault(path, {})
            if method in methods:
                raise ValueError(f"{method} {path} is described twice")
            described_as = _operation(operation, path, schemas, needs_token)
            methods[method] = {
                "tags": [rule.endpoint.partition(".")[0]],
                "operationId": _operation_id(method, path),
                **described_as,
            }
    security = {"bearer": {"type": "http", "scheme": "bearer"}} if protected else {}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "modelplane",
            "summary": "Series of AI models for Grafana and for any chart library.",
            "version": version("modelplane"),
        },
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": security},
    }


def _calls(app: Flask, rule: Rule) -> Iterator[tuple[str, str, Operation]]:
    """Path, method and operation of all that a rule serves."""
    for operation in operations_of(app, rule):
        path = rule.rule
        for name, value in operation.path.items():
            path = path.replace(f"<{name}>", value)
        for method in sorted((rule.methods or set()) - _UNDOCUMENTED_METHODS):
            yield path, method.lower(), operation


def _operation(
    operation: Operation, path: str, schemas: dict[str, JsonSchema], needs_token: bool
) -> dict[str, Any]:
    errors = {*operation.errors, *_EVERY_OPERATION, *(_PROTECTED if needs_token else ())}
    if operation.body is not None:
        errors.add(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    failures = {int(status): json_content(_REASONS[status], ERROR) for status in errors}
    described_as: dict[str, Any] = {
        "summary": operation.summary,
        "parameters": [_parameter(parameter, path) for parameter in operation.parameters],
        "responses": {
            str(status): _content(content, schemas)
            for status, content in sorted({**failures, **operation.answers}.items())
        },
    }
    if operation.body is not None:
        body = _content(operation.body, schemas)
        described_as["requestBody"] = {"required": operation.body_required, **body}
    if needs_token:
        described_as["security"] = [{"bearer": []}]
    return described_as


def _parameter(parameter: Parameter[Any], path: str) -> dict[str, Any]:
    schema = parameter.schema
    if parameter.repeated:
        of_one = [schema.pop("default")] if "default" in schema else []
        default = {"default": of_one or [*parameter.defaults]} if parameter.defaults else {}
        schema = {"type": "array", "items": schema, "minItems": 1, "maxItems": MAX_REPEATS, **default}
    return {
        "name": parameter.name,
        "in": "path" if f"{{{parameter.name}}}" in path else "query",
        "description": f"{parameter.summary} Allowed: {parameter.allowed}.",
        "required": parameter.required,
        "schema": schema,
    }


def _content(content: Content, schemas: dict[str, JsonSchema]) -> dict[str, Any]:
    media = {name: {"schema": _schema(schema, schemas)} for name, schema in content.media.items()}
    return {"description": content.description, "content": media}


def _schema(schema: Any, schemas: dict[str, JsonSchema]) -> Any:
    """A schema, or any part of one, with references to those that have names."""
    if isinstance(schema, Mapping):
        return {key: _schema(value, schemas) for key, value in schema.items()}
    if isinstance(schema, list | tuple):
        return [_schema(value, schemas) for value in schema]
    if not isinstance(schema, NamedSchema):
        return schema
    named = _schema(schema.schema, schemas)
    if schemas.setdefault(schema.name, named) != named:
        raise ValueError(f"two schemas are named {schema.name}")
    return {"$ref": f"#/components/schemas/{schema.name}"}


def _operation_id(method: str, path: str) -> str:
    """A name for code: generators drop a slash at the end, which tells two routes apart."""
    return re.sub(r"\W+", "_", method + path).rstrip("_") + ("_slash" if path.endswith("/") else "")
