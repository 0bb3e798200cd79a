"""Signals of all tenants together, for tokens that are limited to tenants."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from datasource_support.fake_prometheus import FakePrometheus, Form, Reply, matrix_reply, vector_reply
from modelplane_datasource.drift.visibility import SETTING
from modelplane_datasource.settings import Settings
from modelplane_datasource.tenancy.tokens import hash_token
from modelplane_schema import metrics

NOW = 1_698_400_800
BINS = {"00": 400.0, "01": 600.0, metrics.MISSING_BIN: 0.0}
REGISTRY = {
    "apiVersion": "modelplane/v1",
    "tenants": [{"id": "acme"}, {"id": "globex"}],
    "models": [
        {
            "name": name,
            "framework": "jax",
            "owner": "vision",
            "tenants": tenants,
            "versions": [{"version": "v1"}],
            "drift": {"visible_to_tenants": is_visible},
        }
        for name, tenants, is_visible in (
            ("open", ["acme", "globex"], True),
            ("closed", ["acme", "globex"], False),
            ("strange", ["globex"], True),
        )
    ],
}
MOMENT = f"from={NOW * 1000}&to={NOW * 1000}&maxDataPoints=1"


class Prometheus:
    """Has a signal of each model, of all tenants together; ``own`` has models with one of acme alone."""

    def __init__(self, own: tuple[str, ...] = ()) -> None:
        self._owners = [
            *((model, metrics.ALL_TENANTS) for model in ("open", "closed", "strange")),
            *((model, "acme") for model in own),
        ]

    def __call__(self, path: str, form: Form) -> Reply:
        query = form["query"]
        owners = [owner for owner in self._owners if self._is_selected(query, *owner)]
        if "baseline_observations" in query:
            return vector_reply(*((_labels(model), 1000.0) for model, _ in owners))
        if path.endswith("/query"):
            ratios = ({**_labels(model), "bin": name} for model, _ in owners for name in BINS)
            return vector_reply(*((labels, BINS[labels["bin"]] / 1000) for labels in ratios))
        counts = [
            ({**_labels(model), "tenant_id": tenant, "bin": name}, [(NOW, str(count))])
            for model, tenant in owners
            for name, count in BINS.items()
        ]
        return matrix_reply(*counts)

    @staticmethod
    def _is_selected(query: str, model: str, tenant: str) -> bool:
        first = query.split("}")[0]
        named = re.search(r'tenant_id=~?"([^"]*)"', first)
        is_owner = named is None or tenant in named[1].split("|")
        return is_owner and re.search(rf'model_name=~?"([^"]*\|)?{model}(\||")', first) is not None


def _labels(model: str) -> dict[str, str]:
    return {
        "model_name": model, "model_version": "v1", "kind": "input", "signal": "age", "baseline": "a1b2",
    }  # fmt: skip


@pytest.fixture
def plane(settings: Settings, make_client: Callable[[Settings], FlaskClient], tmp_path: Path) -> FlaskClient:
    (tmp_path / "modelplane.yaml").write_text(json.dumps(REGISTRY))
    tokens: list[Mapping[str, Any]] = [
        {"name": "operator", "role": "admin", "sha256": hash_token("admin")},
        {"name": "acme", "role": "tenant", "tenants": ["acme"], "sha256": hash_token("acme")},
    ]
    (tmp_path / "tokens.json").write_text(json.dumps({"tokens": tokens}))
    return make_client(
        dataclasses.replace(
            settings, token_file=tmp_path / "tokens.json", registry_file=tmp_path / "modelplane.yaml"
        )
    )


def get(plane: FlaskClient, query: str, caller: str = "acme", route: str = "metrics/drift") -> Any:
    times = MOMENT if route == "metrics/drift" else f"to={NOW * 1000}"
    headers = {"Authorization": f"Bearer {caller}"}
    response = plane.get(f"/api/v1/{route}?{query}&{times}", headers=headers)
    return response.status_code, response.json


def owners(body: Any) -> set[tuple[str, str]]:
    return {(line["labels"]["model_name"], line["labels"]["tenant_id"]) for line in body["data"]}


ROUTES = [("metrics/drift", ""), ("drift/top", ""), ("drift/distribution", "&kind=input&signal=age")]


@pytest.mark.slow
@pytest.mark.parametrize("tenant", ["", "&tenant-id=__all__", "&tenant-id=__all__&tenant-id=acme"])
@pytest.mark.parametrize(("route", "more"), ROUTES)
def test_the_registry_shows_them(
    plane: FlaskClient, upstream: FakePrometheus, route: str, more: str, tenant: str
) -> None:
    upstream.reply = Prometheus()
    status, body = get(plane, f"model-name=open{tenant}{more}", route=route)
    assert status == 200, body
    if route == "drift/top":
        assert [(row["model_name"], row["tenant_id"]) for row in body["rows"]] == [("open", "__all__")]
    else:
        assert owners(body) == {("open", "__all__")}
    assert "warnings" not in body
    of_tenants = [form["query"] for _, form, _ in upstream.calls if "tenant_id=" in form["query"]]
    assert of_tenants
    for query in of_tenants:  # of versions that the tenant calls, and nobody else's
        assert re.search(r'"model_inference_requests_total",[^}]*tenant_id="acme"\}', query)
        assert "globex" not in query


@pytest.mark.slow
@pytest.mark.parametrize("tenant", ["", "&tenant-id=__all__"])
@pytest.mark.parametrize("model", ["closed", "strange", "there is none"])
@pytest.mark.parametrize(("route", "more"), ROUTES)
def test_what_is_not_shown_is_said(
    plane: FlaskClient, upstream: FakePrometheus, route: str, more: str, model: str, tenant: str
) -> None:
    upstream.reply = Prometheus()
    status, body = get(plane, f"model-name={model}{tenant}{more}", route=route)
    assert (status, body["error"]) == (403, "forbidden")
    assert SETTING in body["message"]
    # Whether there is such a model is not said.
    assert body["message"] == get(plane, f"model-name=closed{tenant}{more}", route=route)[1][
        "message"
    ].replace("closed", model)
    for _, form, _ in upstream.calls:
        assert metrics.ALL_TENANTS not in form["query"]


def test_a_tenants_own_signals_need_nobodys_leave(plane: FlaskClient, upstream: FakePrometheus) -> None:
    upstream.reply = Prometheus(own=("closed", "open"))
    status, body = get(plane, "model-name=closed")
    assert (status, owners(body)) == (200, {("closed", "acme")})
    assert "warnings" not in body
    status, body = get(plane, "model-name=open")
    assert owners(body) == {("open", "acme"), ("open", "__all__")}
    names = {line["name"] for line in body["data"]}
    assert names == {"open (v1) acme input age", "open (v1) __all__ input age"}
    assert get(plane, "model-name=open&tenant-id=globex")[0] == 403
    assert get(plane, "model-name=open&tenant-id=globex&tenant-id=__all__")[0] == 403


def test_of_several_models_those_that_are_shown_come_with_a_word_on_the_others(
    plane: FlaskClient, upstream: FakePrometheus
) -> None:
    upstream.reply = Prometheus()
    status, body = get(plane, "model-name=open&model-name=closed&model-name=strange")
    assert (status, owners(body)) == (200, {("open", "__all__")})
    (warning,) = body["warnings"]
    assert "closed, strange" in warning
    assert SETTING in warning


def test_confidence_is_counted_by_tenant_and_shown_to_each(
    plane: FlaskClient, upstream: FakePrometheus
) -> None:
    upstream.reply = Prometheus()
    get(plane, "model-name=open&kind=confidence&reference=previous:1h")
    assert upstream.calls
    for _, form, _ in upstream.calls:
        assert 'tenant_id="acme"' in form["query"]
        assert metrics.ALL_TENANTS not in form["query"]


def test_operators_see_all_of_them(plane: FlaskClient, upstream: FakePrometheus) -> None:
    upstream.reply = Prometheus()
    _, body = get(plane, "model-name=open&model-name=closed&model-name=strange", "admin")
    assert owners(body) == {(model, "__all__") for model in ("open", "closed", "strange")}
    assert all("requests_total" not in form["query"] for _, form, _ in upstream.calls)


def test_without_a_registry_nothing_is_shown(
    plane: FlaskClient, upstream: FakePrometheus, make_client: Callable[[Settings], FlaskClient]
) -> None:
    upstream.reply = Prometheus()
    of_plane = plane.application.extensions["modelplane"].settings
    unregistered = make_client(dataclasses.replace(of_plane, registry_file=None))
    status, body = get(unregistered, "model-name=open")
    assert (status, body["error"]) == (403, "forbidden")
