"""Nothing that was acknowledged is lost: killed backends, a stopped database, a full disk."""

from __future__ import annotations

import itertools
import os
import resource
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import orjson
import pytest
import requests

from generations import Servers, newest_available
from modelplane_datasource.alerts.store import AlertFilter, AlertStore
from modelplane_provisioning.processes import PATIENCE_SECONDS, Process, free_port, wait_until
from postgresql_server import PostgreSQL

ALERTS, GROUPS, RESOLVED_GROUPS = 10_000, 100, 50
GROUPS_PER_SECOND = 4
CONFIG = """
route:
  receiver: backend
  group_by: [tenant_id]
  group_wait: 1s
  group_interval: 3s
  repeat_interval: 1h
receivers:
  - name: backend
    webhook_configs: [{url: "%s", send_resolved: true}]
"""


@pytest.fixture(scope="session")
def servers() -> Servers:
    """One generation: both send the same bodies, which test_alert_routing shows."""
    return newest_available()


class Gateway:
    """Stands between Alertmanager and the backend, and remembers what was answered with 2xx."""

    def __init__(self, target: str) -> None:
        self.acknowledged: set[tuple[str, str]] = set()
        self.refused = 0
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                try:
                    status = requests.post(target, body, timeout=PATIENCE_SECONDS).status_code
                except requests.RequestException:
                    status = 502
                gateway.remember(body, status)
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                """What matters is remembered."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        self._lock = threading.Lock()
        self.url = f"http://127.0.0.1:{self._server.server_port}/"

    def remember(self, body: bytes, status: int) -> None:
        with self._lock:
            if 200 <= status < 300:
                alerts = orjson.loads(body)["alerts"]
                self.acknowledged |= {(alert["fingerprint"], alert["status"]) for alert in alerts}
            else:
                self.refused += 1

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def backend(folder: Path, database_url: str, port: int, **settings: str) -> Process:
    """``python -m modelplane_datasource``; not started."""
    settings = {
        "DATABASE_URL": database_url, "PORT": str(port), "PROMETHEUS_URL": "http://127.0.0.1:9", **settings,
    }  # fmt: skip
    environment = {f"MODELPLANE_DATASOURCE_{name}": text for name, text in settings.items()}
    command = [sys.executable, "-m", "modelplane_datasource"]
    return Process(
        "backend", command, folder / "backend.log", environment, f"http://127.0.0.1:{port}/healthz"
    )


def alertmanager(servers: Servers, folder: Path, webhook: str, port: int) -> Process:
    """A real one; not started."""
    (folder / "alertmanager.yml").write_text(CONFIG % webhook)
    command = [
        servers.alertmanager,
        f"--config.file={folder / 'alertmanager.yml'}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    return Process(
        "alertmanager", command, folder / "alertmanager.log", None, f"http://127.0.0.1:{port}/-/ready"
    )


@pytest.fixture
def running() -> Iterator[Callable[[Process], Process]]:
    """Start a process that is stopped when the test ends."""
    processes: list[Process] = []

    def start(process: Process) -> Process:
        process.start()
        processes.append(process)
        process.wait_ready()
        return process

    yield start
    for process in reversed(processes):
        process.stop()


def send_group(url: str, group: int, ends_in: float) -> None:
    """Tell Alertmanager of the alerts of one group, which end in some seconds or have ended."""
    now = datetime.now(UTC)
    alerts = [
        {
            "labels": {
                "alertname": "Storm",
                "tenant_id": f"tenant-{group}",
                "model_name": "m",
                "number": f"{number}",
            },
            "startsAt": "2026-01-01T00:00:00Z",
            "endsAt": (now + timedelta(seconds=ends_in)).isoformat(),
        }
        for number in range(ALERTS // GROUPS)
    ]
    requests.post(f"{url}/api/v2/alerts", json=alerts, timeout=PATIENCE_SECONDS).raise_for_status()


def storm(url: str, at: dict[int, Callable[[], object]]) -> None:
    """Send every group, no faster than a steady pace, with a fault before some of them."""
    began = time.monotonic()
    for group in range(GROUPS):
        at.get(group, lambda: None)()
        send_group(url, group, 3600)
        time.sleep(max(0, began + (group + 1) / GROUPS_PER_SECOND - time.monotonic()))


def states(store: AlertStore) -> dict[str, int]:
    counts: dict[str, int] = {}
    for episode in store.alerts(AlertFilter(limit=10 * ALERTS)):
        counts[episode.status] = counts.get(episode.status, 0) + 1
    return counts


def test_ten_thousand_alerts_through_alertmanager_with_kills_and_a_stopped_database(
    servers: Servers, postgresql: PostgreSQL, tmp_path: Path, running: Callable[[Process], Process]
) -> None:
    database_url, port, alerts_port = postgresql.new_database(), free_port(), free_port()
    with closing(Gateway(f"http://127.0.0.1:{port}/api/v1/alerts")) as gateway:
        server = running(backend(tmp_path, database_url, port))
        alerts_url = f"http://127.0.0.1:{alerts_port}"
        running(alertmanager(servers, tmp_path, gateway.url, alerts_port))
        storm(
            alerts_url,
            {
                20: server.kill,
                32: lambda: running(backend(tmp_path, database_url, port)),
                50: postgresql.process.kill,
                70: postgresql.start,
            },
        )
        with closing(AlertStore(database_url, 10)) as store:
            assert wait_until(lambda: states(store) == {"firing": ALERTS}, interval=0.5), states(store)
            for group in range(RESOLVED_GROUPS):
                send_group(alerts_url, group, -1)
            ended = RESOLVED_GROUPS * (ALERTS // GROUPS)
            expected = {"firing": ALERTS - ended, "resolved": ended}
            assert wait_until(lambda: states(store) == expected, interval=0.5), states(store)
            stored = {
                (episode.fingerprint, episode.status)
                for episode in store.alerts(AlertFilter(limit=10 * ALERTS))
            }
        assert {alert for alert in gateway.acknowledged if alert[1] == "resolved"} <= stored
        assert {name for name, _ in gateway.acknowledged} == {name for name, _ in stored}
        assert gateway.refused > 0


def failed_notifications(url: str) -> float:
    """How often Alertmanager could not deliver a group to a webhook."""
    text = requests.get(f"{url}/metrics", timeout=PATIENCE_SECONDS).text
    name = 'alertmanager_notifications_failed_total{integration="webhook"'
    return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(name))


@pytest.mark.parametrize("limit", [2000, 20_000])
def test_alertmanager_sends_again_what_was_too_large(
    servers: Servers, tmp_path: Path, running: Callable[[Process], Process], limit: int
) -> None:
    """So that nothing is lost when the limit is raised, or the group becomes smaller.

    The larger limit refuses a body of 28 kB after reading it, the smaller one unread.
    """
    database_url, port, alerts_port = f"sqlite:///{tmp_path}/m.db", free_port(), free_port()
    alerts_url = f"http://127.0.0.1:{alerts_port}"
    server = running(backend(tmp_path, database_url, port, MAX_BODY_BYTES=str(limit)))
    running(alertmanager(servers, tmp_path, f"http://127.0.0.1:{port}/api/v1/alerts", alerts_port))
    send_group(alerts_url, 1, 3600)
    assert wait_until(lambda: failed_notifications(alerts_url) >= 2)
    server.kill()
    running(backend(tmp_path, database_url, port))
    with closing(AlertStore(database_url, 10)) as store:
        assert wait_until(lambda: states(store) == {"firing": ALERTS // GROUPS})


def post(url: str, fingerprint: str) -> int:
    alert = {
        "status": "firing", "labels": {"alertname": "Disk", "text": "x" * 2000},
        "startsAt": "2026-01-01T00:00:00Z", "fingerprint": fingerprint,
    }  # fmt: skip
    return requests.post(url, json={"version": "4", "alerts": [alert]}, timeout=PATIENCE_SECONDS).status_code


def limit_files(process: Process, size: int) -> None:
    """Let no file of a process grow beyond ``size`` bytes: its writes fail as on a full disk."""
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def store_state(port: int) -> str:
    """What ``/readyz`` says of the store; Prometheus, which is missing here, makes it 503."""
    answer = requests.get(f"http://127.0.0.1:{port}/readyz", timeout=PATIENCE_SECONDS)
    assert answer.status_code == 503
    state: str = answer.json()["details"]["store"]
    return state


def test_a_disk_that_is_full_for_a_while(tmp_path: Path, running: Callable[[Process], Process]) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/api/v1/alerts"
    server = running(backend(tmp_path, f"sqlite:///{tmp_path}/m.db", port))
    numbers, statuses = itertools.count(), dict[str, int]()

    def send(count: int) -> set[int]:
        names = [f"f{next(numbers)}" for _ in range(count)]
        with ThreadPoolExecutor(4) as pool:
            answers = dict(zip(names, pool.map(lambda name: post(url, name), names), strict=True))
        statuses.update(answers)
        return set(answers.values())

    assert send(40) == {200}
    limit_files(server, max(os.path.getsize(path) for path in tmp_path.glob("m.db*")) + 20_000)
    full = send(100)
    assert 503 in full
    assert full <= {200, 503}
    assert requests.get(url, timeout=PATIENCE_SECONDS).status_code == 200
    assert requests.get(f"http://127.0.0.1:{port}/healthz", timeout=PATIENCE_SECONDS).status_code == 200
    assert "cannot be written" in store_state(port)
    limit_files(server, resource.RLIM_INFINITY)
    assert send(40) == {200}
    assert store_state(port) == "ok"
    server.kill()
    with closing(AlertStore(f"sqlite:///{tmp_path}/m.db", 10)) as store:
        fingerprints = {episode.fingerprint for episode in store.alerts(AlertFilter(limit=1000))}
    assert {name for name, status in statuses.items() if status == 200} <= fingerprints
