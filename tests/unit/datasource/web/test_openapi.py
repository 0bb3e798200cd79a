"""``/openapi.json`` is valid, names every route, and says what the routes really take and give."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from datasource_support.fake_prometheus import FakePrometheus, matrix_reply
from modelplane_datasource.catalogue import SERIES_METRICS
from modelplane_datasource.settings import Settings
from modelplane_datasource.tenancy.tokens import hash_token
from modelplane_datasource.web.openapi import (
    NamedSchema,
    Operation,
    described,
    json_content,
    openapi_document,
    operations_of,
)
from modelplane_datasource.web.parameters import Parameter, choice, label_text, open_ratio, whole_number

NOW = 1_698_400_800
WHO = {"model-name": "resnet50", "tenant-id": "user-A"}


@pytest.fixture
def document(client: FlaskClient) -> dict[str, Any]:
    response = client.get("/openapi.json")
    assert response.content_type == "application/json"
    return dict(response.get_json())


def all_parameters(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for methods in document["paths"].values():
        for operation in methods.values():
            yield from operation["parameters"]


def validator(document: dict[str, Any], shape: str) -> Draft202012Validator:
    return Draft202012Validator(document["components"]["schemas"][shape])


@pytest.mark.slow
def test_the_document_is_valid_openapi(document: dict[str, Any]) -> None:
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []
    identifiers = [call["operationId"] for path in document["paths"].values() for call in path.values()]
    # Generators of clients make names of functions and files of them.
    names = {re.sub("_+", "_", identifier).strip("_").lower() for identifier in identifiers}
    assert len(names) == len(identifiers)
    assert all(re.fullmatch(r"[a-z][A-Za-z0-9_]*[A-Za-z0-9]", identifier) for identifier in identifiers)


def objects_in(schema: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Each schema of an object without a name of its own, and its place in the one that has."""
    if isinstance(schema, dict):
        if schema.get("type") == "object":
            yield place, schema
        for key, value in schema.items():
            yield from objects_in(value, f"{place}/{key}")
    elif isinstance(schema, list):
        for number, value in enumerate(schema):
            yield from objects_in(value, f"{place}/{number}")


def test_alternatives_have_names(document: dict[str, Any]) -> None:
    """openapi-python-client makes a class of each object, and names the parts of alternatives twice alike."""
    for name, schema in document["components"]["schemas"].items():
        assert [place for place, _ in objects_in(schema) if "/anyOf/" in place] == [], name
    assert "GrafanaFrame" in document["components"]["schemas"]
    answered = document["paths"]["/grafana/query"]["post"]["responses"]["200"]["content"]
    assert answered["application/json"]["schema"] == {"$ref": "#/components/schemas/GrafanaElements"}


def test_schemas_that_are_parts_of_others_are_components() -> None:
    point = NamedSchema("Point", {"type": "object"})
    line = NamedSchema("Line", {"type": "array", "items": {"anyOf": [point, {"type": "null"}]}})
    document = build(Operation("It.", {200: json_content("It.", line)}, path={"kind": "a"}))
    assert document["components"]["schemas"]["Line"] == {
        "type": "array", "items": {"anyOf": [{"$ref": "#/components/schemas/Point"}, {"type": "null"}]},
    }  # fmt: skip
    assert document["components"]["schemas"]["Point"] == {"type": "object"}


def test_every_rule_of_the_application_is_described(client: FlaskClient, document: dict[str, Any]) -> None:
    app = client.application
    assert [rule.rule for rule in app.url_map.iter_rules() if not operations_of(app, rule)] == []
    calls = {(method, operation) for operation, methods in document["paths"].items() for method in methods}
    for rule in app.url_map.iter_rules():
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            path = (
                rule.rule.replace("<metric>", "latency")
                .replace("<name>", "tenant_id")
                .replace("<id>", "{id}")
            )
            assert (method.lower(), path) in calls


@pytest.mark.slow
@pytest.mark.parametrize("metric", SERIES_METRICS, ids=lambda metric: metric.name)
def test_every_metric_has_its_own_parameters(document: dict[str, Any], metric: Any) -> None:
    for path, shape in (("metrics", "Series"), ("rows", "Rows")):
        operation = document["paths"][f"/api/v1/{path}/{metric.name}"]["get"]
        names = [parameter["name"] for parameter in operation["parameters"]]
        scope = [parameter.name for parameter in metric.parameters]
        assert names == [*scope, "from", "to", "step", "maxDataPoints"]
        schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
        assert schema == {"$ref": f"#/components/schemas/{shape}"}
        assert {"400", "422", "502", "503", "504"} <= set(operation["responses"])


def test_defaults_and_examples_are_what_their_schema_allows(document: dict[str, Any]) -> None:
    checked = 0
    for parameter in all_parameters(document):
        schema = parameter["schema"]
        values = [schema["default"]] if "default" in schema else []
        items = schema.get("items", schema)
        for value in values:
            Draft202012Validator(schema).validate(value)
        for example in items.get("examples", ()):
            Draft202012Validator(items).validate(example)
            checked += 1
    assert checked > 10


def test_a_default_has_the_type_of_its_parameter(document: dict[str, Any]) -> None:
    latency = document["paths"]["/api/v1/metrics/latency"]["get"]["parameters"]
    schemas = {parameter["name"]: parameter["schema"] for parameter in latency}
    assert schemas["quantile"] == {
        "type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1, "default": 0.95,
    }  # fmt: skip
    assert schemas["maxDataPoints"] == {
        "type": "integer", "minimum": 1, "maximum": 11000, "default": 500,
    }  # fmt: skip
    assert schemas["from"]["default"] == "now-1h"
    assert schemas["model-name"] == {
        "type": "array", "minItems": 1, "maxItems": 1000,
        "items": {"type": "string", "minLength": 1, "maxLength": 1024},
    }  # fmt: skip


def float_of_no_json(text: str) -> float:
    """JSON has no NaN and no Infinity, which Python reads all the same."""
    raise ValueError(text)


@pytest.mark.slow
@pytest.mark.parametrize("parse", [choice("a", "b"), label_text, open_ratio, whole_number(2, 30)])
@given(text=st.one_of(st.sampled_from(["a", "b", "0.5", "2", "30", "31", "0", "1", "x" * 1024]), st.text()))
def test_a_parser_takes_what_its_schema_allows_and_nothing_else(parse: Any, text: str) -> None:
    is_number = parse.schema["type"] != "string"
    try:
        value = json.loads(text, parse_constant=float_of_no_json) if is_number else text
    except ValueError:
        value = text
    # JSON has spellings of a number, such as 2.0 for an integer, that need not be taken.
    if isinstance(value, float) and parse.schema["type"] == "integer":
        return
    if is_number and text.strip() != text:
        return
    allowed = Draft202012Validator(parse.schema).is_valid(value)
    try:
        parse(text)
    except ValueError:
        assert not allowed
    else:
        assert allowed or is_number


def test_answers_and_errors_are_as_described(
    upstream: FakePrometheus, client: FlaskClient, document: dict[str, Any]
) -> None:
    labels = {"model_name": "resnet50", "model_version": "v1", "tenant_id": "user-A"}
    upstream.reply = lambda *_: matrix_reply((labels, [(NOW, "1")]), warnings=["partial"])
    for path, shape in (
        ("/api/v1/metrics/latency", "Series"),
        ("/api/v1/rows/latency", "Rows"),
        ("/api/v1/metrics", "Catalogue"),
        ("/api/v1/alerts", "Alerts"),
    ):
        query = WHO if "latency" in path else {}
        validator(document, shape).validate(client.get(path, query_string=query).json)
    for path in ("/api/v1/metrics/latency?step=0", "/api/v1/nothing", "/api/v1/metrics/nothing"):
        validator(document, "Error").validate(client.get(path).json)


def test_a_wrong_answer_would_not_pass(document: dict[str, Any]) -> None:
    series = {"name": "a", "type": "line", "labels": {}, "data": [{"x": 1, "y": None}]}
    good = {"query_time": "2023-10-27T10:00:00Z", "data": [series]}
    contract = validator(document, "Series")
    assert contract.is_valid(good)
    for bad in (
        {"data": [series]},
        {**good, "extra": 1},
        {**good, "data": [{**series, "labels": {"a": 1}}]},
        {**good, "data": [{**series, "data": [{"x": "1", "y": 1}]}]},
        {**good, "data": [{**series, "data": [{"x": 1, "y": "1"}]}]},
    ):
        assert not contract.is_valid(bad)


@pytest.mark.slow
def test_tokens_are_described_where_they_are_needed(
    settings: Settings, make_client: Callable[[Settings], FlaskClient], tmp_path: Path
) -> None:
    path = tmp_path / "tokens.json"
    token = {"name": "grafana", "role": "admin", "sha256": hash_token("secret")}
    path.write_text(json.dumps({"tokens": [token]}))
    client = make_client(dataclasses.replace(settings, token_file=path))
    document = client.get("/openapi.json", headers={"Authorization": "Bearer secret"}).json
    assert document is not None
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []
    for name, methods in document["paths"].items():
        for operation in methods.values():
            is_open = name in ("/healthz", "/readyz", "/runbooks")
            assert operation.get("security", []) == ([] if is_open else [{"bearer": []}])
            assert ({"401", "403"} <= set(operation["responses"])) is not is_open


def build(*operations: Operation) -> dict[str, Any]:
    app = Flask(__name__, static_folder=None)

    @app.get("/things/<kind>")
    @described(*operations)
    def things(kind: str) -> str:
        return kind

    return openapi_document(app, protected=False)


def test_one_operation_for_each_value_of_a_placeholder() -> None:
    limit = Parameter("limit", "How many.", "1 to 5", whole_number(1, 5), repeated=True, default="3")
    shape = NamedSchema("Thing", {"type": "string"})
    document = build(
        *(
            Operation(kind, {200: json_content("It.", shape)}, (limit,), (404,), path={"kind": kind})
            for kind in ("a", "b")
        )
    )
    assert list(document["paths"]) == ["/things/a", "/things/b"]
    operation = document["paths"]["/things/b"]["get"]
    assert operation["operationId"] == "get_things_b"
    assert operation["parameters"][0]["schema"] == {
        "type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 5},
        "minItems": 1, "maxItems": 1000, "default": [3],
    }  # fmt: skip
    assert list(operation["responses"]) == ["200", "404", "500", "503"]
    assert set(document["components"]["schemas"]) == {"Thing", "Error"}


def test_two_meanings_of_one_name_are_refused() -> None:
    first, second = (
        Operation(
            "It.", {200: json_content("It.", NamedSchema("Thing", {"type": kind}))}, path={"kind": kind}
        )
        for kind in ("string", "number")
    )
    with pytest.raises(ValueError, match="two schemas are named Thing"):
        build(first, second)
    with pytest.raises(ValueError, match="get /things/string is described twice"):
        build(first, first)
