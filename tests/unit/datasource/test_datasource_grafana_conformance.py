"""What clients of the JSON datasource protocol rely on: one test for each of 25 cases, named by its number.

Case 24 through Grafana's own code, and case 25 against a running server, are in the integration tests.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask.testing import FlaskClient

from modelplane_datasource.settings import Settings
from modelplane_datasource.timeline.times import format_rfc3339, parse_duration

NOW = 1_698_400_800
MS = NOW * 1000
WHO = {"model-name": "resnet50", "tenant-id": "user-A"}
LABELS = {"model_name": "resnet50", "model_version": "v1", "tenant_id": "user-A"}
RANGE = {"from": "2023-10-27T09:00:00.000Z", "to": "2023-10-27T10:00:00.000Z", "raw": {"from": "now-1h"}}
JSON = "application/json"
HOSTILE = 'ключ "a"} or up{x="'


def body(*targets: object, **more: object) -> dict[str, Any]:
    asked = {
        "app": "dashboard", "requestId": "SQR107", "timezone": "browser", "panelId": 4, "range": RANGE,
        "interval": "30s", "intervalMs": 30000, "maxDataPoints": 734, "targets": list(targets),
    }  # fmt: skip
    return {**asked, **more}


def target(ref_id: str = "A", name: object = "latency", **more: object) -> dict[str, Any]:
    return {"refId": ref_id, "target": name, "payload": WHO, "editorMode": "code", **more}


def query(client: FlaskClient, *targets: object, **more: object) -> list[dict[str, Any]]:
    response = client.post("/grafana/query", json=body(*targets, **more))
    assert response.status_code == 200, response.text
    assert isinstance(response.json, list)
    return response.json


def refused(client: FlaskClient, asked: object, status: int = 400) -> str:
    """The message of a refused query."""
    data = asked if isinstance(asked, bytes) else json.dumps(asked)
    response = client.post("/grafana/query", data=data, content_type=JSON)
    assert response.status_code == status, response.text
    assert response.json is not None
    assert isinstance(response.json["message"], str)
    assert isinstance(response.json["error"], str)
    return str(response.json["message"])


def times(element: dict[str, Any]) -> list[int]:
    return [instant for _, instant in element["datapoints"]]


def line(form: dict[str, str], value: Callable[[int], str] = str) -> list[tuple[float, str]]:
    """A value at each time that a range query asks for."""
    start, end, step = (round(float(form[name]) * 1000) for name in ("start", "end", "step"))
    return [(instant / 1000, value(instant)) for instant in range(start, end + 1, step)]


@pytest.fixture
def full(upstream: Any, answer_matrix: Any) -> None:
    """Every range query gives one series without gaps."""
    upstream.reply = lambda _, form: answer_matrix((LABELS, line(form)))


@pytest.fixture
def labelled(upstream: Any) -> Callable[..., None]:
    """Set the label values that Prometheus answers with."""

    def answer(*values: str) -> None:
        reply = json.dumps({"status": "success", "data": values}).encode()
        upstream.reply = lambda *_: (200, {"Content-Type": JSON}, reply)

    return answer


def asked_label(upstream: Any) -> tuple[str, dict[str, list[str]]]:
    """Path and parameters of the last question for label values."""
    parts = urlsplit(upstream.calls[-1][0])
    return parts.path, parse_qs(parts.query)


@pytest.mark.parametrize("path", ["/grafana", "/grafana/"])
def test_case_01_health_needs_no_body_and_no_redirect(client: FlaskClient, path: str) -> None:
    response = client.get(path, headers={"Content-Type": JSON})
    assert response.status_code == 200
    assert response.is_json


@pytest.mark.parametrize("path", ["/grafana", "/grafana/"])
def test_case_02_a_bad_token_is_403_json(
    settings: Settings, make_client: Callable[[Settings], FlaskClient], tmp_path: Path, path: str
) -> None:
    file = tmp_path / "tokens.json"
    entry = {"name": "grafana", "role": "admin", "sha256": hashlib.sha256(b"right").hexdigest()}
    file.write_text(json.dumps({"tokens": [entry]}))
    guarded = make_client(dataclasses.replace(settings, token_file=file))
    response = guarded.get(path, headers={"Content-Type": JSON, "Authorization": "Bearer wrong"})
    assert response.status_code == 403
    assert response.json is not None
    assert "token" in response.json["message"]


@pytest.mark.parametrize(
    "data",
    [b"{}", b"", b'{"metric":"gone","payload":{}}', b'{"metric":"latency","payload":{"quantile":"x"}}'],
)
def test_case_03_metrics_is_a_list_whatever_is_sent(client: FlaskClient, data: bytes) -> None:
    response = client.post("/grafana/metrics", data=data, content_type=JSON)
    assert response.status_code == 200
    assert response.json
    assert all(isinstance(entry["value"], str) for entry in response.json)


@pytest.mark.usefixtures("full")
def test_case_04_one_target_gives_ascending_times_its_ref_id_and_a_stable_name(client: FlaskClient) -> None:
    first, second = query(client, target("B7")), query(client, target("B7"))
    assert first == second
    (element,) = first
    assert (element["refId"], element["target"]) == ("B7", "resnet50 (v1)")
    assert all(isinstance(instant, int) for instant in times(element))
    assert times(element) == sorted(set(times(element)))


def test_case_05_several_targets_and_series_keep_their_order(
    upstream: Any, client: FlaskClient, answer_matrix: Any
) -> None:
    versions = ["v3", "v1", "v2"]
    upstream.reply = lambda _, form: answer_matrix(
        *(({**LABELS, "model_version": version}, line(form)) for version in versions)
    )
    found = query(client, target("A"), target("B", "errors"), target("C", "active"))
    assert [(one["refId"], one["tags"]["model_version"]) for one in found] == [
        (ref, version) for ref in "ABC" for version in ("v1", "v2", "v3")
    ]


def test_case_06_no_data_is_an_empty_list(client: FlaskClient) -> None:
    assert query(client, target()) == []


def test_case_07_no_targets_are_an_empty_list(upstream: Any, client: FlaskClient) -> None:
    assert query(client) == []
    assert upstream.calls == []


@pytest.mark.usefixtures("full")
def test_case_08_a_hidden_target_is_skipped(client: FlaskClient) -> None:
    found = query(client, target("A", hide=True), target("B", hide=False))
    assert [element["refId"] for element in found] == ["B"]


@pytest.mark.parametrize("wrong", [{"target": None}, {"target": ""}, {}, {"target": 7}])
def test_case_09_a_bad_target_is_400_and_names_its_ref_id(client: FlaskClient, wrong: dict[str, Any]) -> None:
    assert "Q7" in refused(client, body(target(), {"refId": "Q7", "payload": WHO, **wrong}))


@pytest.mark.parametrize(
    "asked",
    [
        b"{", b"[]", b"null", b"\xff", body(target(), range=None), body(target(), range={}),
        body(target(), range={"from": RANGE["to"], "to": RANGE["from"]}),
        body(target(), range={"from": "yesterday", "to": "now"}),
        body(target(), range={"from": RANGE["from"], "to": "9999-12-31T23:59:59.999-01:00"}),
        body(target(), range={"from": RANGE["from"], "to": "10000-01-01T00:00:00Z"}),
    ],
)  # fmt: skip
def test_case_10_a_malformed_request_is_400_with_a_message(client: FlaskClient, asked: object) -> None:
    assert "; allowed: " in refused(client, asked)


def test_case_11_an_unknown_metric_is_404_json(client: FlaskClient) -> None:
    assert "'nothing'" in refused(client, body(target(name="nothing")), 404)


@pytest.mark.parametrize(
    "period", [(RANGE["to"], RANGE["to"]), ("2033-01-01T00:00:00Z", "2033-01-02T00:00:00Z")]
)
def test_case_12_an_instant_and_the_future_are_empty(client: FlaskClient, period: tuple[str, str]) -> None:
    assert query(client, target(), range={"from": period[0], "to": period[1]}) == []


@pytest.mark.usefixtures("full")
def test_case_13_a_very_large_range_has_bounded_points(client: FlaskClient) -> None:
    wide = {"from": "2018-10-27T00:00:00Z", "to": "2023-10-27T00:00:00Z"}
    (element,) = query(client, target(), range=wide, intervalMs=1000)
    assert 0 < len(element["datapoints"]) <= 734


@pytest.mark.usefixtures("full")
@pytest.mark.parametrize(
    ("points", "most"),
    [(1, 1), (10, 10), (734, 734), (None, 500), (1e9, 11000), (0, 0), (-1, 0), ("734", 0), (True, 0)],
)
def test_case_14_max_data_points_bounds_the_points_and_keeps_spikes(
    upstream: Any, client: FlaskClient, points: object, most: int
) -> None:
    """0 stands for those that are refused."""
    asked = body(target(name="throughput"), maxDataPoints=points)
    if not most:
        assert "maxDataPoints" in refused(client, asked)
        return
    found = client.post("/grafana/query", json=asked).json
    assert found is not None
    instants = times(found[0])
    assert len(instants) <= most
    form = upstream.calls[-1][1]
    found_window = re.search(r"\[(\w+)\]", form["query"])
    assert found_window is not None
    window = parse_duration(found_window[1])
    # A rate that covers a whole step cannot miss a spike, and the first and the last step are there.
    assert window >= 1000 * float(form["step"])
    assert instants[-1] > MS - window
    assert instants[0] <= MS - 3600_000 or most == 1


@pytest.mark.usefixtures("full")
@pytest.mark.parametrize("interval", [None, 7_200_000, 0])
def test_case_15_an_interval_may_be_absent_or_larger_than_the_range(
    client: FlaskClient, interval: int | None
) -> None:
    asked = body(target())
    asked["intervalMs"] = interval
    if interval is None:
        del asked["intervalMs"]
    response = client.post("/grafana/query", json=asked)
    assert response.status_code == 200
    assert response.json is not None
    assert 1 <= len(response.json[0]["datapoints"]) <= 734


@pytest.mark.parametrize("form", ["timeserie", "table", "frame"])
def test_case_16_numbers_that_are_not_finite_are_null_in_strict_json(
    upstream: Any, client: FlaskClient, answer_matrix: Any, form: str
) -> None:
    texts = {0: "NaN", 1: "+Inf", 2: "-Inf", 3: "1.5"}
    upstream.reply = lambda _, asked: answer_matrix(
        (LABELS, line(asked, lambda instant: texts[instant // 60_000 % 4]))
    )
    response = client.post(
        "/grafana/query", json=body(target(payload={**WHO, "format": form}), intervalMs=60000)
    )

    def no_constants(text: str) -> None:
        raise AssertionError(f"{text} is not JSON")

    (element,) = json.loads(response.data, parse_constant=no_constants)
    values = {
        "timeserie": lambda: [value for value, _ in element["datapoints"]],
        "table": lambda: [row[-1] for row in element["rows"]],
        "frame": lambda: element["fields"][1]["values"],
    }[form]()
    assert len(values) == 61
    assert set(values) == {None, 1.5}


@pytest.mark.usefixtures("full")
def test_case_17_the_same_instant_in_any_zone_gives_the_same_points(client: FlaskClient) -> None:
    spellings = [
        ("2023-10-27T09:00:00Z", "2023-10-27T10:00:00Z"),
        ("2023-10-27T11:00:00+02:00", "2023-10-27T12:00:00.0+02:00"),
        ("2023-10-26T21:30:00.000000000-11:30", "2023-10-27T10:00:00.000999999Z"),
    ]
    found = [
        query(client, target(), range={"from": start, "to": end}, timezone=zone)
        for start, end in spellings
        for zone in ("browser", "utc", "Europe/Berlin", "")
    ]
    assert len(found) == 12
    assert all(one == found[0] for one in found)
    # The last night of summer time in Berlin: steps stay aligned to UTC and 26 hours have 26 of them.
    night = {"from": "2023-10-28T12:00:00Z", "to": "2023-10-29T14:00:00Z"}
    (element,) = query(client, target(), range=night, intervalMs=3_600_000)
    assert {after - before for before, after in zip(times(element), times(element)[1:], strict=False)} == {
        3_600_000
    }


def test_case_18_skewed_clocks_and_unordered_points_come_out_sorted(
    upstream: Any, client: FlaskClient, answer_matrix: Any
) -> None:
    def reply(_: str, form: dict[str, str]) -> Any:
        points = line(form)
        return answer_matrix((LABELS, [*reversed(points), points[0]]))

    upstream.reply = reply
    ahead = {"from": RANGE["from"], "to": "2023-10-27T10:05:00Z"}
    (element,) = query(client, target(), range=ahead)
    assert times(element) == list(range(MS - 3600_000, MS + 300_001, 30_000))
    assert all(value == instant for value, instant in element["datapoints"])


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
    upstream: Any, client: FlaskClient, name: str, entry: dict[str, Any], matcher: str | None
) -> None:
    asked = body(target(), **{name: [{"key": "tenant_id", "condition": "", "origin": "x", **entry}]})
    if matcher is None:
        assert f"{name}[0]" in refused(client, asked)
        assert upstream.calls == []
    else:
        assert client.post("/grafana/query", json=asked).status_code == 200
        assert f",{matcher}}}" in upstream.calls[0][1]["query"]


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
    upstream: Any, client: FlaskClient, tenants: object, mode: str, matcher: str | None
) -> None:
    asked = body(target(payload={**WHO, "tenant-id": tenants, "model-version": ".*"}, editorMode=mode))
    if matcher is None:
        assert "tenant-id is required" in refused(client, asked)
    else:
        assert client.post("/grafana/query", json=asked).status_code == 200
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
    upstream: Any,
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
    path, asked = asked_label(upstream)
    assert path == f"/api/v1/label/{label}/values"
    assert asked["match[]"] == [matcher]
    assert (asked["start"], asked["end"]) == ([f"{NOW - 3600}.000"], [f"{NOW}.000"])


def test_case_23_tag_keys_and_values(
    upstream: Any, client: FlaskClient, labelled: Callable[..., None]
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
    found = client.post("/grafana/tag-values", json={**full, "key": "tenant_id", "filters": others}).json
    assert found == [{"text": "user-A"}, {"text": "user-B"}]
    assert all('{model_name="resnet50"}' in one for one in asked_label(upstream)[1]["match[]"])


def test_case_24_annotations_in_both_protocols(
    upstream: Any, client: FlaskClient, answer_matrix: Any, alerted: Callable[..., None]
) -> None:
    alerted(("inside", MS - 1_800_000, MS - 1_200_000), ("before", MS - 9_000_000, MS - 8_000_000))
    upstream.reply = lambda _, form: answer_matrix(
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
    assert [(one["title"], one["time"], one["timeEnd"], one["isRegion"]) for one in old] == [
        ("inside", MS - 1_800_000, MS - 1_200_000, True)
    ]
    assert old[0]["annotation"] == definition
    assert "alerts" in refused(client, body(target("Anno")))


@pytest.mark.usefixtures("full")
def test_case_25_all_representations_hold_the_same_points(client: FlaskClient) -> None:
    (series,) = query(client, target())
    (table,) = query(client, target(type="table"))
    (frame,) = query(client, target(payload={**WHO, "format": "frame"}))
    asked = {**WHO, "from": RANGE["from"], "to": RANGE["to"], "step": "30s"}
    rest = client.get("/api/v1/metrics/latency", query_string=asked).json
    rows = client.get("/api/v1/rows/latency", query_string=asked).json
    assert rest is not None
    assert rows is not None
    points = [(instant, value) for value, instant in series["datapoints"]]
    assert points == [(point["x"], point["y"]) for point in rest["data"][0]["data"]]
    assert points == [(row["time"], row["value"]) for row in rows["rows"]]
    assert points == [(row[0], row[-1]) for row in table["rows"]]
    assert points == list(zip(*(field["values"] for field in frame["fields"]), strict=True))
    assert {row[1] for row in table["rows"]} == {series["target"]} == {frame["name"]}


@pytest.fixture
def alerted(client: FlaskClient) -> Callable[..., None]:
    """Store resolved alerts of resnet50: (name, start, end) in milliseconds."""

    def store(*alerts: tuple[str, int, int]) -> None:
        entries = [
            {
                "status": "resolved",
                "labels": {"alertname": name, "severity": "warning", "model_name": "resnet50"},
                "annotations": {"summary": f"{name}."},
                "startsAt": format_rfc3339(start),
                "endsAt": format_rfc3339(end),
                "fingerprint": name,
            }
            for name, start, end in alerts
        ]
        response = client.post("/api/v1/alerts", json={"version": "4", "alerts": entries})
        assert response.status_code == 200

    return store
