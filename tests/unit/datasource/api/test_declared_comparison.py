"""``/api/v1/compare`` without versions: those of the registry, as far as the caller may know them."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from datasource_support.fake_prometheus import STORE_QUERY, FakePrometheus, matrix_reply, vector_reply
from modelplane_datasource.api.comparison import NOTHING_TO_COMPARE
from modelplane_datasource.settings import Settings
from modelplane_datasource.tenancy.tokens import hash_token

ADMIN, CALLER = "admin-token", "tenant-token"
TOKENS = [
    {"name": "operator", "role": "admin", "sha256": hash_token(ADMIN)},
    {"name": "acme", "role": "tenant", "tenants": ["acme"], "sha256": hash_token(CALLER)},
]
REGISTRY = {
    "apiVersion": "modelplane/v1",
    "tenants": [{"id": "acme"}, {"id": "globex"}],
    "models": [
        {
            "name": "shared", "framework": "jax", "owner": "o", "tenants": ["acme", "globex"],
            "versions": [{"version": "v1"}, {"version": "v2", "stage": "canary"}],
        },
        {
            "name": "single", "framework": "jax", "owner": "o", "tenants": ["acme"],
            "versions": [{"version": "v1"}],
        },
        {
            "name": "foreign", "framework": "jax", "owner": "o", "tenants": ["globex"],
            "versions": [{"version": "v1"}, {"version": "v2", "stage": "shadow"}],
        },
    ],
}  # fmt: skip
BOTH_CALL_BOTH = (("acme", "v1"), ("acme", "v2"), ("globex", "v1"), ("globex", "v2"))
CANARY_IS_OF_OTHERS = (("acme", "v1"), ("globex", "v1"), ("globex", "v2"))


def answering(called: tuple[tuple[str, str], ...]) -> Callable[[str, dict[str, str]], Any]:
    """A Prometheus of tenants and the versions of each model that they call, which never fail."""

    def reply(path: str, form: dict[str, str]) -> Any:
        query = form["query"]
        if query == STORE_QUERY:
            return vector_reply(({}, math.nan))
        if path.endswith("query"):
            model = next(name for name in ("shared", "single", "foreign") if f'"{name}"' in query)
            return vector_reply(
                *(
                    ({"model_name": model, "model_version": version, "tenant_id": tenant}, 1.0)
                    for tenant, version in called
                    if f'tenant_id="{tenant}"' in query or "tenant_id=" not in query
                )
            )
        start, end, step = (int(float(form[name])) for name in ("start", "end", "step"))
        versions = sorted({version for _, version in called}) if "outcome" in query else []
        points = [(time, "1000") for time in range(start, end + 1, step)]
        return matrix_reply(*(({"model_version": name, "outcome": "success"}, points) for name in versions))

    return reply


@pytest.fixture
def ask(
    make_client: Callable[[Settings], FlaskClient],
    settings: Settings,
    upstream: FakePrometheus,
    tmp_path: Path,
) -> Callable[..., Any]:
    """Answers of ``/api/v1/compare`` for a token, with what is called."""
    files = {"registry.yaml": REGISTRY, "tokens.json": {"tokens": TOKENS}}
    for name, content in files.items():
        (tmp_path / name).write_text(json.dumps(content))
    client = make_client(
        dataclasses.replace(
            settings, registry_file=tmp_path / "registry.yaml", token_file=tmp_path / "tokens.json"
        )
    )

    def answer(token: str, called: tuple[tuple[str, str], ...] = BOTH_CALL_BOTH, **query: str) -> Any:
        upstream.reply = answering(called)
        given = {name.replace("_", "-"): text for name, text in query.items()}
        return client.get("/api/v1/compare", query_string=given, headers={"Authorization": f"Bearer {token}"})

    return answer


def pair(body: Mapping[str, Any]) -> tuple[str, str]:
    return body["baseline"], body["candidate"]


@pytest.mark.slow
@pytest.mark.parametrize("token", [ADMIN, CALLER])
def test_production_is_compared_with_its_canary(
    ask: Callable[..., Any], upstream: FakePrometheus, token: str
) -> None:
    body = ask(token, model_name="shared").get_json()
    assert (pair(body), "warnings" in body) == (("v1", "v2"), False)
    assert body["indicators"][0]["name"] == "errors"
    assert body["tenant_ids"] == ([] if token == ADMIN else ["acme"])
    queries = [form["query"] for _, form, _ in upstream.calls if "increase" in form["query"]]
    assert queries
    assert all(('tenant_id="acme"' in query) == (token == CALLER) for query in queries)


@pytest.mark.parametrize(
    ("given", "compared"),
    [
        ({"baseline": "v0"}, ("v0", "v2")),
        ({"candidate": "v3"}, ("v1", "v3")),
        ({"baseline": "v0", "candidate": "v3"}, ("v0", "v3")),
    ],
)
def test_a_version_that_is_given_counts(
    ask: Callable[..., Any], given: dict[str, str], compared: tuple[str, str]
) -> None:
    assert pair(ask(ADMIN, model_name="shared", **given).get_json()) == compared


@pytest.mark.slow
@pytest.mark.parametrize(
    ("token", "called", "query"),
    [
        (ADMIN, BOTH_CALL_BOTH, {"model_name": "single"}),
        (ADMIN, BOTH_CALL_BOTH, {"model_name": "unknown"}),
        (ADMIN, CANARY_IS_OF_OTHERS, {"model_name": "shared", "tenant_id": "acme"}),
        (ADMIN, (), {"model_name": "shared", "tenant_id": "acme"}),
        (CALLER, CANARY_IS_OF_OTHERS, {"model_name": "shared"}),
        (CALLER, BOTH_CALL_BOTH, {"model_name": "foreign"}),
        (CALLER, BOTH_CALL_BOTH, {"model_name": "unknown"}),
        (CALLER, BOTH_CALL_BOTH, {"model_name": "single"}),
    ],
)
def test_without_a_canary_there_is_nothing_and_a_sentence_says_so(
    ask: Callable[..., Any], token: str, called: tuple[tuple[str, str], ...], query: dict[str, str]
) -> None:
    response = ask(token, called, **query)
    body = response.get_json()
    assert (response.status_code, body["indicators"], body["verdict"]) == (200, [], None)
    assert body["warnings"] == [NOTHING_TO_COMPARE.text_for(None)]
    assert body["candidate"] == ""


def test_a_model_of_others_looks_like_one_that_does_not_exist(ask: Callable[..., Any]) -> None:
    foreign, unknown = (ask(CALLER, model_name=name).get_json() for name in ("foreign", "unknown"))
    assert {**foreign, "model_name": ""} == {**unknown, "model_name": ""}


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ({}, "model-name is required"),
        ({"model_name": "shared", "baseline": "v2"}, "candidate is the baseline"),
        ({"model_name": "single", "from": "now-2m"}, "allowed: from"),
    ],
)
def test_bad_input_is_named(ask: Callable[..., Any], query: dict[str, str], text: str) -> None:
    response = ask(ADMIN, **query)
    assert response.status_code == 400
    assert text in response.get_json()["message"]


def test_another_tenant_is_refused(ask: Callable[..., Any]) -> None:
    assert ask(CALLER, model_name="shared", tenant_id="globex").status_code == 403


@pytest.mark.slow
@pytest.mark.parametrize("route", ["compare/verdicts", "gate"])
@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("tenant-id=b&candidate=v2", "baseline"),
        ("tenant-id=b&baseline=v2", "candidate"),
        ("baseline=v1&candidate=v2", "tenant-id"),
    ],
)
def test_gates_and_verdicts_over_time_name_their_versions(
    client: FlaskClient, route: str, query: str, name: str
) -> None:
    response = client.get(f"/api/v1/{route}?model-name=a&{query}")
    assert response.status_code == 400
    assert f"{name} is required" in response.get_json()["message"]
