"""Reconciliation with Alertmanager's list of alerts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import orjson
import pytest

from http_servers import serving_by
from modelplane_datasource.alerts.maintenance import Maintenance, MaintenanceRules, Periodic
from modelplane_datasource.alerts.payloads import parse_payload
from modelplane_datasource.alerts.reconciliation import TOLERANCE, ReconcileError, Reconciler
from modelplane_datasource.alerts.store import AlertFilter, AlertStore
from modelplane_provisioning.processes import PATIENCE_SECONDS, wait_until

START = 1_698_397_200_000  # 2023-10-27T09:00:00Z
GRACE = 600_000
LATER = "2023-10-28T09:00:00.000Z"


@dataclass
class Alertmanager:
    """``body`` is the answer to everything, with ``status``."""

    url: str = ""
    status: int = 200
    body: bytes = b"[]"
    paths: list[str] = field(default_factory=list)

    def lists(self, *alerts: dict[str, Any]) -> None:
        self.body = orjson.dumps(alerts)


@pytest.fixture
def make_alertmanager() -> Iterator[Callable[[], Alertmanager]]:
    servers = ExitStack()

    def make() -> Alertmanager:
        state = Alertmanager()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                state.paths.append(self.path)
                self.send_response(state.status)
                self.send_header("Content-Length", str(len(state.body)))
                self.end_headers()
                self.wfile.write(state.body)

            def log_message(self, *args: object) -> None:
                """Requests are in ``paths``."""

        state.url = servers.enter_context(serving_by(Handler))
        return state

    with servers:
        yield make


@pytest.fixture
def store(tmp_path: Path) -> Iterator[AlertStore]:
    opened = AlertStore(f"sqlite:///{tmp_path}/m.db", 10)
    yield opened
    opened.close()


class Site:
    """A store, its Alertmanagers and a clock in seconds after ``START``."""

    def __init__(self, store: AlertStore, *alertmanagers: Alertmanager) -> None:
        self.store = store
        self.seconds = 0
        urls = [alertmanager.url for alertmanager in alertmanagers]
        self.reconciler = Reconciler(store, urls, lambda: START + self.seconds * 1000, GRACE)

    def notify(self, fingerprint: str, end: str | None = None) -> None:
        body = orjson.dumps({"version": "4", "alerts": [{
            "status": "resolved" if end else "firing", "labels": {"alertname": fingerprint},
            "startsAt": "2023-10-27T09:00:00Z", "endsAt": end, "fingerprint": fingerprint,
        }]})  # fmt: skip
        self.store.record(body, parse_payload(body), 0)

    def poll(self, seconds: int) -> int:
        self.seconds = seconds
        return self.reconciler.run_once()

    def states(self) -> dict[str, tuple[str, str, int | None]]:
        return {
            episode.fingerprint: (
                episode.status, episode.reason,
                None if episode.ends_at is None else (episode.ends_at - START) // 1000,
            )
            for episode in self.store.alerts(AlertFilter())
        }  # fmt: skip


@pytest.fixture
def alertmanager(make_alertmanager: Callable[[], Alertmanager]) -> Alertmanager:
    return make_alertmanager()


@pytest.fixture
def site(store: AlertStore, alertmanager: Alertmanager) -> Iterator[Site]:
    made = Site(store, alertmanager)
    yield made
    made.reconciler.close()


def listed(fingerprint: str, lapses_at: str = LATER, **status: list[str]) -> dict[str, Any]:
    return {
        "fingerprint": fingerprint,
        "startsAt": "2023-10-27T09:00:00.000Z",
        "endsAt": lapses_at,
        "updatedAt": "2023-10-27T09:00:00.000Z",
        "labels": {"alertname": fingerprint},
        "annotations": {},
        "generatorURL": "http://p",
        "receivers": [{"name": "all"}],
        "status": {"state": "active", "silencedBy": [], "inhibitedBy": [], **status},
    }


def test_silenced_and_inhibited_alerts_are_seen(site: Site, alertmanager: Alertmanager) -> None:
    site.notify("known")
    alertmanager.lists(
        listed("silenced", silencedBy=["s1"]), listed("known", inhibitedBy=["f2"]), listed("plain")
    )
    assert site.poll(60) == 3
    assert site.states() == {
        "silenced": ("suppressed", "", None),
        "known": ("suppressed", "", None),
        "plain": ("firing", "", None),
    }
    by = {episode.fingerprint: episode.suppressed_by for episode in site.store.alerts(AlertFilter())}
    assert by == {"silenced": '["silence s1"]', "known": '["alert f2"]', "plain": "[]"}
    assert site.poll(90) == 0
    alertmanager.lists(listed("silenced"), listed("known", mutedBy=["night"]), listed("plain"))
    assert site.poll(120) == 2
    assert {name: state[0] for name, state in site.states().items()} == {
        "silenced": "firing", "known": "suppressed", "plain": "firing",
    }  # fmt: skip
    assert alertmanager.paths[0] == "/api/v2/alerts"


def test_an_alert_that_fires_again_under_its_old_start_is_opened_again(
    site: Site, alertmanager: Alertmanager
) -> None:
    site.notify("f")
    site.notify("f", "2023-10-27T09:10:00Z")
    alertmanager.lists(listed("f"))
    assert site.poll(600 + TOLERANCE // 1000) == 0  # the list may be older than the resolution
    assert site.states() == {"f": ("resolved", "resolved", 600)}
    assert site.poll(601 + TOLERANCE // 1000) == 1
    assert site.states() == {"f": ("firing", "", None)}
    site.notify("f", "2023-10-27T09:20:00Z")
    assert site.states() == {"f": ("resolved", "resolved", 1200)}


def test_an_alert_that_is_missing_ends_when_it_was_first_missed(
    site: Site, alertmanager: Alertmanager
) -> None:
    site.notify("f")
    alertmanager.lists(listed("f"))
    assert site.poll(10) == 0
    alertmanager.lists()
    assert [site.poll(seconds) for seconds in (60, 90, 659)] == [0, 0, 0]
    assert site.states() == {"f": ("firing", "", None)}
    assert site.poll(660) == 1
    assert site.states() == {"f": ("resolved", "absent", 60)}
    alertmanager.lists(listed("f"))
    assert site.poll(700) == 1
    assert site.states() == {"f": ("firing", "", None)}


def test_an_alert_that_comes_back_within_the_grace_was_not_missing(
    site: Site, alertmanager: Alertmanager
) -> None:
    site.notify("f")
    for seconds in range(0, 3000, 300):
        alertmanager.lists(*([listed("f")] if seconds % 600 else []))
        assert site.poll(seconds) == 0


def test_an_alert_that_was_left_to_lapse_has_expired(site: Site, alertmanager: Alertmanager) -> None:
    site.notify("f")
    alertmanager.lists(listed("f", lapses_at="2023-10-27T09:04:00.000Z"))
    assert site.poll(210) == 0
    alertmanager.lists()
    assert site.poll(240) == 1
    assert site.states() == {"f": ("resolved", "expired", 240)}
    site.notify("f", "2023-10-27T09:04:00Z")
    assert site.states() == {"f": ("resolved", "expired", 240)}


def test_an_alert_that_one_alertmanager_lists_is_listed(
    store: AlertStore, make_alertmanager: Callable[[], Alertmanager]
) -> None:
    first, second = make_alertmanager(), make_alertmanager()
    site = Site(store, first, second)
    second.lists(listed("f", silencedBy=["s"]))
    assert site.poll(0) == 1
    assert site.poll(5000) == 0
    first.status = 503
    second.lists()
    for seconds in (6000, 7000):
        with pytest.raises(ReconcileError, match="status 503"):
            site.poll(seconds)
    assert site.states() == {"f": ("suppressed", "", None)}
    site.reconciler.close()


@pytest.mark.slow
@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b"[{}]", orjson.dumps([listed("f", lapses_at="x")])])
def test_an_answer_without_sense_concludes_nothing(
    site: Site, alertmanager: Alertmanager, body: bytes
) -> None:
    site.notify("f")
    alertmanager.body = body
    with pytest.raises(ReconcileError, match="cannot be read"):
        site.poll(0)
    assert site.states() == {"f": ("firing", "", None)}


def test_an_alertmanager_that_is_away() -> None:
    with pytest.raises(ReconcileError, match="gives no answer"):
        Reconciler(None, ["http://127.0.0.1:9"], lambda: 0).run_once()  # type: ignore[arg-type]


def test_replay_repeats_what_was_found(site: Site, alertmanager: Alertmanager) -> None:
    site.notify("f")
    alertmanager.lists(listed("g", silencedBy=["s1"]))
    site.poll(0)
    site.poll(600)
    before = site.states()
    assert before == {"f": ("resolved", "absent", 0), "g": ("suppressed", "", None)}
    site.store.replay(lambda done, total: None)
    assert site.states() == before


def test_upkeep_reconciles_and_deletes(store: AlertStore, alertmanager: Alertmanager) -> None:
    old = b'{"version":"4","alerts":[]}'
    store.record(old, (), 0)
    alertmanager.lists(listed("f", silencedBy=["s1"]))
    rules = MaintenanceRules(1, (alertmanager.url,), reconcile_interval_seconds=0.05)
    upkeep = Maintenance(store, rules, lambda: START)
    upkeep.start()
    try:
        assert wait_until(lambda: bool(store.alerts(AlertFilter())) and len(alertmanager.paths) >= 2)
    finally:
        upkeep.stop()
    assert [episode.fingerprint for episode in store.alerts(AlertFilter())] == ["f"]
    assert store.replay(lambda done, total: None).payloads == 1


def test_work_that_fails_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    calls = threading.Semaphore(0)

    def work() -> None:
        calls.release()
        raise RuntimeError("no luck")

    thread = Periodic("luck", 0.01, work)
    thread.start()
    try:
        assert all(calls.acquire(timeout=PATIENCE_SECONDS) for _ in range(3))
    finally:
        thread.stop()
    assert "luck failed" in caplog.text
    assert "no luck" in caplog.text
