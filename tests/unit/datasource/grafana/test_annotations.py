from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from datasource_support.fake_prometheus import FakePrometheus, matrix_reply
from modelplane_datasource.grafana.annotations import MAX_ALERTS, MAX_ANNOTATIONS
from modelplane_datasource.timeline.times import format_rfc3339

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
    result = annotate(client, "alerts")
    assert result["title"] == ["over", "firing", "moment"]
    assert result["time"] == [MS - 7_200_000, MS - 600_000, MS - 60_000]
    assert result["timeEnd"] == [MS - 3_000_000, MS, None]
    assert result["text"] == ["long"] * 3
    assert result["tags"][1] == ["alert", "warning", "firing", "user-A"]


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
    result = annotate(client, "alerts")
    assert len(result["time"]) == MAX_ALERTS
    assert str(MAX_ALERTS) in result["notices"][0]["text"]


def test_versions_that_were_there_before_are_no_change(upstream: FakePrometheus, client: FlaskClient) -> None:
    def reply(_: str, form: dict[str, str]) -> Any:
        start, end, step = (round(float(form[name])) for name in ("start", "end", "step"))
        times = range(start, end + 1, step)
        old = [(instant, "1") for instant in times]
        back = [(instant, "1") for instant in times if instant < NOW - 2000 or instant >= NOW - 1000]
        if "modelplane:production_version:config" in form["query"]:
            return matrix_reply(warnings=["partial"])
        return matrix_reply((LABELS, old), ({**LABELS, "model_version": "v0"}, back))

    upstream.reply = reply
    result = annotate(client, "version_changes", {"model-name": "resnet50"})
    assert result["title"] == ["resnet50 v0 loaded"]
    assert 0 <= result["time"][0] - (MS - 1_000_000) < 15_000
    assert result["timeEnd"] == [None]
    assert result["notices"] == [{"severity": "warning", "text": "partial"}]
    for _, form, _ in upstream.calls:
        assert '{model_name="resnet50"}[5m]' in form["query"]
        assert float(form["start"]) < NOW - 3600


def test_version_changes_take_only_the_filters_of_versions(
    upstream: FakePrometheus, client: FlaskClient
) -> None:
    filters = [
        {"key": "kind", "operator": "=", "value": "input"},
        {"key": "model_version", "operator": "=~", "value": "v1.*"},
    ]
    assert annotate(client, "version_changes", filters=filters)["time"] == []
    assert 'model_info{model_version=~"v1.*"}' in upstream.calls[0][1]["query"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fields", "calls"),
    [
        ({"payload": {"tenant-id": ["user-A", "user-B"]}}, '{tenant_id=~"user-A|user-B"}'),
        ({"filters": [{"key": "tenant_id", "operator": "=~", "value": "user-.*"}]}, '{tenant_id=~"user-.*"}'),
        (
            {
                "payload": {"tenant-id": "user-A"},
                "filters": [{"key": "tenant_id", "operator": "!=", "value": "user-B"}],
            },
            '{tenant_id="user-A",tenant_id!="user-B"}',
        ),
    ],
)
@pytest.mark.parametrize(
    ("called", "matchers"),
    [
        ([("resnet50", "v1")], '{model_name="resnet50",model_version="v1"}'),
        ([("bert", "v1"), ("a.b", "v1")], r'{model_name=~"a\\.b|bert",model_version="v1"}'),
        ([], None),
    ],
)
def test_a_tenant_narrows_version_changes_to_the_versions_that_it_calls(
    upstream: FakePrometheus,
    client: FlaskClient,
    fields: dict[str, Any],
    calls: str,
    called: list[tuple[str, str]],
    matchers: str | None,
) -> None:
    """Of all pairs of its models and its versions only those that have calls."""
    series = [{"model_name": model, "model_version": version} for model, version in called]
    listed = json.dumps({"status": "success", "data": series}).encode()
    loaded = [*called, ("resnet50", "v2")]
    upstream.reply = lambda path, form: (
        (200, {}, listed)
        if path.endswith("/series")
        else matrix_reply(
            *(
                ({"model_name": model, "model_version": version}, [(float(form["end"]), "1")])
                for model, version in loaded
            )
        )
    )
    result = annotate(client, "version_changes", **{"payload": None, **fields})
    (path, form, _), *queries = upstream.calls
    assert (path, form["match[]"]) == ("/api/v1/series", f"model_inference_requests_total{calls}")
    names = [
        f"{model} {version} {state}" for model, version in called for state in ("in production", "loaded")
    ]
    assert sorted(result["title"]) == sorted(names)
    assert len(queries) == (2 if called else 0)
    assert all(f"{matchers}[" in form["query"] for _, form, _ in queries)


def test_the_newest_changes_are_given_when_there_are_too_many(
    upstream: FakePrometheus, client: FlaskClient
) -> None:
    versions = range(MAX_ANNOTATIONS // 2 + 1)
    upstream.reply = lambda _, form: matrix_reply(
        *(
            ({**LABELS, "model_version": f"v{version}"}, [(float(form["end"]) - 15 * (version == 0), "1")])
            for version in versions
        )
    )
    result = annotate(client, "version_changes")
    assert len(result["time"]) == MAX_ANNOTATIONS
    assert set(result["time"]) == {max(result["time"])}
    (notice,) = result["notices"]
    assert (
        notice["text"] == f"Only the newest {MAX_ANNOTATIONS} of {MAX_ANNOTATIONS + 2} annotations are given."
    )


def test_rows_of_annotations_are_those_of_grafana(
    upstream: FakePrometheus, client: FlaskClient, store: Callable[..., None]
) -> None:
    store(alert("firing", MS - 600_000, tenant_id="user-A"), alert("over", MS - 900_000, MS - 700_000))
    upstream.reply = lambda _, form: matrix_reply((LABELS, [(float(form["end"]), "1")]), warnings=["partial"])
    for name, payload in (
        ("alerts", {}), ("alerts", {"tenant-id": "user-A"}), ("version_changes", {"model-name": "resnet50"}),
    ):  # fmt: skip
        wanted = annotate(client, name, payload)
        requested = {**payload, **RANGE}
        body = client.get(f"/api/v1/annotations/{name}", query_string=requested).json
        assert body is not None
        assert body["rows"]
        columns = {key: [row[key] for row in body["rows"]] for key in ("time", "timeEnd", "title", "text")}
        assert columns == {key: wanted[key] for key in columns}
        assert [row["tags"].split(",") for row in body["rows"]] == wanted["tags"]
        assert body.get("warnings") == (["partial"] if name == "version_changes" else None)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("version_changes?quantile=1", "quantile"), ("alerts?from=yesterday", "from"),
        ("alerts?from=now&to=now-1h", "from"), ("alerts?status=odd", "status"),
        ("version_changes?model-name=", "model-name"),
    ],
)  # fmt: skip
def test_bad_parameters_of_annotation_rows_are_named(client: FlaskClient, query: str, field: str) -> None:
    response = client.get(f"/api/v1/annotations/{query}")
    assert response.json is not None
    assert (response.status_code, response.json["details"]["parameter"]) == (400, field)


def test_there_are_no_rows_of_other_annotations(client: FlaskClient) -> None:
    assert client.get("/api/v1/annotations/latency").status_code == 404


@pytest.mark.slow
@pytest.mark.parametrize(
    ("definition", "word"),
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
def test_a_bad_annotation_query_is_400(client: FlaskClient, definition: dict[str, Any], word: str) -> None:
    response = client.post("/grafana/annotations", json=definition)
    assert response.status_code == 400
    assert response.json is not None
    assert word in response.json["message"]


def test_the_older_form_has_points_without_an_end(client: FlaskClient, upstream: FakePrometheus) -> None:
    upstream.reply = lambda _, form: matrix_reply((LABELS, [(float(form["end"]), "1")]))
    definition = {"name": "Versions", "query": "version_changes model=(resnet50|bert)"}
    result = client.post("/grafana/annotations", json={"range": RANGE, "annotation": definition}).json
    assert result is not None
    assert {
        (annotation["title"], "timeEnd" in annotation, "isRegion" in annotation) for annotation in result
    } == {
        ("resnet50 v1 loaded", False, False), ("resnet50 v1 in production", False, False),
    }  # fmt: skip
    assert 'model_name=~"bert|resnet50"' in upstream.calls[0][1]["query"]
