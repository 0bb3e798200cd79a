"""The alert that always fires: when it came, and that nothing grows by it or counts it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from datasource_support.fake_prometheus import NOW
from modelplane_datasource.alerts.payloads import parse_payload
from modelplane_datasource.alerts.store import AlertFilter, AlertStore
from modelplane_datasource.alerts.store_writes import Delivery
from modelplane_datasource.alerts.tables import PAYLOADS, SCHEMA
from modelplane_datasource.settings import Settings
from modelplane_datasource.timeline.times import DAY, format_rfc3339
from modelplane_schema.alerts import WATCHDOG

MILLISECONDS = NOW * 1000
MINUTE = 60_000
SERIES = "modelplane_datasource_watchdog_last_seen_timestamp_seconds"


def watchdog(
    start: int = MILLISECONDS - DAY, reason: str = "repeat interval elapsed", **changed: Any
) -> bytes:
    alert = {
        "status": "firing",
        "labels": {"alertname": WATCHDOG.name, "severity": "info", "audience": "platform"},
        "annotations": {"summary": "Alerts are delivered."},
        "startsAt": format_rfc3339(start),
        "endsAt": "0001-01-01T00:00:00Z",
        "fingerprint": "f1",
        **changed,
    }
    body = {"version": "4", "alerts": [alert], "notification_reason": reason}
    return orjson.dumps(body)


def delivery(body: bytes, at: int, source: str = "alertmanager") -> Delivery:
    return Delivery(body, "webhook", source, at, parse_payload(body, source, at))


def post(client: FlaskClient, body: bytes, query: str = "") -> None:
    assert client.post(f"/api/v1/alerts{query}", data=body).status_code == 200


def seen(client: FlaskClient) -> dict[str, float]:
    """Seconds since 1970 by source, as /metrics says."""
    families = text_string_to_metric_families(client.get("/metrics").get_data(as_text=True))
    samples = [sample for family in families for sample in family.samples if sample.name == SERIES]
    return {sample.labels["source"]: sample.value for sample in samples}


@pytest.mark.slow
def test_a_month_of_it_fills_no_store(tmp_path: Path) -> None:
    """Each minute, with a restart of Prometheus each day, as many deliveries a transaction as one day has."""
    path = tmp_path / "m.db"
    with closing(AlertStore(f"sqlite:///{path}", 10)) as store:
        for day in range(30):
            bodies = [
                watchdog(day * DAY, reason) for reason in ("first notification", "repeat interval elapsed")
            ]
            said = [delivery(body, day * DAY) for body in bodies]
            store._write(
                [
                    dataclasses.replace(said[minute > 0], received_at=day * DAY + minute * MINUTE)
                    for minute in range(24 * 60)
                ]
            )
        assert store.watchdog_seen() == {"alertmanager": 30 * DAY - MINUTE}
        with store._database.reading() as connection:
            counts = {
                name: connection.execute(sa.select(sa.func.count()).select_from(SCHEMA.tables[name])).scalar()
                for name in ("payloads", "observations", "episodes", "watchdog")
            }
            received = connection.execute(sa.select(sa.func.sum(PAYLOADS.c.count))).scalar()
    assert counts == {"payloads": 60, "observations": 30, "episodes": 1, "watchdog": 1}
    assert received == 30 * 24 * 60
    assert os.path.getsize(path) < 200_000


def test_when_it_came_survives_a_restart(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/m.db"
    with closing(AlertStore(url, 10)) as store:
        assert store.last_watchdogs == store.watchdog_seen() == {}
        for at, source in ((5, "eu"), (7, "eu"), (6, "eu"), (3, "us")):
            store.record(watchdog(), parse_payload(watchdog(), source), at, source)
        assert store.last_watchdogs == store.watchdog_seen() == {"eu": 7, "us": 3}
    with closing(AlertStore(url, 10)) as store:
        assert store.last_watchdogs == {"eu": 7, "us": 3}
        store.prune(5)
        assert store.watchdog_seen() == {"eu": 7}


def test_it_is_published_once_it_came(client: FlaskClient) -> None:
    assert seen(client) == {}
    assert client.get("/api/v1/watchdog").json == {"last_seen_at": None, "age_seconds": None, "sources": []}
    post(client, watchdog())
    post(client, watchdog(), "?source=eu")
    assert seen(client) == {"alertmanager": NOW, "eu": NOW}
    assert client.get("/api/v1/watchdog").json == {
        "last_seen_at": MILLISECONDS, "age_seconds": 0.0,
        "sources": [{"source": name, "last_seen_at": MILLISECONDS} for name in ("alertmanager", "eu")],
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    "changed",
    [
        {"status": "resolved", "endsAt": format_rfc3339(MILLISECONDS)},
        {"labels": {"alertname": "Other", "text": '"alertname":"Watchdog"'}},
        {"labels": {'x"alertname': WATCHDOG.name, "alertname": "Other"}},
        {"labels": {"alertname": "WatchdogOther"}},
    ],
)
def test_what_is_not_the_watchdog_is_not_seen(client: FlaskClient, changed: dict[str, Any]) -> None:
    post(client, watchdog(**changed))
    assert seen(client) == {}


def test_a_list_of_alertmanager_is_not_the_whole_path(tmp_path: Path) -> None:
    with closing(AlertStore(f"sqlite:///{tmp_path}/m.db", 10)) as store:
        (said,) = parse_payload(watchdog(), "eu")
        store.record_poll([dataclasses.replace(said, kind="active")], 5, "eu")
        assert store.watchdog_seen() == {}


@pytest.mark.slow
def test_it_is_on_no_list_and_in_no_incident_or_statistics(client: FlaskClient) -> None:
    post(client, watchdog())
    named: Any = client.get(f"/api/v1/alerts?alertname={WATCHDOG.name}").json
    assert named["total"] == 1
    for path, key in (("alerts", "alerts"), ("incidents", "incidents"), ("annotations/alerts", "rows")):
        answer: Any = client.get(f"/api/v1/{path}").json
        assert answer[key] == []
        assert answer.get("total", 0) == 0
    statistics: Any = client.get("/api/v1/incidents/statistics?from=now-7d").json
    assert (statistics["incidents"], statistics["noisiest"]) == (0, [])
    other = {"alertname": "ModelDown", "model_name": "", "tenant_id": ""}
    post(client, watchdog(labels=other, fingerprint="f2"))
    incidents: Any = client.get("/api/v1/incidents").json
    assert [row["alertnames"] for row in incidents["incidents"]] == ["ModelDown"]


def test_readiness_can_require_it(
    settings: Settings, make_client: Callable[[Settings], FlaskClient], tmp_path: Path
) -> None:
    client = make_client(dataclasses.replace(settings, require_watchdog_seconds=300))
    with closing(AlertStore(settings.database_url, 10)) as store:  # another backend of the same database

        def came(seconds_ago: float) -> None:
            at = MILLISECONDS - round(seconds_ago * 1000)
            store.record(watchdog(), parse_payload(watchdog()), at)

        assert "the alert Watchdog has never come: Prometheus" in not_ready(client)
        came(301)
        assert "the alert Watchdog last came 301 s ago: Prometheus" in not_ready(client)
        came(300)
        response = client.get("/readyz")
        assert (response.status_code, response.json) == (
            200, {"status": "ok", "checks": {"prometheus": "ok", "store": "ok", "watchdog": "ok"}},
        )  # fmt: skip
        assert store.alerts(AlertFilter()) == []


def not_ready(client: FlaskClient) -> str:
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json is not None
    state: str = response.json["details"]["watchdog"]
    return state
