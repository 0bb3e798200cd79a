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

import pytest
from flask.testing import FlaskClient

from datasource_support.fake_prometheus import FakePrometheus, matrix_reply
from datasource_support.grafana_requests import (
    JSON,
    LABELS,
    MS,
    RANGE,
    WHO,
    body,
    line,
    query,
    refused,
    target,
    times,
)
from modelplane_datasource.settings import Settings
from modelplane_datasource.timeline.times import parse_duration


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
    upstream: FakePrometheus, client: FlaskClient
) -> None:
    versions = ["v3", "v1", "v2"]
    upstream.reply = lambda _, form: matrix_reply(
        *(({**LABELS, "model_version": version}, line(form)) for version in versions)
    )
    result = query(client, target("A"), target("B", "errors"), target("C", "active"))
    assert [(series["refId"], series["tags"]["model_version"]) for series in result] == [
        (ref, version) for ref in "ABC" for version in ("v1", "v2", "v3")
    ]


def test_case_06_no_data_is_an_empty_list(client: FlaskClient) -> None:
    assert query(client, target()) == []


def test_case_07_no_targets_are_an_empty_list(upstream: FakePrometheus, client: FlaskClient) -> None:
    assert query(client) == []
    assert upstream.calls == []


@pytest.mark.usefixtures("full")
def test_case_08_a_hidden_target_is_skipped(client: FlaskClient) -> None:
    result = query(client, target("A", hide=True), target("B", hide=False))
    assert [element["refId"] for element in result] == ["B"]


@pytest.mark.slow
@pytest.mark.parametrize("wrong", [{"target": None}, {"target": ""}, {}, {"target": 7}])
def test_case_09_a_bad_target_is_400_and_names_its_ref_id(client: FlaskClient, wrong: dict[str, Any]) -> None:
    assert "Q7" in refused(client, body(target(), {"refId": "Q7", "payload": WHO, **wrong}))


@pytest.mark.slow
@pytest.mark.parametrize(
    "malformed",
    [
        b"{", b"[]", b"null", b"\xff", body(target(), range=None), body(target(), range={}),
        body(target(), range={"from": RANGE["to"], "to": RANGE["from"]}),
        body(target(), range={"from": "yesterday", "to": "now"}),
        body(target(), range={"from": RANGE["from"], "to": "9999-12-31T23:59:59.999-01:00"}),
        body(target(), range={"from": RANGE["from"], "to": "10000-01-01T00:00:00Z"}),
    ],
)  # fmt: skip
def test_case_10_a_malformed_request_is_400_with_a_message(client: FlaskClient, malformed: object) -> None:
    assert "; allowed: " in refused(client, malformed)


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


@pytest.mark.slow
@pytest.mark.usefixtures("full")
@pytest.mark.parametrize(
    ("points", "most"),
    [(1, 1), (10, 10), (734, 734), (None, 500), (1e9, 11000), (0, 0), (-1, 0), ("734", 0), (True, 0)],
)
def test_case_14_max_data_points_bounds_the_points_and_keeps_spikes(
    upstream: FakePrometheus, client: FlaskClient, points: object, most: int
) -> None:
    """0 stands for those that are refused."""
    requested = body(target(name="throughput"), maxDataPoints=points)
    if not most:
        assert "maxDataPoints" in refused(client, requested)
        return
    result = client.post("/grafana/query", json=requested).json
    assert result is not None
    instants = times(result[0])
    assert len(instants) <= most
    form = upstream.calls[-1][1]
    range_match = re.search(r"\[(\w+)\]", form["query"])
    assert range_match is not None
    window = parse_duration(range_match[1])
    # A rate that covers a whole step cannot miss a spike, and the first and the last step are there.
    assert window >= 1000 * float(form["step"])
    assert instants[-1] > MS - window
    assert instants[0] <= MS - 3600_000 or most == 1


@pytest.mark.usefixtures("full")
@pytest.mark.parametrize("interval", [None, 7_200_000, 0])
def test_case_15_an_interval_may_be_absent_or_larger_than_the_range(
    client: FlaskClient, interval: int | None
) -> None:
    requested = body(target())
    requested["intervalMs"] = interval
    if interval is None:
        del requested["intervalMs"]
    response = client.post("/grafana/query", json=requested)
    assert response.status_code == 200
    assert response.json is not None
    assert 1 <= len(response.json[0]["datapoints"]) <= 734


@pytest.mark.parametrize("form", ["timeserie", "table", "frame"])
def test_case_16_numbers_that_are_not_finite_are_null_in_strict_json(
    upstream: FakePrometheus, client: FlaskClient, form: str
) -> None:
    texts = {0: "NaN", 1: "+Inf", 2: "-Inf", 3: "1.5"}
    upstream.reply = lambda _, form: matrix_reply(
        (LABELS, line(form, lambda instant: texts[instant // 60_000 % 4]))
    )
    response = client.post(
        "/grafana/query", json=body(target(payload={**WHO, "format": form}), intervalMs=60000)
    )

    def no_constants(text: str) -> None:
        raise AssertionError(f"{text} is not JSON")

    (element,) = json.loads(response.data, parse_constant=no_constants)
    columns = [column["text"] for column in element.get("columns", ())]
    numbers: dict[str, Callable[[], list[object]]] = {
        "timeserie": lambda: [value for value, _ in element["datapoints"]],
        "table": lambda: [row[columns.index("Value")] for row in element["rows"]],
        "frame": lambda: element["fields"][1]["values"],
    }
    values = numbers[form]()
    assert len(values) == 61
    assert set(values) == {None, 1.5}


@pytest.mark.usefixtures("full")
def test_case_17_the_same_instant_in_any_zone_gives_the_same_points(client: FlaskClient) -> None:
    spellings = [
        ("2023-10-27T09:00:00Z", "2023-10-27T10:00:00Z"),
        ("2023-10-27T11:00:00+02:00", "2023-10-27T12:00:00.0+02:00"),
        ("2023-10-26T21:30:00.000000000-11:30", "2023-10-27T10:00:00.000999999Z"),
    ]
    result = [
        query(client, target(), range={"from": start, "to": end}, timezone=zone)
        for start, end in spellings
        for zone in ("browser", "utc", "Europe/Berlin", "")
    ]
    assert len(result) == 12
    assert all(answer == result[0] for answer in result)
    # The last night of summer time in Berlin: steps stay aligned to UTC and 26 hours have 26 of them.
    night = {"from": "2023-10-28T12:00:00Z", "to": "2023-10-29T14:00:00Z"}
    (element,) = query(client, target(), range=night, intervalMs=3_600_000)
    assert {after - before for before, after in zip(times(element), times(element)[1:], strict=False)} == {
        3_600_000
    }


def test_case_18_skewed_clocks_and_unordered_points_come_out_sorted(
    upstream: FakePrometheus, client: FlaskClient
) -> None:
    def reply(_: str, form: dict[str, str]) -> Any:
        points = line(form)
        return matrix_reply((LABELS, [*reversed(points), points[0]]))

    upstream.reply = reply
    ahead = {"from": RANGE["from"], "to": "2023-10-27T10:05:00Z"}
    (element,) = query(client, target(), range=ahead)
    assert times(element) == list(range(MS - 3600_000, MS + 300_001, 30_000))
    assert all(value == instant for value, instant in element["datapoints"])
