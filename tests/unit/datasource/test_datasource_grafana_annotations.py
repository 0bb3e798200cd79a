from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from modelplane_datasource.grafana_annotations import MAX_ALERTS
from modelplane_datasource.times import format_rfc3339

NOW = 1_698_400_800
MS = NOW * 1000
RANGE = {"from": format_rfc3339(MS - 3_600_000), "to": format_rfc3339(MS + 60_000)}
LABELS = {"model_name": "resnet50", "model_version": "v1"}


def alert(name: str, start: int, end: int | None = None, **labels: str) -> dict[str, Any]:
    ended = {} if end is None else {"endsAt": format_rfc3339(end)}
    return {
        "status": "firing" if end is None else "resolved",
        "labels": {"alertname": name, "severity": "warning", **labels},
        "annotations": {"summary": "short", "description": "long"},
        "startsAt": format_rfc3339(start),
        "fingerprint": name,
        **ended,
    }


@pytest.fixture
def store(client: FlaskClient) -> Callable[..., None]:
    def post(*alerts: dict[str, Any]) -> None:
        payload = {"version": "4", "alerts": list(alerts)}
        assert client.post("/api/v1/alerts", json=payload).status_code == 200

    return post


def annotate(client: FlaskClient, name: str, payload: object = None, **more: object) -> dict[str, Any]:
    """The columns of an annotation query, and its notices."""
    target = {"refId": "Anno", "target": name, "payload": payload}
    response = client.post("/grafana/query", json={"range": RANGE, "targets": [target], **more})
    assert response.status_code == 200, response.text
    assert response.json is not None
    (frame,) = response.json
    columns = {field["name"]: field["values"] for field in frame["fields"]}
    return {**columns, "notices": frame.get("meta", {}).get("notices", [])}


def test_a_firing_alert_lasts_until_now_and_others_until_their_end(
    client: FlaskClient, store: Callable[..., None]
) -> None:
    store(
        alert("firing", MS - 600_000, tenant_id="user-A"),
        alert("over", MS - 7_200_000, MS - 3_000_000),
        alert("moment", MS - 60_000, MS - 60_000),
        alert("gone", MS - 7_200_000, MS - 7_000_000),
    )
    found = annotate(client, "alerts")
    assert found["title"] == ["over", "firing", "moment"]
    assert found["time"] == [MS - 7_200_000, MS - 600_000, MS - 60_000]
    assert found["timeEnd"] == [MS - 3_000_000, MS, None]
    assert found["text"] == ["long"] * 3
    assert found["tags"][1] == ["alert", "warning", "firing", "user-A"]


def test_alerts_are_chosen_by_payload_and_by_literal_filters(
    client: FlaskClient, store: Callable[..., None]
) -> None:
    store(
        alert("one", MS - 600_000, tenant_id="user-A", signal="x"),
        alert("two", MS - 600_000, tenant_id="user-B"),
        alert("three", MS - 600_000, MS - 500_000, tenant_id="user-A"),
    )
    filters = [{"key": "tenant_id", "operator": "!=", "value": "user-B"}]
    assert annotate(client, "alerts", {"tenant-id": "user-B"})["title"] == ["two"]
    assert annotate(client, "alerts", {"status": ["firing"]})["title"] == ["one", "two"]
    assert annotate(client, "alerts", filters=filters)["title"] == ["one", "three"]
    filters.append({"key": "signal", "operator": "=", "value": "x"})
    assert annotate(client, "alerts", adhocFilters=filters)["title"] == ["one"]


def test_too_many_alerts_say_that_some_are_missing(client: FlaskClient, store: Callable[..., None]) -> None:
    store(*(alert(f"a{index}", MS - 600_000 - index * 1000) for index in range(MAX_ALERTS)))
    found = annotate(client, "alerts")
    assert len(found["time"]) == MAX_ALERTS
    assert str(MAX_ALERTS) in found["notices"][0]["text"]


def test_versions_that_were_there_before_are_no_change(
    upstream: Any, client: FlaskClient, answer_matrix: Any
) -> None:
    def reply(_: str, form: dict[str, str]) -> Any:
        start, end, step = (round(float(form[name])) for name in ("start", "end", "step"))
        times = range(start, end + 1, step)
        old = [(instant, "1") for instant in times]
        back = [(instant, "1") for instant in times if instant < NOW - 2000 or instant >= NOW - 1000]
        if "modelplane:production_version:config" in form["query"]:
            return answer_matrix(warnings=["partial"])
        return answer_matrix((LABELS, old), ({**LABELS, "model_version": "v0"}, back))

    upstream.reply = reply
    found = annotate(client, "version_changes", {"model-name": "resnet50"})
    assert found["title"] == ["resnet50 v0 loaded"]
    assert 0 <= found["time"][0] - (MS - 1_000_000) < 15_000
    assert found["timeEnd"] == [None]
    assert found["notices"] == [{"severity": "warning", "text": "partial"}]
    for _, form, _ in upstream.calls:
        assert '{model_name="resnet50"}[300s]' in form["query"]
        assert float(form["start"]) < NOW - 3600


def test_version_changes_take_only_the_filters_of_versions(upstream: Any, client: FlaskClient) -> None:
    filters = [
        {"key": "tenant_id", "operator": "=", "value": "user-A"},
        {"key": "model_version", "operator": "=~", "value": "v1.*"},
    ]
    assert annotate(client, "version_changes", filters=filters)["time"] == []
    assert 'model_info{model_version=~"v1.*"}' in upstream.calls[0][1]["query"]


@pytest.mark.parametrize(
    ("asked", "word"),
    [
        ({"range": RANGE}, "annotation"),
        ({"range": RANGE, "annotation": {"query": None}}, "annotation"),
        ({"range": RANGE, "annotation": {"query": ""}}, "version_changes"),
        ({"range": RANGE, "annotation": {"query": "latency"}}, "alerts"),
        ({"range": RANGE, "annotation": {"query": "alerts status=odd"}}, "status"),
        ({"range": RANGE, "annotation": {"query": "alerts version=v1"}}, "model-version"),
        ({"annotation": {"query": "alerts"}}, "range"),
        (
            {
                "range": RANGE,
                "annotation": {"query": "alerts"},
                "filters": [{"key": "kind", "operator": "=~", "value": "x"}],
            },
            "filters",
        ),
    ],
)
def test_a_bad_annotation_query_is_400(client: FlaskClient, asked: dict[str, Any], word: str) -> None:
    response = client.post("/grafana/annotations", json=asked)
    assert response.status_code == 400
    assert response.json is not None
    assert word in response.json["message"]


def test_the_older_form_has_points_without_an_end(
    client: FlaskClient, upstream: Any, answer_matrix: Any
) -> None:
    upstream.reply = lambda _, form: answer_matrix((LABELS, [(float(form["end"]), "1")]))
    definition = {"name": "Versions", "query": "version_changes model=(resnet50|bert)"}
    found = client.post("/grafana/annotations", json={"range": RANGE, "annotation": definition}).json
    assert found is not None
    assert {(one["title"], "timeEnd" in one, "isRegion" in one) for one in found} == {
        ("resnet50 v1 loaded", False, False), ("resnet50 v1 in production", False, False),
    }  # fmt: skip
    assert 'model_name=~"bert|resnet50"' in upstream.calls[0][1]["query"]
