from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator

from modelplane_alerts.routing import MAX_ALERTS
from modelplane_datasource.settings import Settings

PAYLOAD: dict[str, Any] = {
    "version": "4",
    "groupKey": "{}:{}",
    "truncatedAlerts": 0,
    "notification_reason": "new alerts added",
    "receiver": "every\\.one",
    "status": "firing",
    "alerts": [
        {
            "status": "firing",
            "labels": {"alertname": "ModelLatencyHigh", "severity": "warning", "tenant_id": "user-A",
                       "model_name": "resnet50", "model_version": "v1.2.0"},
            "annotations": {"summary": "slow", "description": "p95 is 2 s", "runbook_url": "http://r/x",
                            "dashboard_url": "http://g/d"},
            "startsAt": "2023-10-27T09:59:00.5Z", "endsAt": "0001-01-01T00:00:00Z", "fingerprint": "f1",
        },
        {
            "status": "resolved", "labels": {"alertname": "ModelDown"}, "annotations": {},
            "startsAt": "2023-10-27T08:00:00+00:00", "endsAt": "2023-10-27T08:10:00Z",
            "generatorURL": "http://p", "fingerprint": "f2", "added_later": {"x": 1},
        },
    ],
}  # fmt: skip


def test_stored_alerts_are_listed_flat_newest_first(client: FlaskClient) -> None:
    posted = client.post("/api/v1/alerts", json=PAYLOAD)
    assert (posted.status_code, posted.json) == (200, {"stored": 2})
    listed = client.get("/api/v1/alerts").json
    assert listed == {
        "alerts": [
            {
                "starts_at": 1698400740500, "ends_at": None, "duration_seconds": 59.5, "status": "firing",
                "reason": "", "suppressed_by": "", "suppression_windows": "", "source": "alertmanager",
                "alertname": "ModelLatencyHigh", "severity": "warning", "tenant_id": "user-A",
                "model_name": "resnet50", "model_version": "v1.2.0", "summary": "slow",
                "description": "p95 is 2 s", "runbook_url": "http://r/x", "dashboard_url": "http://g/d",
                "fingerprint": "f1", "labels": PAYLOAD["alerts"][0]["labels"],
            },
            {
                "starts_at": 1698393600000, "ends_at": 1698394200000, "duration_seconds": 600.0,
                "status": "resolved", "reason": "resolved", "suppressed_by": "", "suppression_windows": "",
                "source": "alertmanager", "alertname": "ModelDown", "severity": "", "tenant_id": "",
                "model_name": "", "model_version": "", "summary": "", "description": "",
                "runbook_url": "", "dashboard_url": "", "fingerprint": "f2",
                "labels": {"alertname": "ModelDown"},
            },
        ],
        "total": 2,
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("query", "fingerprints"),
    [
        ("tenant-id=user-A", ["f1"]),
        ("tenant-id=user-A&tenant-id=user-B", ["f1"]),
        ("model-name=other", []),
        ("status=resolved", ["f2"]),
        ("alertname=ModelDown&status=firing", []),
        ("from=1698396000000&to=now", ["f1"]),
        ("from=2023-10-27T08:05:00Z&to=2023-10-27T08:06:00Z", ["f2"]),
        ("limit=1", ["f1"]),
        ("limit=1&offset=1", ["f2"]),
        ("alertname={ModelDown,ModelLatencyHigh}&status={firing,resolved}", ["f1", "f2"]),
        ("tenant-id={user-A,user-B}&model-name={resnet50,bert}", ["f1"]),
    ],
)
def test_filters(client: FlaskClient, query: str, fingerprints: list[str]) -> None:
    client.post("/api/v1/alerts", json=PAYLOAD)
    listed = client.get(f"/api/v1/alerts?{query}").json
    assert listed is not None
    assert [alert["fingerprint"] for alert in listed["alerts"]] == fingerprints


@pytest.mark.slow
@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"), ("limit=1001", "limit"), ("status=open", "status"), ("from=x", "from"),
        ("offset=-1", "offset"), ("offset=x", "offset"), ("status={firing,open}", "status"),
        ("tenant-id={a,}", "tenant-id"), ("from=1698396000", "from"), ("to=1698396000", "to"),
        ("from=now&to=now-1h", "from"), ("severity=critical", "severity"), ("tenant-id=", "tenant-id"),
    ],
)  # fmt: skip
def test_bad_filters_are_400(client: FlaskClient, query: str, field: str) -> None:
    response = client.get(f"/api/v1/alerts?{query}")
    assert response.status_code == 400
    assert response.json is not None
    assert response.json["details"]["parameter"] == field


@pytest.mark.slow
@pytest.mark.parametrize(
    "body", [b"", b"\x00\xff", b"[1]", b'{"version":"4","alerts":[{"status":"firing"}]}']
)
def test_an_unparseable_body_is_kept_raw(client: FlaskClient, tmp_path: Path, body: bytes) -> None:
    response = client.post("/api/v1/alerts", data=body)
    assert (response.status_code, response.json) == (202, {"stored": 0, "raw": True})
    with closing(sqlite3.connect(tmp_path / "modelplane.db")) as connection:
        assert connection.execute("SELECT body, kind FROM payloads").fetchall() == [(body, "raw")]
    assert client.get("/api/v1/alerts").json == {"alerts": [], "total": 0}


def test_a_body_above_the_limit_is_413(
    settings: Settings, make_client: Callable[[Settings], FlaskClient], tmp_path: Path
) -> None:
    client = make_client(dataclasses.replace(settings, max_body_bytes=1000))
    assert client.post("/api/v1/alerts", data=b"x" * 1000).status_code == 202
    response = client.post("/api/v1/alerts", data=b"x" * 1001)
    assert response.status_code == 413
    assert response.json == {
        "message": "The body is too large; allowed: at most 1000 bytes.",
        "error": "body_too_large",
        "details": {"max_bytes": 1000},
    }


def test_a_malformed_alert_does_not_lose_its_neighbours(client: FlaskClient) -> None:
    body = {**PAYLOAD, "alerts": [{"status": "firing"}, *PAYLOAD["alerts"], {"labels": 1}]}
    response = client.post("/api/v1/alerts", json=body)
    assert response.status_code == 200
    assert response.json is not None
    assert response.json["stored"] == 2
    assert [problem.partition(":")[0] for problem in response.json["problems"]] == ["alerts.0", "alerts.3"]
    listed: Any = client.get("/api/v1/alerts").json
    assert [alert["fingerprint"] for alert in listed["alerts"]] == ["f1", "f2"]
    schemas = client.get("/openapi.json").json["paths"]["/api/v1/alerts"]["post"]["responses"]  # type: ignore[index]
    schema = schemas["200"]["content"]["application/json"]["schema"]
    assert list(Draft202012Validator(schema).iter_errors(response.json)) == []


@pytest.mark.slow
def test_a_body_of_more_alerts_than_the_bundle_allows_in_one_is_stored(client: FlaskClient) -> None:
    alerts = [
        {**PAYLOAD["alerts"][0], "fingerprint": f"f{number}", "annotations": {"description": "x" * 7000}}
        for number in range(MAX_ALERTS)
    ]
    response = client.post("/api/v1/alerts", json={**PAYLOAD, "alerts": alerts})
    assert (response.status_code, response.json) == (200, {"stored": MAX_ALERTS})


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
@pytest.mark.parametrize("field", ["startsAt", "endsAt"])
def test_absurd_times_make_no_negative_duration(client: FlaskClient, moment: str, field: str) -> None:
    alerts = [{**alert, field: moment} for alert in PAYLOAD["alerts"]]
    assert client.post("/api/v1/alerts", json={**PAYLOAD, "alerts": alerts}).status_code == 200
    for rows in ("alerts", "incidents"):
        listed: Any = client.get(f"/api/v1/{rows}").json
        assert len(listed[rows]) == 2
        assert all(0 <= row["duration_seconds"] <= 7200 for row in listed[rows])


def test_a_database_error_is_503(client: FlaskClient, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "modelplane.db")) as connection:
        connection.execute("DROP TABLE payloads")
        connection.execute("DROP TABLE episodes")
    for response in (client.post("/api/v1/alerts", json=PAYLOAD), client.get("/api/v1/alerts")):
        assert response.status_code == 503
        assert response.json is not None
        assert response.json["error"] == "store_unavailable"
        assert response.headers["Retry-After"] == "1"
        assert b"payloads" not in response.data


def test_annotations_may_be_any_text(client: FlaskClient) -> None:
    text = 'quotes " and \\ and {{ $value }} and \u2028 and \U0001f525 and \x00'
    body = {"version": "4", "alerts": [{**PAYLOAD["alerts"][0], "annotations": {"summary": text}}]}
    assert client.post("/api/v1/alerts", data=orjson.dumps(body)).status_code == 200
    listed = client.get("/api/v1/alerts").json
    assert listed is not None
    assert listed["alerts"][0]["summary"] == text


def test_the_source_is_part_of_the_address(client: FlaskClient) -> None:
    assert client.post("/api/v1/alerts?source=eu-1", json=PAYLOAD).status_code == 200
    listed = client.get("/api/v1/alerts").json
    assert listed is not None
    assert {alert["source"] for alert in listed["alerts"]} == {"eu-1"}
    for query in ("source=", "source=a/b", "source=a&source=b", "sauce=a"):
        assert client.post(f"/api/v1/alerts?{query}", json=PAYLOAD).status_code == 400
