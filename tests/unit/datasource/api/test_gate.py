"""``/api/v1/gate``: what a canary controller reads, by the documented shapes of three of them."""

from __future__ import annotations

import base64
import dataclasses
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from flask.testing import FlaskClient

from datasource_support.fake_prometheus import STORE_QUERY, FakePrometheus, matrix_reply, vector_reply
from modelplane_datasource.settings import Settings
from modelplane_datasource.tenancy.tokens import hash_token

GATES = Path(__file__).parents[4] / "examples" / "gates"
WHO = {"model-name": "digit-reader", "tenant-id": "vision-lab", "baseline": "v1.2.0", "candidate": "v1.3.0"}
OUTCOMES = {  # failures of 1,000 calls of baseline and candidate in each slice; None has no calls
    "pass": (10, 10),
    "fail": (10, 40),
    "no_traffic": (10, None),
}


def answering(failures: tuple[int | None, ...], calls: int = 1000) -> Callable[[str, dict[str, str]], Any]:
    """A Prometheus in which both versions take 10 to 50 ms."""

    def reply(_path: str, form: dict[str, str]) -> Any:
        if form["query"] == STORE_QUERY:
            return vector_reply(({}, math.nan))
        start, end, step = (int(float(form[name])) for name in ("start", "end", "step"))
        series = []
        for version, failed in zip(("v1.2.0", "v1.3.0"), failures, strict=True):
            if failed is None:
                continue
            parts: Mapping[str, float] = {"success": calls - failed, "failure": failed}
            if "latency" in form["query"]:
                parts = {"0.01": 0, "0.05": calls, "+Inf": calls, "sum": 0.03 * calls}
            elif "confidence" in form["query"]:
                parts = {}
            label = "outcome" if "outcome" in form["query"] else "le"
            series += [
                (
                    {"model_version": version, label: part},
                    [(time, str(value * 1.25)) for time in range(start, end + 1, step)],
                )
                for part, value in parts.items()
            ]
        return matrix_reply(*series)

    return reply


@pytest.mark.slow
@pytest.mark.parametrize("gate", OUTCOMES)
def test_a_gate_is_what_the_comparison_says(client: FlaskClient, upstream: FakePrometheus, gate: str) -> None:
    upstream.reply = answering(OUTCOMES[gate])
    response = client.get("/api/v1/gate", query_string=WHO)
    body = response.get_json()
    compared = client.get("/api/v1/compare", query_string=WHO).get_json()
    assert (response.status_code, body["gate"], body["verdict"]) == (200, gate, compared["verdict"])
    assert (body["summary"], body["from"], body["to"]) == (
        compared["summary"], compared["from"], compared["to"],
    )  # fmt: skip
    assert body["reason"]


def test_few_calls_are_inconclusive(client: FlaskClient, upstream: FakePrometheus) -> None:
    upstream.reply = answering((0, 0), calls=1)
    body = client.get("/api/v1/gate", query_string=WHO).get_json()
    assert (body["gate"], body["verdict"]) == ("inconclusive", "not_enough_data")
    assert "errors: they may be alike or differ by more than 1 points" in body["reason"]


@pytest.mark.slow
@pytest.mark.parametrize(("gate", "status"), [("fail", 409), ("no_traffic", 424), ("pass", 200)])
def test_statuses_can_be_chosen(
    client: FlaskClient, upstream: FakePrometheus, gate: str, status: int
) -> None:
    upstream.reply = answering(OUTCOMES[gate])
    chosen = {**WHO, "fail-status": 409, "no-traffic-status": 424, "inconclusive-status": 425}
    response = client.get("/api/v1/gate", query_string=chosen)
    assert (response.status_code, response.get_json()["gate"]) == (status, gate)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ({"fail-status": "500"}, r"fail-status has the value '500'; allowed: 200, 409, 412, 424, 425"),
        ({"pass-status": "200"}, "pass-status is not a parameter here"),
        ({"candidate": "v1.2.0"}, "candidate is the baseline"),
    ],
)
def test_bad_input_names_the_parameter(client: FlaskClient, query: dict[str, str], text: str) -> None:
    response = client.get("/api/v1/gate", query_string={**WHO, **query})
    assert response.status_code == 400
    assert re.search(text, response.get_json()["message"])


@pytest.mark.parametrize("body", [{"metadata": []}, {"metadata": {"above": 1}}, []])
def test_bodies_that_are_no_webhook_are_refused(client: FlaskClient, body: Any) -> None:
    response = client.post("/api/v1/gate", json=body, query_string=WHO)
    assert (response.status_code, response.get_json()["error"]) == (400, "invalid_parameter")


@pytest.fixture
def guarded(
    settings: Settings, make_client: Callable[[Settings], FlaskClient], tmp_path: Path
) -> FlaskClient:
    """A backend whose one token may read what is of one tenant."""
    path = tmp_path / "tokens.json"
    token = {
        "name": "canary",
        "role": "reader",
        "tenants": ["vision-lab"],
        "sha256": hash_token("gate-token"),
    }
    path.write_bytes(orjson.dumps({"tokens": [token]}))
    return make_client(dataclasses.replace(settings, token_file=path))


def substituted(text: str, arguments: Mapping[str, str]) -> str:
    """As Argo replaces the arguments of a template."""
    return re.sub(r"\{\{ *args\.([a-z-]+) *\}\}", lambda match: arguments[match[1]], text)


@pytest.mark.slow
@pytest.mark.parametrize("gate", OUTCOMES)
def test_argo_rollouts_reads_it_by_its_web_provider(
    guarded: FlaskClient, upstream: FakePrometheus, gate: str
) -> None:
    """It sends the headers, applies the path to the JSON, and holds the result against the conditions."""
    upstream.reply = answering(OUTCOMES[gate])
    template = yaml.safe_load((GATES / "argo-rollouts.yaml").read_text())
    names = [argument["name"] for argument in template["spec"]["args"]]
    arguments = {**WHO, "modelplane-token": "gate-token"}
    assert set(names) == {"model-name", "baseline", "candidate", "modelplane-token"}
    (metric,) = template["spec"]["metrics"]
    web = metric["provider"]["web"]
    path = substituted(web["url"], arguments).removeprefix("http://backend.modelplane:8090")
    headers = {header["key"]: substituted(header["value"], arguments) for header in web["headers"]}
    response = guarded.get(path, headers=headers)
    assert response.status_code == 200, response.json
    (key,) = re.fullmatch(r"\{\$\.(\w+)\}", web["jsonPath"]).groups()  # type: ignore[union-attr]
    result = response.get_json()[key]
    assert metric["successCondition"] == 'result == "pass"'
    assert metric["failureCondition"] == 'result == "fail"'
    assert result == gate


@pytest.mark.slow
@pytest.mark.parametrize(
    ("gate", "statuses"), [("pass", (200, 200)), ("fail", (409, 409)), ("no_traffic", (200, 424))]
)
def test_flagger_calls_it_as_a_webhook(
    guarded: FlaskClient, upstream: FakePrometheus, gate: str, statuses: tuple[int, int]
) -> None:
    """It posts name, namespace, phase and metadata, and goes on at a status from 200 to 202."""
    upstream.reply = answering(OUTCOMES[gate])
    webhooks = yaml.safe_load((GATES / "flagger.yaml").read_text())["analysis"]["webhooks"]
    assert [hook["type"] for hook in webhooks] == ["rollout", "confirm-promotion"]
    for hook, status in zip(webhooks, statuses, strict=True):
        user, path = re.fullmatch(r"http://(.*)@backend\.modelplane:8090(/.*)", hook["url"]).groups()  # type: ignore[union-attr]
        credentials = base64.b64encode(user.replace("TOKEN", "gate-token").encode()).decode()
        body = {
            "name": "digits", "namespace": "test", "phase": "Progressing", "metadata": hook["metadata"],
        }  # fmt: skip
        response = guarded.post(
            path, data=orjson.dumps(body), headers={"Authorization": f"Basic {credentials}"}
        )
        assert (response.status_code, response.get_json()["gate"]) == (status, gate)
