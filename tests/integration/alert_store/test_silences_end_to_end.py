"""A tenant silences its own alert in a real Alertmanager, and nobody else's by any trick."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests

from alert_receivers import Notified, receiving
from generations import Servers
from modelplane_datasource.tenancy.tokens import hash_token
from modelplane_provisioning.processes import PATIENCE_SECONDS, Process, free_port, wait_until
from modelplane_schema.metrics import TENANT_ID

OPERATOR, WRITER, TOKENS = "operator", "writer", {"a": "token-a", "b": "token-b"}
CONFIG = """
route:
  receiver: backend
  group_by: [tenant_id, model_name, number]
  group_wait: 0s
  group_interval: 1s
  repeat_interval: 1h
receivers:
  - name: backend
    webhook_configs:
      - {url: "%s", send_resolved: true}
      - url: "%s/api/v1/alerts"
        http_config: {authorization: {credentials: %s}}
"""
TRICKS: list[list[dict[str, str]]] = [
    [{"name": "tenant_id", "value": "b"}],
    [{"name": "tenant_id", "operator": "=~", "value": ".*"}],
    [{"name": "tenant_id", "operator": "!=", "value": "a"}],
    [{"name": "tenant_id", "operator": "!~", "value": "a"}],
    [{"name": "tenant_id", "value": ""}],
    [{"name": "tenant_id", "value": "a"}, {"name": "tenant_id", "value": "b"}],
    [{"name": "t\u0435nant_id", "value": "b"}],
    # These are allowed, and confined to the tenant that asks.
    [{"name": "alertname", "operator": "=~", "value": ".*"}],
    [{"name": "team", "value": ""}],
    [{"name": "alertname", "operator": "!=", "value": 'x"} or {tenant_id="b'}],
]


class Site(NamedTuple):
    """URLs of an Alertmanager and of a backend, whose process this is, and who was notified."""

    alertmanager: str
    backend: str
    process: Process
    notified: Notified

    def fire(self, number: str, model: str = "m") -> None:
        """An alert of each tenant with the same other labels."""
        now = datetime.now(UTC)
        alerts = [
            {
                "labels": {
                    "alertname": "ModelDown",
                    TENANT_ID: tenant,
                    "model_name": model,
                    "number": number,
                },
                "startsAt": now.isoformat(),
                "endsAt": (now + timedelta(hours=1)).isoformat(),
            }
            for tenant in TOKENS
        ]
        url = f"{self.alertmanager}/api/v2/alerts"
        requests.post(url, json=alerts, timeout=PATIENCE_SECONDS).raise_for_status()

    def ask(self, method: str, path: str, token: str, body: Any = None) -> requests.Response:
        """What the backend answers."""
        return requests.request(
            method, f"{self.backend}/api/v1{path}", json=body, timeout=PATIENCE_SECONDS,
            headers={"Authorization": f"Bearer {token}"},
        )  # fmt: skip

    def told(self, number: str) -> set[str]:
        """The tenants of whose alert of a number somebody was notified."""
        return {labels[TENANT_ID] for labels in self.notified.firing if labels.get("number") == number}

    def silence(self, token: str, matchers: list[dict[str, str]]) -> requests.Response:
        """Silence for an hour."""
        body = {"matchers": matchers, "duration": "1h", "by": "Ada", "comment": "upgrade"}
        return self.ask("POST", "/silences", token, body)


@pytest.fixture(scope="module")
def site(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("silences")
    alerts_port, port = free_port(), free_port()
    alertmanager_url, backend_url = f"http://127.0.0.1:{alerts_port}", f"http://127.0.0.1:{port}"
    known: list[dict[str, Any]] = [
        {"name": "operator", "role": "admin", "sha256": hash_token(OPERATOR)},
        {"name": "alertmanager", "role": "writer", "sha256": hash_token(WRITER)},
        *(
            {"name": tenant, "role": "tenant", "tenants": [tenant], "sha256": hash_token(token)}
            for tenant, token in TOKENS.items()
        ),
    ]
    (folder / "tokens.json").write_text(json.dumps({"tokens": known}))
    with ExitStack() as running:
        notified = running.enter_context(receiving())
        (folder / "alertmanager.yml").write_text(CONFIG % (notified.url, backend_url, WRITER))
        process = backend(folder, port, alertmanager_url)
        running.enter_context(process)
        running.enter_context(alertmanager(servers, folder, alerts_port))
        yield Site(alertmanager_url, backend_url, process, notified)


def backend(folder: Path, port: int, alertmanager_url: str) -> Process:
    prefix = "MODELPLANE_DATASOURCE_"
    settings = {
        "DATABASE_URL": f"sqlite:///{folder}/m.db", "PORT": str(port), "PROMETHEUS_URL": "http://127.0.0.1:9",
        "TOKEN_FILE": str(folder / "tokens.json"), "ALERTMANAGER_URLS": alertmanager_url,
        "RECONCILE_INTERVAL_SECONDS": "0.5",
    }  # fmt: skip
    environment = {f"{prefix}{name}": text for name, text in settings.items()}
    command = [sys.executable, "-m", "modelplane_datasource"]
    return Process(
        "backend", command, folder / "backend.log", environment, f"http://127.0.0.1:{port}/healthz"
    )


def alertmanager(servers: Servers, folder: Path, port: int) -> Process:
    command = [
        servers.alertmanager,
        f"--config.file={folder / 'alertmanager.yml'}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    ready = f"http://127.0.0.1:{port}/-/ready"
    return Process("alertmanager", command, folder / "alertmanager.log", None, ready)


def test_a_tenant_silences_its_own_alert_alone(site: Site) -> None:
    refused = 0
    for trick in TRICKS:
        answer = site.silence(TOKENS["a"], trick)
        assert answer.status_code in (200, 400), answer.text
        refused += answer.status_code == 400
    assert refused == 7
    site.fire("1")
    assert wait_until(lambda: "b" in site.told("1"))
    # What fired later was notified, so that the alert of the first would have been before.
    site.fire("2")
    assert wait_until(lambda: "b" in site.told("2"))
    assert site.told("1") | site.told("2") == {"b"}
    listed = site.ask("GET", "/silences", TOKENS["a"]).json()["silences"]
    assert {silence["tenant_id"] for silence in listed} == {"a"}
    assert site.ask("GET", "/silences", TOKENS["b"]).json()["total"] == 0
    incident = shown_incident(site)
    assert {silence["id"] for silence in incident["silences"]} <= {silence["id"] for silence in listed}
    for silence in listed:
        path = f"/silences/{silence['id']}/expire"
        assert site.ask("POST", path, TOKENS["b"], {"by": "Eve"}).status_code == 404
        assert site.ask("POST", path, TOKENS["a"], {"by": "Grace", "note": "done"}).status_code == 200
    assert wait_until(lambda: site.told("1") == {"a", "b"})
    site.process.stop()
    site.process.start()
    site.process.wait_ready()
    after = shown_incident(site)
    assert {silence["expired_by"] for silence in after["silences"]} == {"Grace"}
    assert site.ask("GET", "/silences?status=expired", TOKENS["a"]).json()["total"] == len(listed)


def shown_incident(site: Site, model: str = "m") -> dict[str, Any]:
    """The tenant's incident once it has silences."""
    shown: list[dict[str, Any]] = []

    def has_silences() -> bool:
        incidents = site.ask("GET", f"/incidents?model-name={model}", TOKENS["a"]).json()["incidents"]
        shown[:] = [site.ask("GET", f"/incidents/{row['id']}", TOKENS["a"]).json() for row in incidents[:1]]
        return bool(shown and shown[0]["silences"])

    assert wait_until(has_silences)
    return shown[0]


def test_silences_of_other_clients_come_into_the_history(site: Site) -> None:
    now = datetime.now(UTC)
    silence = {
        "matchers": [{"name": TENANT_ID, "value": "a", "isRegex": False}],
        "startsAt": now.isoformat(), "endsAt": (now + timedelta(hours=1)).isoformat(),
        "createdBy": "amtool", "comment": "by hand",
    }  # fmt: skip
    url = f"{site.alertmanager}/api/v2/silences"
    number = requests.post(url, json=silence, timeout=PATIENCE_SECONDS).json()["silenceID"]
    (row,) = site.ask("GET", "/silences", TOKENS["a"]).json()["silences"]
    assert (row["id"], row["by"], row["status"]) == (number, "amtool", "active")
    site.fire("3", "other")
    assert [silence["by"] for silence in shown_incident(site, "other")["silences"]] == ["amtool"]
