"""Menus of what was called and what the registry declares, as far as the caller may see it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from datasource_support.fake_prometheus import FakePrometheus
from datasource_support.fixed_prometheus import NEW, STRANGE, FixedPrometheus
from modelplane_datasource.settings import Settings
from modelplane_datasource.tenancy.tokens import hash_token

OPERATOR = "operator"
TENANTS = {"a": "user-A", "quiet": "quiet"}  # by token


def model(name: str, tenants: list[str], *versions: str) -> dict[str, Any]:
    return {
        "name": name,
        "framework": "jax",
        "owner": "vision",
        "tenants": tenants,
        "versions": [{"version": version} for version in versions],
    }


# Prometheus has neither "quiet" nor "planned" nor "secret", and of resnet50 not v9.
REGISTRY = {
    "apiVersion": "modelplane/v1",
    "tenants": [{"id": tenant} for tenant in ("user-A", "user-B", "quiet", "idle $x/🦊")],
    "models": [
        model("resnet50", ["user-A", "user-B"], "v1.0.0", "v9"),
        model("planned", ["user-A", "quiet"], "v0"),
        model("secret", ["user-B"], "s1"),
    ],
}
Menu = Callable[..., list[str]]


TOKENS: list[dict[str, Any]] = [
    {"name": OPERATOR, "role": "admin", "sha256": hash_token(OPERATOR)},
    *(
        {"name": token, "role": "tenant", "tenants": [tenant], "sha256": hash_token(token)}
        for token, tenant in TENANTS.items()
    ),
]


@pytest.fixture
def menu(
    upstream: FakePrometheus,
    settings: Settings,
    make_client: Callable[[Settings], FlaskClient],
    tmp_path: Path,
) -> Menu:
    upstream.reply = FixedPrometheus()
    (tmp_path / "modelplane.yaml").write_text(json.dumps(REGISTRY, ensure_ascii=False))
    (tmp_path / "tokens.json").write_text(json.dumps({"tokens": TOKENS}))
    files: dict[str, Any] = {
        "registry_file": tmp_path / "modelplane.yaml",
        "token_file": tmp_path / "tokens.json",
    }
    client = make_client(dataclasses.replace(settings, **files))

    def ask(path: str, token: str = OPERATOR) -> list[str]:
        response = client.get(f"/api/v1/menus/{path}", headers={"Authorization": f"Bearer {token}"})
        assert response.status_code == 200, response.text
        body = response.json
        assert body is not None
        assert body["total"] >= len(body["values"])
        return list(body["values"])

    return ask


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("tenants", ["idle $x/🦊", "quiet", "user-A", "user-B", STRANGE]),
        ("tenants?search=QUI", ["quiet"]),
        ("tenants?search=%24x%2F%F0%9F%A6%8A", ["idle $x/🦊"]),
        ("tenants?limit=1", ["idle $x/🦊"]),
        ("tenants?model-name=planned", ["quiet", "user-A"]),
        ("tenants?model-version=v0", ["quiet", "user-A"]),
        ("tenants?model-name=nothing", []),
        ("tenants?tenant-id=quiet", ["quiet"]),
        ("models", ["bert", "planned", "resnet50", "secret"]),
        ("models?tenant-id=quiet", ["planned"]),
        ("models?model-version=s1", ["secret"]),
        ("versions?model-name=resnet50", ["v1.0.0", NEW, "v9"]),
        ("versions?model-name={planned,secret}&model-version=s1", ["s1"]),
    ],
)
def test_what_is_declared_is_there_before_it_is_called(menu: Menu, path: str, values: list[str]) -> None:
    assert sorted(menu(path)) == sorted(values)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("token", "path", "values"),
    [
        ("a", "tenants", ["user-A"]),
        ("a", "tenants?model-name=secret", []),
        ("a", "tenants?model-version=v9", []),
        ("a", "models", ["planned", "resnet50"]),
        ("a", "models?model-version=v9", []),
        ("a", "models?model-name=secret", []),
        ("a", "versions", ["v1.0.0", NEW]),
        ("quiet", "tenants", ["quiet"]),
        ("quiet", "models", ["planned"]),
        ("quiet", "versions", []),
    ],
)
def test_a_tenant_sees_what_an_operator_sees_of_that_tenant(
    menu: Menu, token: str, path: str, values: list[str]
) -> None:
    """Versions are no exception: which of them others call is not a tenant's business."""
    joined = f"{path}{'&' if '?' in path else '?'}tenant-id={TENANTS[token]}"
    assert menu(path, token) == menu(joined, token) == menu(joined) == sorted(values)


def test_what_is_declared_waits_for_no_time_range(menu: Menu) -> None:
    assert "quiet" in menu("tenants?from=1000&to=2000")


def test_signals_are_those_that_were_observed(menu: Menu) -> None:
    assert menu("signals?tenant-id=quiet") == menu("kinds?model-name=planned") == []
