"""Series by model, version, tenant or of all together, and of all that the caller may see."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from datasource_support.fake_prometheus import NOW, FakePrometheus, matrix_reply
from modelplane_datasource.series.metrics import PROMQL_METRICS
from modelplane_datasource.settings import Settings
from modelplane_datasource.tenancy.tokens import hash_token

METRICS = [metric.name for metric in PROMQL_METRICS]
OWNER = {"model_name": "resnet50", "model_version": "v1", "tenant_id": "user-A"}
REQUESTS = "model_inference_requests_total"
ADMIN, TENANT = "admin-token", "tenant-token"


@pytest.fixture
def guarded(
    settings: Settings, make_client: Callable[[Settings], FlaskClient], tmp_path: Path
) -> FlaskClient:
    path = tmp_path / "tokens.json"
    tokens = [
        {"name": "operator", "role": "admin", "sha256": hash_token(ADMIN)},
        {"name": "a", "role": "tenant", "tenants": ["user-A", "user-C"], "sha256": hash_token(TENANT)},
    ]
    path.write_text(json.dumps({"tokens": tokens}))
    return make_client(dataclasses.replace(settings, token_file=path, cache_seconds=0))


def answer(client: FlaskClient, path: str, token: str = ADMIN) -> Any:
    response = client.get(f"/api/v1/{path}", headers={"Authorization": f"Bearer {token}"})
    assert response.status_code == 200, response.text
    return response.json


def queried(upstream: FakePrometheus) -> str:
    return upstream.calls[-1][1]["query"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("groups", "by"),
    [
        ("", "sum by (model_name, model_version, tenant_id) "),
        ("group-by=model", "sum by (model_name) "),
        ("group-by=version", "sum by (model_version) "),
        ("group-by=tenant", "sum by (tenant_id) "),
        ("group-by=tenant&group-by=model", "sum by (model_name, tenant_id) "),
        ("group-by={model,version}", "sum by (model_name, model_version) "),
        ("group-by={tenant,version,model}", "sum by (model_name, model_version, tenant_id) "),
        ("group-by=none", "sum"),
    ],
)
def test_rates_are_added_up(guarded: FlaskClient, upstream: FakePrometheus, groups: str, by: str) -> None:
    answer(guarded, f"metrics/throughput?step=60s&{groups}")
    assert queried(upstream) == f"{by}(rate({REQUESTS}[1m]))"
    answer(guarded, f"metrics/errors?step=60s&{groups}")
    assert queried(upstream) == (
        f'{by}(rate({REQUESTS}{{outcome="failure"}}[1m])) / '
        f'{by}(rate({REQUESTS}{{outcome=~"success|failure"}}[1m]))'
    )


def test_a_quantile_is_of_the_buckets_of_all(guarded: FlaskClient, upstream: FakePrometheus) -> None:
    bucket = "rate(model_inference_latency_seconds_bucket"
    for groups, by in (("model", "model_name, le"), ("none", "le")):
        answer(guarded, f"metrics/latency?step=60s&model-name=resnet50&group-by={groups}")
        assert f'sum by ({by}) ({bucket}{{model_name="resnet50"}}[1m]))' in queried(upstream)


def test_saturation_of_several_models_is_of_the_sum_of_their_limits(
    guarded: FlaskClient, upstream: FakePrometheus
) -> None:
    limit = "max by (model_name) (modelplane:max_in_flight:config)"
    active = "model_active_inference_requests"
    answer(guarded, "metrics/saturation?group-by=model")
    assert queried(upstream) == (f"sum by (model_name) ({active}) / on (model_name) group_left () {limit}")
    answer(guarded, "metrics/saturation?group-by=tenant")
    by_model = f"sum by (tenant_id, model_name) ({active})"
    assert queried(upstream) == (
        f"sum by (tenant_id) ({by_model} and on (model_name) {limit}) / "
        f"sum by (tenant_id) ({by_model} * 0 + on (model_name) group_left () {limit})"
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("query", "labels", "name"),
    [
        ("group-by=model", ["model_name"], "resnet50"),
        ("group-by=version", ["model_version"], "v1"),
        ("group-by=tenant&tenant-id=user-A", ["tenant_id"], "user-A"),
        ("group-by={model,tenant}", ["model_name", "tenant_id"], "resnet50 user-A"),
        ("group-by={model,tenant}&tenant-id=user-A", ["model_name", "tenant_id"], "resnet50"),
        ("group-by={model,version}", ["model_name", "model_version"], "resnet50 (v1)"),
        ("group-by=none", [], "all"),
        ("", ["model_name", "model_version", "tenant_id"], "resnet50 (v1) user-A"),
        ("tenant-id=user-A", ["model_name", "model_version", "tenant_id"], "resnet50 (v1)"),
        ("tenant-id={user-A,user-B}", ["model_name", "model_version", "tenant_id"], "resnet50 (v1) user-A"),
    ],
)
@pytest.mark.parametrize("metric", METRICS)
def test_series_have_the_labels_and_the_name_of_their_group(
    guarded: FlaskClient, upstream: FakePrometheus, metric: str, query: str, labels: list[str], name: str
) -> None:
    kind = {"kind": "input"} if metric == "tokens" else {}
    expected = {label: OWNER[label] for label in labels} | kind
    upstream.reply = lambda *_: matrix_reply((expected, [(NOW, "1")]))
    (line,) = answer(guarded, f"metrics/{metric}?from=now&{query}")["data"]
    assert line["labels"] == expected
    of_kind = "input" if name == "all" and kind else " ".join([name, *kind.values()])
    assert line["name"] == of_kind
    (row,) = answer(guarded, f"rows/{metric}?from=now&{query}")["rows"]
    assert {label: row[label] for label in expected} == expected
    assert not {"model_name", "model_version", "tenant_id"} & (row.keys() - set(labels))


@pytest.mark.slow
@pytest.mark.parametrize("groups", ["", "&group-by=model", "&group-by=tenant", "&group-by=none"])
@pytest.mark.parametrize("metric", METRICS)
def test_whoever_may_see_some_tenants_gets_sums_over_these_alone(
    guarded: FlaskClient, upstream: FakePrometheus, metric: str, groups: str
) -> None:
    answer(guarded, f"metrics/{metric}?from=now{groups}", TENANT)
    query = queried(upstream)
    constants = query.count("modelplane:max_in_flight:config")
    names = query.count("model_inference_") + query.count("model_active_") + query.count("model_prediction_")
    assert query.count('tenant_id=~"user-A|user-C"') == names >= 1
    assert constants == (0 if metric != "saturation" else 1 if groups in ("", "&group-by=model") else 2)
    for who in ("user-B", "{user-A,user-B}"):
        path = f"/api/v1/metrics/{metric}?tenant-id={who}{groups}"
        refused = guarded.get(path, headers={"Authorization": f"Bearer {TENANT}"})
        assert refused.status_code == 403


@pytest.mark.slow
@pytest.mark.parametrize("text", ["", "framework", "{model,}", "all", "{model,framework}"])
def test_what_cannot_be_grouped_by_is_named(guarded: FlaskClient, text: str) -> None:
    path = f"/api/v1/metrics/errors?group-by={text}"
    response = guarded.get(path, headers={"Authorization": f"Bearer {ADMIN}"})
    assert response.status_code == 400
    assert response.json is not None
    assert response.json["details"]["parameter"] == "group-by"
    assert "model, version, tenant" in response.json["message"]


def test_a_target_of_grafana_without_names_says_by_what_it_adds_up(
    client: FlaskClient, upstream: FakePrometheus
) -> None:
    """An empty payload is what the plugin sends for one that it cannot read."""

    def answered(**payload: object) -> Any:
        targets = [{"refId": "A", "target": "latency", "editorMode": "code", "payload": payload}]
        span = {"from": "2023-10-27T09:00:00Z", "to": "2023-10-27T10:00:00Z"}
        return client.post("/grafana/query", json={"range": span, "targets": targets})

    for payload, name in (({}, "model-name"), ({"model-name": "resnet50"}, "tenant-id")):
        response = answered(**payload)
        assert response.status_code == 400
        assert f"{name} is required" in response.json["message"]
    upstream.reply = lambda *_: matrix_reply(({"model_name": "resnet50"}, [(NOW, "1")]))
    response = answered(**{"group-by": "model"})
    assert [element["title"] for element in response.json] == ["resnet50"]
