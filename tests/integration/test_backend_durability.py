"""An acknowledged alert outlives kill -9."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import requests

from modelplane_provisioning.processes import PATIENCE_SECONDS, Process, free_port, wait_until

WRITERS = 6
ROUNDS = 3
ACKNOWLEDGED_BEFORE_KILL = 60


def payload(fingerprint: str, alertname: str) -> dict[str, object]:
    alert = {
        "status": "firing",
        "labels": {"alertname": alertname, "tenant_id": "user-A"},
        "annotations": {"summary": fingerprint},
        "startsAt": "2023-10-27T09:00:00Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "fingerprint": fingerprint,
    }
    return {"version": "4", "status": "firing", "alerts": [alert]}


def post_until_refused(url: str, alertname: str, writer: int, acknowledged: set[str]) -> None:
    """Post alert after alert; stop when the server is gone.

    A status of 200 counts, also when the kill cuts the body off: Alertmanager looks at the status only.
    """
    with requests.Session() as session:
        for number in range(10_000):
            fingerprint = f"{alertname}-{writer}-{number}"
            try:
                answer = session.post(
                    url, json=payload(fingerprint, alertname), timeout=PATIENCE_SECONDS, stream=True
                )
                if answer.status_code == 200:
                    acknowledged.add(fingerprint)
                answer.close()
            except requests.ConnectionError:
                return


def kill_under_load(backend: Process, url: str, alertname: str) -> set[str]:
    """Fingerprints that were acknowledged before the kill."""
    acknowledged: set[str] = set()
    writers = [
        threading.Thread(target=post_until_refused, args=(url, alertname, writer, acknowledged))
        for writer in range(WRITERS)
    ]
    for writer in writers:
        writer.start()
    enough = wait_until(lambda: len(acknowledged) >= ACKNOWLEDGED_BEFORE_KILL, interval=0.005)
    backend.kill()
    for writer in writers:
        writer.join()
    assert enough
    return acknowledged


def stored(url: str, alertname: str) -> set[str]:
    answer = requests.get(url, {"alertname": alertname, "limit": "1000"}, timeout=PATIENCE_SECONDS)
    assert answer.status_code == 200
    return {alert["fingerprint"] for alert in answer.json()["alerts"]}


def test_every_acknowledged_alert_survives_kill_9(
    tmp_path: Path, start_backend: Callable[..., Process]
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/api/v1/alerts"
    backend = start_backend(tmp_path, "http://127.0.0.1:9", port)
    acknowledged: dict[str, set[str]] = {}
    for number in range(ROUNDS):
        alertname = f"Round{number}"
        acknowledged[alertname] = kill_under_load(backend, url, alertname)
        backend = start_backend(tmp_path, "http://127.0.0.1:9", port)
        for name, fingerprints in acknowledged.items():
            stored_fingerprints = stored(url, name)
            assert fingerprints <= stored_fingerprints
            # Each writer has at most one alert that was stored but not yet acknowledged.
            assert len(stored_fingerprints) <= len(fingerprints) + WRITERS


def test_the_same_alerts_again_change_nothing(tmp_path: Path, start_backend: Callable[..., Process]) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/api/v1/alerts"
    backend = start_backend(tmp_path, "http://127.0.0.1:9", port)
    for number in range(5):
        assert requests.post(
            url, json=payload(f"f{number}", "Replayed"), timeout=PATIENCE_SECONDS
        ).json() == {"stored": 1}
    before = requests.get(url, {"to": "2023-10-28T00:00:00Z"}, timeout=PATIENCE_SECONDS).json()["alerts"]
    backend.stop(PATIENCE_SECONDS)
    assert backend.returncode == 0
    start_backend(tmp_path, "http://127.0.0.1:9", port)
    for number in reversed(range(5)):
        assert (
            requests.post(url, json=payload(f"f{number}", "Replayed"), timeout=PATIENCE_SECONDS).status_code
            == 200
        )
    after = requests.get(url, {"to": "2023-10-28T00:00:00Z"}, timeout=PATIENCE_SECONDS).json()["alerts"]
    for alert in (*before, *after):
        assert alert.pop("duration_seconds") > 0
    assert len(after) == 5
    assert after == before
