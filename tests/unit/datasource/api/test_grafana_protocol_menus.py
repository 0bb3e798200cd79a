"""Clients of the JSON datasource protocol, cases 19 to 25: filters, variables, menus, annotations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from datasource_support.fake_prometheus import FakePrometheus, matrix_reply
from datasource_support.grafana_requests import (
    HOSTILE,
    JSON,
    LABELS,
    MS,
    NOW,
    RANGE,
    WHO,
    body,
    label_values_request,
    line,
    query,
    refused,
    target,
)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["filters", "adhocFilters"])
@pytest.mark.parametrize(
    ("entry", "matcher"),
    [
        ({"operator": "=", "value": HOSTILE}, 'tenant_id="ключ \\"a\\"} or up{x=\\""'),
        ({"operator": "!=", "value": "b"}, 'tenant_id!="b"'),
        ({"operator": "=~", "value": 'user-.*"x'}, 'tenant_id=~"user-.*\\"x"'),
        ({"operator": "!~", "value": "(a+)+$"}, 'tenant_id!~"(a+)+$"'),
        ({"operator": "=|", "value": "a", "values": ["b.c", "a"]}, r'tenant_id=~"a|b\\.c"'),
        ({"operator": "!=|", "values": ["b.c", "a"]}, r'tenant_id!~"a|b\\.c"'),
        ({"operator": "!=|", "values": ["a"]}, 'tenant_id!="a"'),
        ({"operator": "<", "value": "a"}, None),
        ({"operator": ">", "value": "a"}, None),
        ({"operator": "=", "value": 5}, None),
        ({"operator": "=|", "value": "a"}, None),
        ({"operator": "=", "value": "a", "key": "team"}, None),
    ],
)
def test_case_19_ad_hoc_filters_become_matchers_or_are_refused(
    upstream: FakePrometheus, client: FlaskClient, name: str, entry: dict[str, Any], matcher: str | None
) -> None:
    requested = body(target(), **{name: [{"key": "tenant_id", "condition": "", "origin": "x", **entry}]})
    if matcher is None:
        assert f"{name}[0]" in refused(client, requested)
        assert upstream.calls == []
    else:
        assert client.post("/grafana/query", json=requested).status_code == 200
        assert f",{matcher}}}" in upstream.calls[0][1]["query"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tenants", "mode", "matcher"),
    [
        ("(a|b)", "builder", 'tenant_id=~"a|b"'),
        (["a", "b"], "code", 'tenant_id=~"a|b"'),
        ("a", "builder", 'tenant_id="a"'),
        (r"a\.b", "builder", 'tenant_id="a.b"'),
        (["All", "a"], "code", 'tenant_id=~"All|a"'),
        (".*", "builder", None),
        ("", "builder", None),
        ([], "code", None),
    ],
)
def test_case_20_values_of_variables_are_literal_and_empty_ones_do_not_mean_all(
    upstream: FakePrometheus, client: FlaskClient, tenants: object, mode: str, matcher: str | None
) -> None:
    requested = body(target(payload={**WHO, "tenant-id": tenants, "model-version": ".*"}, editorMode=mode))
    if matcher is None:
        assert "tenant-id is required" in refused(client, requested)
    else:
        assert client.post("/grafana/query", json=requested).status_code == 200
        assert matcher in upstream.calls[0][1]["query"]
        assert "model_version=" not in upstream.calls[0][1]["query"]


@pytest.mark.usefixtures("full")
def test_case_21_scoped_vars_and_unknown_keys_change_nothing(client: FlaskClient) -> None:
    scoped = {
        "undefined": {"selected": False, "text": ["core"], "value": ["core"]},
        "__sceneObject": {"text": "__sceneObject"},
        "tenant": None,
    }
    plain = query(client, target())
    assert query(client, target(), scopedVars=scoped, groupByKeys=["x"], scopes=[{}]) == plain
    assert query(client, target(), scopedVars="nothing") == plain


@pytest.mark.parametrize(
    ("payload", "label", "matcher"),
    [
        ({"target": "tenants"}, "tenant_id", "model_inference_requests_total"),
        (
            {"target": r"versions model=(resnet50|bert\.v2)"}, "model_version",
            r'model_inference_requests_total{model_name=~"bert\\.v2|resnet50"}',
        ),
        (
            {"target": "signals", "kind": ["input", "(a|b)"], "model-name": HOSTILE}, "signal",
            'model_signal_observations_total{kind=~"\\\\(a\\\\|b\\\\)|input",'
            'model_name="ключ \\"a\\"} or up{x=\\""}',
        ),
        ({"target": ""}, None, None),
    ],
)  # fmt: skip
def test_case_22_variables_are_texts_with_values(
    upstream: FakePrometheus,
    client: FlaskClient,
    labelled: Callable[..., None],
    payload: dict[str, Any],
    label: str | None,
    matcher: str,
) -> None:
    labelled(HOSTILE, "ä")
    response = client.post("/grafana/variable", json={"payload": payload, "range": RANGE})
    assert response.status_code == 200
    if label is None:
        assert response.json == []
        return
    assert response.json == [{"__text": value, "__value": value} for value in sorted([HOSTILE, "ä"])]
    path, requested = label_values_request(upstream)
    assert path == f"/api/v1/label/{label}/values"
    assert requested["match[]"] == [matcher]
    assert (requested["start"], requested["end"]) == ([f"{NOW - 3600}.000"], [f"{NOW}.000"])


def test_case_23_tag_keys_and_values(
    upstream: FakePrometheus, client: FlaskClient, labelled: Callable[..., None]
) -> None:
    full = {"filters": [], "queries": [target()], "timeRange": RANGE, "scopes": []}
    keys = [
        {"type": "string", "text": key}
        for key in ("tenant_id", "model_name", "model_version", "kind", "signal")
    ]
    assert client.post("/grafana/tag-keys", data=b"", content_type=JSON).json == keys
    assert client.post("/grafana/tag-keys", json=full).json == keys
    assert client.post("/grafana/tag-values", json={**full, "key": "team"}).json == []
    assert upstream.calls == []
    labelled("user-B", "user-A")
    others = [{"key": "model_name", "operator": "=", "value": "resnet50"}]
    result = client.post("/grafana/tag-values", json={**full, "key": "tenant_id", "filters": others}).json
    assert result == [{"text": "user-A"}, {"text": "user-B"}]
    assert all(
        '{model_name="resnet50"}' in selector for selector in label_values_request(upstream)[1]["match[]"]
    )


def test_case_24_annotations_in_both_protocols(
    upstream: FakePrometheus, client: FlaskClient, alerted: Callable[..., None]
) -> None:
    alerted(("inside", MS - 1_800_000, MS - 1_200_000), ("before", MS - 9_000_000, MS - 8_000_000))
    upstream.reply = lambda _, form: matrix_reply(
        (LABELS, [point for point in line(form) if point[0] >= NOW - 600])
    )
    definition = {"name": "Alerts", "enable": True, "iconColor": "red", "query": "alerts model=resnet50"}
    scoped = {"__annotation": {"text": "", "value": {"name": "Alerts"}}}
    new = query(
        client,
        {"refId": "Anno", "target": "alerts", "payload": {"model-name": "resnet50"}},
        {"refId": "Anno", "target": "version_changes"},
        scopedVars=scoped,
    )
    regions, points = ({field["name"]: field["values"] for field in frame["fields"]} for frame in new)
    assert [frame["refId"] for frame in new] == ["Anno", "Anno"]
    assert (regions["title"], regions["time"]) == (["inside"], [MS - 1_800_000])
    assert regions["timeEnd"] == [MS - 1_200_000]
    assert points["time"] == [MS - 600_000] * 2
    assert points["timeEnd"] == [None, None]
    assert points["text"][0].endswith("is in production.")
    old = client.post("/grafana/annotations", json={"range": RANGE, "annotation": definition}).json
    assert old is not None
    assert [
        (annotation["title"], annotation["time"], annotation["timeEnd"], annotation["isRegion"])
        for annotation in old
    ] == [("inside", MS - 1_800_000, MS - 1_200_000, True)]
    assert old[0]["annotation"] == definition
    assert "alerts" in refused(client, body(target("Anno")))


@pytest.mark.usefixtures("full")
def test_case_25_all_representations_hold_the_same_points(client: FlaskClient) -> None:
    (series,) = query(client, target())
    (table,) = query(client, target(type="table"))
    (frame,) = query(client, target(payload={**WHO, "format": "frame"}))
    requested = {**WHO, "from": RANGE["from"], "to": RANGE["to"], "step": "30s"}
    rest = client.get("/api/v1/metrics/latency", query_string=requested).json
    rows = client.get("/api/v1/rows/latency", query_string=requested).json
    assert rest is not None
    assert rows is not None
    points = [(instant, value) for value, instant in series["datapoints"]]
    assert points == [(point["x"], point["y"]) for point in rest["data"][0]["data"]]
    assert points == [(row["time"], row["value"]) for row in rows["rows"]]
    value = [column["text"] for column in table["columns"]].index("Value")
    assert points == [(row[0], row[value]) for row in table["rows"]]
    assert points == list(zip(*(field["values"] for field in frame["fields"][:2]), strict=True))
    assert {row[1] for row in table["rows"]} == {series["target"]} == {frame["name"]}
