"""Routes of incidents, their annotations, and what suppression windows mark."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator

from modelplane_datasource.settings import ConfigurationError, Settings
from modelplane_datasource.timeline.times import format_rfc3339
from modelplane_schema.alerts import PROBE_ALERT

NOW = 1_698_400_800_000
HOUR, MINUTE = 3_600_000, 60_000


def alert(name: str, start: int, end: int | None = None, tenant: str = "user-A") -> dict[str, Any]:
    """An alert from and to minutes before now."""
    return {
        "status": "firing" if end is None else "resolved",
        "labels": {"alertname": name, "severity": "warning", "tenant_id": tenant, "model_name": "resnet50"},
        "startsAt": format_rfc3339(NOW - start * MINUTE),
        "fingerprint": f"{name}-{tenant}",
        **({} if end is None else {"endsAt": format_rfc3339(NOW - end * MINUTE)}),
    }


ALERTS = (
    alert("SignalDrift", 50, 45),
    alert("ErrorBudgetBurn", 40, 30),
    alert("SignalDrift", 10),
    alert("ModelDown", 20, 15, "user-B"),
)


@pytest.fixture
def stored(client: FlaskClient) -> FlaskClient:
    assert client.post("/api/v1/alerts", json={"version": "4", "alerts": ALERTS}).status_code == 200
    return client


def read(client: FlaskClient, path: str) -> Any:
    response = client.get(f"/api/v1/incidents{path}")
    assert response.status_code == 200, response.text
    return response.json


def test_incidents_are_flat_rows_newest_first(stored: FlaskClient) -> None:
    newest, other, oldest = read(stored, "")["incidents"]
    assert [incident["alertnames"] for incident in (newest, other, oldest)] == [
        "SignalDrift", "ModelDown", "SignalDrift, ErrorBudgetBurn",
    ]  # fmt: skip
    assert oldest == {
        "id": oldest["id"], "starts_at": NOW - 50 * MINUTE, "ends_at": NOW - 30 * MINUTE,
        "duration_seconds": 1200.0, "status": "resolved", "severity": "warning", "tenant_id": "user-A",
        "model_name": "resnet50", "alertnames": "SignalDrift, ErrorBudgetBurn", "episodes": 2, "flapping": "",
        "suppression_windows": "", "planned": False, "acknowledged_at": None, "acknowledged_by": "",
        "time_to_acknowledge_seconds": None,
    }  # fmt: skip
    assert (newest["ends_at"], newest["duration_seconds"]) == (None, 600.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("tenant-id=user-B", ["ModelDown"]),
        ("model-name=other", []),
        ("status=firing", ["SignalDrift"]),
        ("status=resolved&limit=1", ["ModelDown"]),
        ("from=now-40m&to=now-25m", ["SignalDrift, ErrorBudgetBurn"]),
    ],
)
def test_filters(stored: FlaskClient, query: str, expected: list[str]) -> None:
    assert [incident["alertnames"] for incident in read(stored, f"?{query}")["incidents"]] == expected


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("?limit=0", "limit"), ("?status=open", "status"), ("?from=now&to=now-1h", "from"), ("?x=1", "x"),
        ("/statistics?limit=x", "limit"), ("/statistics?from=x", "from"), ("/0-0123456789abcdef?x=1", "x"),
    ],
)  # fmt: skip
def test_bad_parameters_are_400(client: FlaskClient, path: str, field: str) -> None:
    response = client.get(f"/api/v1/incidents{path}")
    assert response.status_code == 400
    assert response.json is not None
    assert response.json["details"]["parameter"] == field


def test_one_incident_is_acknowledged_by_somebody(stored: FlaskClient) -> None:
    number = read(stored, "")["incidents"][2]["id"]
    before = read(stored, f"/{number}")
    assert [alert["alertname"] for alert in before["alerts"]] == ["SignalDrift", "ErrorBudgetBurn"]
    assert before["acknowledgements"] == []
    reported = stored.post(
        f"/api/v1/incidents/{number}/acknowledge", json={"by": "Ada", "note": "rolling back"}
    )
    assert reported.status_code == 200
    assert reported.json == read(stored, f"/{number}")
    assert reported.json is not None
    assert reported.json["acknowledgements"] == [{"at": NOW, "by": "Ada", "note": "rolling back"}]
    assert (reported.json["acknowledged_by"], reported.json["time_to_acknowledge_seconds"]) == ("Ada", 3000.0)


@pytest.mark.slow
def test_comments_on_an_incident_stay(stored: FlaskClient) -> None:
    newest, _, oldest = (row["id"] for row in read(stored, "")["incidents"])
    for by, text in (("Ada", "a driver\nis missing"), ("Grace", "\0")):
        answer = stored.post(f"/api/v1/incidents/{oldest}/comment", json={"by": by, "comment": text})
        assert answer.status_code == 200
    assert answer.json == read(stored, f"/{oldest}")
    assert read(stored, f"/{oldest}")["comments"] == [
        {"at": NOW, "by": "Ada", "comment": "a driver\nis missing"},
        {"at": NOW, "by": "Grace", "comment": "\ufffd"},
    ]
    assert read(stored, f"/{newest}")["comments"] == []
    # A late notification moves the start of the incident; what was said of it stays.
    late = {"version": "4", "alerts": [alert("SignalDrift", 55, 45)]}
    assert stored.post("/api/v1/alerts", json=late).status_code == 200
    assert read(stored, f"/{oldest}")["starts_at"] == NOW - 55 * MINUTE
    assert [entry["by"] for entry in read(stored, f"/{oldest}")["comments"]] == ["Ada", "Grace"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "body"), (b'{"by":"a"}', "comment"), (b'{"by":"a","comment":""}', "comment"),
        (b'{"by":"a","comment":" "}', "comment"), (b'{"comment":"a"}', "by"),
        (b'{"by":"a","comment":"b","note":"c"}', "note"),
        (b'{"by":"a","comment":"%s"}' % (b"x" * 2001), "comment"),
    ],
)  # fmt: skip
def test_a_bad_comment_is_400(stored: FlaskClient, body: bytes, field: str) -> None:
    number = read(stored, "")["incidents"][0]["id"]
    response = stored.post(f"/api/v1/incidents/{number}/comment", data=body)
    assert response.status_code == 400
    assert response.json is not None
    assert response.json["details"]["parameter"] == field
    assert read(stored, f"/{number}")["comments"] == []


@pytest.mark.slow
@pytest.mark.parametrize("number", ["x", "0-0123456789abcdef", "..", "18b70b82c00-79290fe94a1379290"])
def test_an_unknown_incident_is_404(stored: FlaskClient, number: str) -> None:
    for response in (
        stored.get(f"/api/v1/incidents/{number}"),
        stored.post(f"/api/v1/incidents/{number}/acknowledge", json={"by": "Ada"}),
        stored.post(f"/api/v1/incidents/{number}/comment", json={"by": "Ada", "comment": "seen"}),
    ):
        assert response.status_code == 404
        assert response.json is not None
        assert set(response.json) == {"message", "error", "details"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "body"), (b"[]", "body"), (b"{}", "by"), (b'{"by":""}', "by"), (b'{"by":1}', "by"),
        (b'{"by":"a","note":null}', "note"), (b'{"by":"a","who":"b"}', "who"),
        (b'{"by":"%s"}' % (b"x" * 2001), "by"),
    ],
)  # fmt: skip
def test_a_bad_acknowledgement_is_400(stored: FlaskClient, body: bytes, field: str) -> None:
    number = read(stored, "")["incidents"][0]["id"]
    response = stored.post(f"/api/v1/incidents/{number}/acknowledge", data=body)
    assert response.status_code == 400
    assert response.json is not None
    assert response.json["details"]["parameter"] == field
    assert read(stored, f"/{number}")["acknowledgements"] == []


def test_statistics(stored: FlaskClient) -> None:
    number = read(stored, "?tenant-id=user-B")["incidents"][0]["id"]
    stored.post(f"/api/v1/incidents/{number}/acknowledge", json={"by": "Ada"})
    assert read(stored, "/statistics?from=now-2h&limit=1") == {
        "incidents": 3, "planned": 0, "acknowledged": 1, "resolved": 2,
        "mean_time_to_acknowledge_seconds": 1200.0, "mean_time_to_resolve_seconds": (1200 + 300) / 2,
        "noisiest": [
            {"alertname": "SignalDrift", "tenant_id": "user-A", "model_name": "resnet50", "episodes": 2,
             "firing_seconds": 900.0, "flapping": False},
        ],
    }  # fmt: skip
    assert read(stored, "/statistics?from=now-35m&tenant-id=user-A")["incidents"] == 1
    assert read(stored, "/statistics?model-name=other")["mean_time_to_resolve_seconds"] is None


def test_probe_alerts_are_in_no_incident(stored: FlaskClient) -> None:
    """Neither those of the doctor, which name no model, nor such that do."""
    before = [read(stored, path) for path in ("", "/statistics?from=now-2h")]
    probes = [alert(PROBE_ALERT, 60, 1), {**alert(PROBE_ALERT, 29), "labels": {"alertname": PROBE_ALERT}}]
    assert stored.post("/api/v1/alerts", json={"version": "4", "alerts": probes}).status_code == 200
    assert [read(stored, path) for path in ("", "/statistics?from=now-2h")] == before
    listed: Any = stored.get(f"/api/v1/alerts?alertname={PROBE_ALERT}").json
    assert len(listed["alerts"]) == 2
    marks: Any = stored.get("/api/v1/annotations/incidents?from=now-2h").json
    assert not any(PROBE_ALERT in row["title"] for row in marks["rows"])


@pytest.mark.slow
def test_answers_are_as_described(stored: FlaskClient) -> None:
    document: Any = stored.get("/openapi.json").json
    number = read(stored, "")["incidents"][0]["id"]
    stored.post(f"/api/v1/incidents/{number}/acknowledge", json={"by": "Ada"})
    for path, shape in (("", "Incidents"), (f"/{number}", "Incident"), ("/statistics", "IncidentStatistics")):
        schema = document["components"]["schemas"][shape]
        assert list(Draft202012Validator(schema).iter_errors(read(stored, path))) == []
    (parameter,) = document["paths"]["/api/v1/incidents/{id}"]["get"]["parameters"]
    assert (parameter["name"], parameter["in"], parameter["required"]) == ("id", "path", True)


def test_incidents_are_annotations(stored: FlaskClient) -> None:
    response = stored.get("/api/v1/annotations/incidents?from=now-2h&tenant-id=user-A")
    assert response.json is not None
    first, second = response.json["rows"]
    assert (first["time"], first["timeEnd"]) == (NOW - 50 * MINUTE, NOW - 30 * MINUTE)
    assert (second["time"], second["timeEnd"]) == (NOW - 10 * MINUTE, NOW)
    assert first["title"] == "SignalDrift, ErrorBudgetBurn"
    assert second["tags"] == "incident,warning,firing,user-A,resnet50"


def test_suppression_windows_mark_alerts_and_incidents(
    settings: Settings, make_client: Callable[[Settings], FlaskClient], tmp_path: Path
) -> None:
    path = tmp_path / "windows.yaml"
    start, end = format_rfc3339(NOW - 12 * MINUTE), format_rfc3339(NOW + HOUR)
    path.write_text(f"windows: [{{name: swap, from: {start}, to: {end}, models: [resnet50]}}]")
    client = make_client(dataclasses.replace(settings, suppression_file=path))
    client.post("/api/v1/alerts", json={"version": "4", "alerts": ALERTS})
    marks = [
        (incident["suppression_windows"], incident["planned"]) for incident in read(client, "")["incidents"]
    ]
    assert marks == [("swap", True), ("", False), ("", False)]
    listed: Any = client.get("/api/v1/alerts").json
    assert [alert["suppression_windows"] for alert in listed["alerts"]] == ["swap", "", "", ""]
    path.write_text("windows: 1")
    with pytest.raises(ConfigurationError, match=r"SUPPRESSION_FILE: .*windows.yaml: windows"):
        make_client(dataclasses.replace(settings, suppression_file=path))
