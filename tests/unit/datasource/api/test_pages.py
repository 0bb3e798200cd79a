"""Alerts and incidents page by page: all of a list can be reached, each of it once, and the total says so."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from modelplane_datasource.settings import Settings
from modelplane_datasource.tenancy.tokens import hash_token
from modelplane_datasource.timeline.times import format_rfc3339

NOW = 1_698_400_800_000
MINUTE = 60_000
TENANTS = ("user-A", "user-B", "user-C")
ALERTS, LIMIT = 2_500, 1000
ADMIN, TENANT = "admin-token", "tenant-token"


def alert(number: int) -> dict[str, Any]:
    """Many start at the same moment; each is an incident of its own model."""
    labels = {
        "alertname": "ModelDown", "tenant_id": TENANTS[number % 3], "model_name": f"m{number}",
        "severity": ("info", "critical", "warning")[number % 3],
    }  # fmt: skip
    start, end = NOW - (100 + number % 7) * MINUTE, NOW - 90 * MINUTE
    is_open = number % 10 == 0
    return {
        "status": "firing" if is_open else "resolved",
        "labels": labels,
        "startsAt": format_rfc3339(start),
        **({} if is_open else {"endsAt": format_rfc3339(end)}),
        "fingerprint": f"f{number}",
    }


@pytest.fixture
def stored(settings: Settings, make_client: Callable[[Settings], FlaskClient], tmp_path: Path) -> FlaskClient:
    path = tmp_path / "tokens.json"
    tokens = [
        {"name": "operator", "role": "admin", "sha256": hash_token(ADMIN)},
        {"name": "a", "role": "tenant", "tenants": ["user-A"], "sha256": hash_token(TENANT)},
    ]
    path.write_text(json.dumps({"tokens": tokens}))
    client = make_client(dataclasses.replace(settings, token_file=path))
    body = {"version": "4", "alerts": [alert(number) for number in range(ALERTS)]}
    headers = {"Authorization": f"Bearer {ADMIN}"}
    assert client.post("/api/v1/alerts", json=body, headers=headers).status_code == 200
    return client


def page(client: FlaskClient, path: str, token: str = ADMIN) -> Any:
    response = client.get(f"/api/v1/{path}", headers={"Authorization": f"Bearer {token}"})
    assert response.status_code == 200, response.text
    return response.json


def pages(client: FlaskClient, rows: str, query: str, total: int) -> Iterator[dict[str, Any]]:
    """The rows of all pages of which none is empty; each says the total."""
    offset = 0
    while True:
        answer = page(client, f"{rows}?limit={LIMIT}&offset={offset}{query}")
        assert answer["total"] == total
        if not answer[rows]:
            return
        assert len(answer[rows]) == min(LIMIT, total - offset)
        yield from answer[rows]
        offset += LIMIT


@pytest.mark.slow
def test_every_alert_and_incident_is_on_one_page(stored: FlaskClient) -> None:
    alerts = list(pages(stored, "alerts", "", ALERTS))
    assert {row["fingerprint"] for row in alerts} == {f"f{number}" for number in range(ALERTS)}
    starts = [row["starts_at"] for row in alerts]
    assert len(alerts) == ALERTS
    assert starts == sorted(starts, reverse=True)
    incidents = list(pages(stored, "incidents", "&order=newest", ALERTS))
    assert len({row["id"] for row in incidents}) == len(incidents) == ALERTS
    starts = [row["starts_at"] for row in incidents]
    assert starts == sorted(starts, reverse=True)


@pytest.mark.slow
def test_the_worst_incidents_come_first(stored: FlaskClient) -> None:
    """Open ones, then severe ones, then new ones; the same page by page."""
    rows = list(pages(stored, "incidents", "", ALERTS))
    ranks = [
        (
            ("firing", "suppressed", "resolved").index(row["status"]),
            ("critical", "warning", "info").index(row["severity"]),
            -row["starts_at"],
        )
        for row in rows
    ]
    assert ranks == sorted(ranks)
    assert len({row["id"] for row in rows}) == ALERTS
    assert [row["id"] for row in page(stored, "incidents?limit=3")["incidents"]] == [
        row["id"] for row in rows[:3]
    ]


@pytest.mark.slow
@pytest.mark.parametrize("rows", ["alerts", "incidents"])
def test_a_total_counts_what_the_filter_and_the_caller_leave(stored: FlaskClient, rows: str) -> None:
    own = sum(number % 3 == 0 for number in range(ALERTS))
    for limit, offset in ((1, 0), (1000, 0), (1000, own - 1), (5, own), (5, 10**9)):
        answer = page(stored, f"{rows}?limit={limit}&offset={offset}", TENANT)
        assert answer["total"] == own
        assert {row["tenant_id"] for row in answer[rows]} <= {"user-A"}
        assert len(answer[rows]) == max(0, min(limit, own - offset))
    assert page(stored, f"{rows}?tenant-id={{user-A,user-B}}&limit=1")["total"] == ALERTS - ALERTS // 3
    assert page(stored, f"{rows}?status=firing&limit=1")["total"] == ALERTS // 10
    assert page(stored, f"{rows}?to=now-7h") == {rows: [], "total": 0}
