"""What clients ask before anything else: tables, annotations, menus and who they are."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from datasource_support.fake_prometheus import FakePrometheus
from datasource_support.fixed_prometheus import NEW, REGISTRY, STRANGE, FixedPrometheus
from modelplane_datasource.settings import Settings
from modelplane_datasource.tenancy.tokens import hash_token
from modelplane_datasource.web.openapi import operations_of

ADMIN, TENANT = "admin-token", "tenant-token"
TOKENS = [
    {"name": "operator", "role": "admin", "sha256": hash_token(ADMIN)},
    {"name": "a", "role": "tenant", "tenants": ["user-A"], "sha256": hash_token(TENANT)},
]


@pytest.fixture
def plane(
    upstream: FakePrometheus,
    settings: Settings,
    make_client: Callable[[Settings], FlaskClient],
    tmp_path: Path,
) -> FlaskClient:
    upstream.reply = FixedPrometheus()
    (tmp_path / "modelplane.yaml").write_text(REGISTRY)
    (tmp_path / "tokens.json").write_text(json.dumps({"tokens": TOKENS}))
    files: dict[str, Any] = {
        "registry_file": tmp_path / "modelplane.yaml",
        "token_file": tmp_path / "tokens.json",
    }
    return make_client(dataclasses.replace(settings, **files))


def answer(client: FlaskClient, path: str, token: str = ADMIN) -> Any:
    response = client.get(f"/api/v1/{path}", headers={"Authorization": f"Bearer {token}"})
    assert response.status_code == 200, response.text
    return response.json


def test_every_route_of_rows_is_a_table(plane: FlaskClient) -> None:
    tables = answer(plane, "tables")["tables"]
    document = plane.get("/openapi.json", headers={"Authorization": f"Bearer {ADMIN}"}).json
    assert document is not None
    assert len({table["name"] for table in tables}) == len(tables)
    for table in tables:
        route = document["paths"][f"/api/v1/{table['path']}"]["get"]
        assert [parameter["name"] for parameter in table["parameters"]] == [
            parameter["name"] for parameter in route["parameters"]
        ]
    with_rows = {
        path.removeprefix("/api/v1/")
        for path, methods in document["paths"].items()
        if "get" in methods and has_rows(document, methods["get"]) and path.startswith("/api/v1/")
    }
    others = {path for path in with_rows if path.startswith(("rows/", "annotations/"))}
    assert with_rows - others <= {table["path"] for table in tables}


def has_rows(document: dict[str, Any], operation: dict[str, Any]) -> bool:
    content = operation["responses"].get("200", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema", {})
    reference = schema.get("$ref", "").rpartition("/")[2]
    schema = document["components"]["schemas"].get(reference, schema)
    return "rows" in schema.get("properties", {})


def test_a_table_names_its_columns_in_order_with_types_and_units(plane: FlaskClient) -> None:
    tables = {table["name"]: table for table in answer(plane, "tables")["tables"]}
    columns = {
        name: {column["name"]: (column["type"], column["unit"]) for column in table["columns"]}
        for name, table in tables.items()
    }
    assert list(columns["slo_states"].items()) == [
        ("model_name", ("text", None)), ("model_version", ("text", None)), ("tenant_id", ("text", None)),
        ("slo", ("text", None)), ("window", ("text", None)), ("objective", ("number", "ratio")),
        ("burn_rate", ("number", None)), ("budget_remaining", ("number", "ratio")),
        ("total", ("number", None)), ("n", ("number", None)), ("exhausted_at", ("time", None)),
    ]  # fmt: skip
    assert columns["alerts"]["ends_at"] == ("time", None)
    assert columns["alerts"]["labels"] == ("labels", None)
    assert columns["incidents"]["planned"] == ("boolean", None)
    assert columns["costs"]["amount"] == ("number", "currency")
    assert columns["silences"]["matchers"] == ("list", None)
    assert columns["gate"]["tenant_ids"] == ("list", None)
    assert tables["slo_states"]["path"] == "slo"
    assert (tables["gate"]["rows"], tables["comparison"]["rows"]) == ("", "indicators")


def test_units_are_those_of_columns_that_there_are(plane: FlaskClient) -> None:
    declared = [
        table
        for rule in plane.application.url_map.iter_rules()
        for operation in operations_of(plane.application, rule)
        for table in operation.tables
    ]
    columns = {
        table["name"]: {column["name"] for column in table["columns"]}
        for table in answer(plane, "tables")["tables"]
    }
    assert declared
    for table in declared:
        assert table.units.keys() <= columns[table.name]


def test_annotations_and_menus_are_listed_with_what_narrows_them(plane: FlaskClient) -> None:
    for kind in ("annotations", "menus"):
        for source in answer(plane, kind)[kind]:
            parameters = [parameter["name"] for parameter in source["parameters"]]
            assert "tenant-id" in parameters
            assert answer(plane, f"{kind}/{source['name']}?tenant-id=user-A") is not None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("menus/tenants", ["user-A", "user-B", STRANGE]),
        ("menus/models", ["bert", "resnet50"]),
        ("menus/models?tenant-id=user-A", ["resnet50"]),
        ("menus/versions?model-name=resnet50&tenant-id={user-A,user-B}", ["v1.0.0", NEW]),
        ("menus/slos", ["availability", "fast"]),
        ("menus/slos?model-name=bert", ["availability"]),
        ("menus/owners", ["language", "vision"]),
        ("menus/owners?tenant-id=user-A", ["vision"]),
        ("menus/models?search=NET", ["resnet50"]),
        ("menus/models?search=nothing", []),
    ],
)
def test_a_menu_is_narrowed(plane: FlaskClient, path: str, values: list[str]) -> None:
    assert answer(plane, path) == {"values": values, "total": len(values)}


def test_a_menu_is_cut_and_says_how_much_there_is(plane: FlaskClient) -> None:
    assert answer(plane, "menus/tenants?limit=2") == {"values": ["user-A", "user-B"], "total": 3}


def test_a_tenant_sees_what_is_theirs(plane: FlaskClient) -> None:
    assert answer(plane, "menus/tenants", TENANT)["values"] == ["user-A"]
    assert answer(plane, "menus/owners", TENANT)["values"] == ["vision"]
    assert answer(plane, "menus/slos", TENANT)["values"] == ["availability", "fast"]
    for menu in ("owners", "models"):
        headers = {"Authorization": f"Bearer {TENANT}"}
        assert plane.get(f"/api/v1/menus/{menu}?tenant-id=user-B", headers=headers).status_code == 403


@pytest.mark.parametrize(
    ("token", "identity"),
    [
        (ADMIN, {"name": "operator", "role": "admin", "user": None, "tenants": 3, "models": 2}),
        (TENANT, {"name": "a", "role": "tenant", "user": None, "tenants": 1, "models": 1}),
    ],
)
def test_the_identity_is_that_of_the_token(plane: FlaskClient, token: str, identity: dict[str, Any]) -> None:
    given = answer(plane, "identity", token)
    assert given.pop("version")
    assert given == identity
    assert plane.get("/api/v1/identity").status_code == 401


def test_without_a_registry_nothing_is_declared(client: FlaskClient) -> None:
    assert client.get("/api/v1/menus/slos").json == {"values": [], "total": 0}
    assert client.get("/api/v1/menus/owners").json == {"values": [], "total": 0}
