"""Every type of receiver is told of a start and an end, with secrets from files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from alertmanager_server import Alertmanager, Webhooks, mail_server, webhook_server
from generations import NEWEST, Servers
from modelplane_alerts.routing import Routing, alertmanager_config
from modelplane_provisioning.bundle.registry_files import registry_files
from modelplane_provisioning.local.stack import alertmanager_version
from modelplane_provisioning.processes import wait_until
from modelplane_schema.registry import parse_registry

ALERT = {"alertname": "ModelDown", "tenant_id": "a", "severity": "critical", "audience": "tenant"}
ANNOTATIONS = {"description": "no process reports it", "runbook_url": "https://plane.example.org/runbooks"}
# What the last message of each type holds.
ENDS = {
    "webhook": b'"resolved"',
    "mail": b"RESOLVED",
    "slack": b"RESOLVED",
    "mattermost": b"RESOLVED",
    "pagerduty": b'"resolve"',
}
NEW_ENDS = {"hidden": b'"resolved"', "teams": b"RESOLVED", "incidentio": b'"resolved"'}


def receivers(url: str, is_newest: bool) -> list[dict[str, Any]]:
    old = [
        {"type": "webhook", "url": f"{url}/webhook", "credentials_file": "receivers/token"},
        {"type": "email", "to": "a@example.org, b@example.org"},
        {"type": "slack", "api_url_file": "receivers/slack-url", "channel": "#ml"},
        {"type": "mattermost", "webhook_url_file": "receivers/mattermost-url"},
        {"type": "pagerduty", "routing_key_file": "receivers/token", "url": f"{url}/pagerduty"},
    ]
    new = [
        {"type": "webhook", "url_file": "receivers/hidden-url"},
        {"type": "teams", "webhook_url_file": "receivers/teams-url"},
        {"type": "incidentio", "url": f"{url}/incidentio", "alert_source_token_file": "receivers/token"},
    ]
    return old + new if is_newest else old


def write_secrets(folder: Path, url: str) -> None:
    (folder / "receivers").mkdir()
    (folder / "receivers" / "token").write_text("s3cret\n", encoding="ascii")
    for name in ("slack", "mattermost", "hidden", "teams"):
        (folder / "receivers" / f"{name}-url").write_text(f"{url}/{name}\n", encoding="ascii")


def config(servers: Servers, folder: Path, url: str, smarthost: str) -> str:
    """The configuration for a tenant with all receivers, whose secrets are below ``folder``."""
    model = {"name": "m", "framework": "jax", "owner": "o", "tenants": ["a"], "versions": [{"version": "1"}]}
    tenant = {"id": "a", "receivers": receivers(url, servers.generation == NEWEST)}
    smtp = {"smarthost": smarthost, "from": "plane@example.org", "require_tls": False}
    content = {
        "apiVersion": "modelplane/v1",
        "platform": {"smtp": smtp},
        "tenants": [tenant],
        "models": [model],
    }
    registry = parse_registry(yaml.safe_dump(content))
    for path, secret in registry_files(registry, folder).items():
        (folder / path).write_bytes(secret)
    version, token = alertmanager_version(servers.alertmanager), f"{folder}/receivers/token"
    routing = Routing(f"{url}/backend", token, str(folder), version, group_wait="0s", group_interval="1s")
    return alertmanager_config(registry, routing)


def has_told(webhooks: Webhooks, texts: dict[str, bytes]) -> bool:
    return all(webhooks.bodies[path] and text in webhooks.bodies[path][-1] for path, text in texts.items())


def test_every_type_of_receiver_is_told_of_the_start_and_the_end(servers: Servers, tmp_path: Path) -> None:
    ends = ENDS | (NEW_ENDS if servers.generation == NEWEST else {})
    starts = {**dict.fromkeys(ends, b"no process reports it"), "mail": b"FIRING"}
    with webhook_server() as (url, webhooks), mail_server(webhooks) as smarthost:
        write_secrets(tmp_path, url)
        running = Alertmanager(servers, tmp_path, config(servers, tmp_path, url, smarthost))
        with running.process:
            running.fire(ALERT, annotations=ANNOTATIONS)
            begun = wait_until(lambda: has_told(webhooks, starts))
            assert begun, (webhooks.bodies.keys(), running.process.log_excerpt())
            running.resolve(ALERT, annotations=ANNOTATIONS)
            ended = wait_until(lambda: has_told(webhooks, ends))
            assert ended, (webhooks.bodies, running.process.log_excerpt())
    assert b"To: a@example.org, b@example.org" in webhooks.bodies["mail"][-1]
    assert webhooks.authorization["webhook"] == "Bearer s3cret"
    assert b'"routing_key":"s3cret"' in webhooks.bodies["pagerduty"][-1]
    chats = {"slack", "mattermost", "teams"} & ends.keys()
    for path in chats:
        assert b"RESOLVED ModelDown (critical): no process reports it" in webhooks.bodies[path][-1]
        assert b"https://plane.example.org/runbooks" in webhooks.bodies[path][-1]
    if servers.generation == NEWEST:
        assert webhooks.authorization["incidentio"] == "Bearer s3cret"
