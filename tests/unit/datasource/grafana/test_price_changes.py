"""Prices of the registry as annotations: what begins to count, when, and who may know."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from modelplane_datasource.settings import Settings

DAY = 86_400_000
MARCH = 1_677_628_800_000  # 2023-03-01T00:00Z
REGISTRY = """
apiVersion: modelplane/v1
tenants: [{id: a}, {id: b}]
models:
  - name: reader
    framework: pytorch
    owner: vision
    tenants: [a]
    versions: [{version: v1}]
    token_prices:
      - {kind: cached_input, amount: 0.20, currency: EUR, effective_from: 2023-03-01}
      - {kind: cached_input, amount: 0.50, currency: EUR, effective_from: 2023-01-01}
  - {name: writer, framework: jax, owner: x, tenants: [b], versions: [{version: v1}]}
devices:
  prices:
    - {device_type: h200, amount: 3, currency: USD, per: hour, effective_from: 2023-01-01}
    - {device_type: h200, amount: 2.5, currency: EUR, per: hour, effective_from: 2023-03-02}
"""
TOKENS, DEVICE = "cached input tokens of reader: 0.2 EUR per million", "device h200: 2.5 EUR per hour"
ALL = f"from={MARCH - DAY}&to={MARCH + 3 * DAY}"
Rows = list[dict[str, Any]]


@pytest.fixture
def client(settings: Settings, make_client: Callable[[Settings], FlaskClient], tmp_path: Path) -> FlaskClient:
    registry, tokens = tmp_path / "modelplane.yaml", tmp_path / "tokens.json"
    registry.write_text(REGISTRY, encoding="utf-8")
    entry = [{"name": "a", "token": "t" * 32, "role": "tenant", "tenants": ["a"]}]
    tokens.write_text(json.dumps(entry), encoding="utf-8")
    return make_client(dataclasses.replace(settings, registry_file=registry))


def rows(client: FlaskClient, query: str = ALL) -> Rows:
    response = client.get(f"/api/v1/annotations/price_changes?{query}")
    assert response.status_code == 200, response.text
    assert response.json is not None
    result: Rows = response.json["rows"]
    return result


def test_a_price_counts_from_the_begin_of_its_day_and_says_what_was_before(client: FlaskClient) -> None:
    tokens, device = rows(client)
    assert tokens == {
        "time": MARCH, "timeEnd": None, "title": TOKENS, "text": "Before: 0.5 EUR per million.",
        "tags": "price,tokens,reader,cached_input",
    }  # fmt: skip
    assert (device["time"], device["title"], device["text"]) == (
        MARCH + DAY, DEVICE, "Before: 3 USD per hour.",
    )  # fmt: skip


def test_a_first_price_has_none_before(client: FlaskClient) -> None:
    texts = [row["text"] for row in rows(client, f"from={MARCH - 60 * DAY}&to={MARCH - DAY}")]
    assert texts == ["It had no price before."] * 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("narrowed", "titles"),
    [
        ("tenant-id=a", [TOKENS, DEVICE]), ("tenant-id=b", [DEVICE]), ("model-name=reader", [TOKENS, DEVICE]),
        ("model-name=writer", [DEVICE]), ("model-name=nothing", [DEVICE]),
    ],
)  # fmt: skip
def test_tenants_and_models_narrow_the_prices_of_tokens(
    client: FlaskClient, narrowed: str, titles: list[str]
) -> None:
    assert [row["title"] for row in rows(client, f"{ALL}&{narrowed}")] == titles


@pytest.mark.parametrize(
    ("operator", "value", "titles"),
    [("=", "a", [TOKENS, DEVICE]), ("!=", "a", [DEVICE]), ("=~", "a", None)],
)
def test_filters_narrow_them_likewise(
    client: FlaskClient, operator: str, value: str, titles: list[str] | None
) -> None:
    body = {
        "range": {"from": "2023-02-28T00:00:00Z", "to": "2023-03-04T00:00:00Z"},
        "targets": [{"refId": "A", "target": "price_changes"}],
        "filters": [{"key": "tenant_id", "operator": operator, "value": value}],
    }
    response = client.post("/grafana/query", json=body)
    assert response.json is not None
    if titles is None:
        assert response.status_code == 400
        assert "regular expression" in response.json["message"]
        return
    columns = {field["name"]: field["values"] for field in response.json[0]["fields"]}
    assert columns["title"] == titles


def test_without_a_registry_it_says_what_is_missing(
    settings: Settings, make_client: Callable[[Settings], FlaskClient]
) -> None:
    response = make_client(settings).get(f"/api/v1/annotations/price_changes?{ALL}")
    assert response.status_code == 422
    assert response.json is not None
    assert response.json["error"] == "no_registry"
