"""The Alertmanager configuration: accepted by amtool, the same bytes each time, secrets by file alone.

Who hears of which alert is proven with a real Alertmanager in tests/integration/test_alert_routing.py.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from generations import NEWEST, Servers
from modelplane_alerts.integrations import TEXT, TITLE
from modelplane_alerts.routing import (
    BACKEND_RECEIVER,
    DEAD_MANS_SWITCH,
    MAX_ALERTS,
    NOBODY,
    Routing,
    RoutingError,
    alertmanager_config,
    deliveries,
)
from modelplane_provisioning.local.stack import alertmanager_version
from modelplane_provisioning.processes import PATIENCE_SECONDS
from modelplane_schema.receivers import SEVERITIES, Recipient
from modelplane_schema.registry import Registry, parse_registry

OLD_RECEIVERS: list[dict[str, Any]] = [
    {"type": "webhook", "url": "https://hooks.example.org/x", "credentials_file": "receivers/hook-token"},
    {"type": "email", "to": "a@example.org, b@example.org"},
    {"type": "slack", "api_url_file": "receivers/slack-url", "channel": "#ml"},
    {"type": "mattermost", "webhook_url_file": "receivers/mattermost-url"},
    {"type": "pagerduty", "routing_key_file": "receivers/key", "url": "https://events.eu.example.org/v2/enqueue"},
]  # fmt: skip
NEW_RECEIVERS: list[dict[str, Any]] = [
    {"type": "webhook", "url_file": "receivers/hook-url"},
    {"type": "teams", "webhook_url_file": "receivers/teams-url"},
    {
        "type": "incidentio",
        "url": "https://io.example.org/alerts",
        "alert_source_token_file": "receivers/io",
    },
]
SMTP = {"smarthost": "mail.example.org:587", "from": "plane@example.org", "username": "plane",
        "password_file": "receivers/smtp"}  # fmt: skip
NIGHTS = {"times": [{"from": "20:00", "to": "24:00"}, {"from": "00:00", "to": "08:00"}],
          "weekdays": ["saturday", "sunday"], "location": "Europe/Berlin"}  # fmt: skip
HOSTILE_TENANT = 'a"} \\ é {{ .x }} '


def registry(
    receivers: list[dict[str, Any]], tenant: str = "user-A", mutes: tuple[Any, ...] = (), **platform: Any
) -> Registry:
    model = {"name": "m", "framework": "jax", "owner": "vision", "tenants": ["silent"]}
    content = {
        "apiVersion": "modelplane/v1",
        "platform": {"smtp": SMTP, "receivers": receivers, **platform},
        "owners": [{"id": "vision", "receivers": receivers}],
        "tenants": [{"id": "silent"}, {"id": tenant, "receivers": receivers, "mute": list(mutes)}],
        "models": [{**model, "versions": [{"version": "1"}]}],
    }
    return parse_registry(yaml.safe_dump(content))


def config(declared: Registry, version: tuple[int, int] = (0, 33), **times: Any) -> Any:
    routing = Routing("http://backend:8090", "/secrets/alertmanager-token", "/secrets", version, **times)
    return yaml.safe_load(alertmanager_config(declared, routing))


def check(servers: Servers, folder: Path, content: Any, *flags: str) -> None:
    path = folder / "alertmanager.yml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    checked = subprocess.run(
        [servers.amtool, "check-config", str(path), *flags],
        capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "WARN" not in checked.stderr, checked.stderr


@pytest.mark.slow
def test_amtool_accepts_all_receivers_that_its_version_knows(servers: Servers, tmp_path: Path) -> None:
    version = alertmanager_version(servers.alertmanager)
    is_newest = servers.generation == NEWEST
    receivers = OLD_RECEIVERS + (NEW_RECEIVERS if is_newest else [])
    for receiver in receivers:
        receiver = {**receiver, "severities": ["critical", "warning"]}
        check(servers, tmp_path, config(registry([receiver], HOSTILE_TENANT), version))
    switch = {"dead_mans_switch": {"url": "https://watch.example.org", "credentials_file": "receivers/w"}}
    messages = [receiver for receiver in receivers if receiver["type"] in ("email", "slack", "teams")]
    muted = registry(messages, HOSTILE_TENANT, (NIGHTS, {"weekdays": ["monday"]}), mute=[NIGHTS], **switch)
    content = config(muted, version, cluster_labels=("cluster", "region"))
    # Since 0.27 matchers have a new syntax, which shall read them alike.
    check(servers, tmp_path, content, *(["--enable-feature=utf8-strict-mode"] if is_newest else []))
    assert content["route"]["group_by"] == ["tenant_id", "model_name", "cluster", "region"]


def test_what_a_version_does_not_know_is_refused_all_at_once_with_the_version_it_needs() -> None:
    declared = registry(NEW_RECEIVERS, dead_mans_switch={"url_file": "receivers/watch-url"})
    with pytest.raises(RoutingError) as refused:
        config(declared, (0, 25))
    problems = str(refused.value).splitlines()
    assert len(problems) == 10
    needs = [("url_file", "0.28"), ("type teams", "0.28"), ("type incidentio", "0.29")]
    assert problems[:-1] == [
        f"{place}.receivers[{position}]: {what} needs Alertmanager {needed} or newer, "
        "and the configuration is for 0.25"
        for place in ("platform", "owners[0]", "tenants[1]")
        for position, (what, needed) in enumerate(needs)
    ]
    assert problems[-1].startswith("platform.dead_mans_switch: url_file needs Alertmanager 0.28 or newer")
    with pytest.raises(RoutingError, match=r"type incidentio needs Alertmanager 0\.29"):
        config(declared, (0, 28))
    config(declared, (0, 29))
    with pytest.raises(RoutingError, match=r"Alertmanager 0\.24 is too old: secrets in files need 0\.25"):
        config(registry(OLD_RECEIVERS), (0, 24))


def test_the_same_registry_gives_the_same_bytes() -> None:
    routing = Routing("http://backend:8090", "/t", "/secrets", (0, 33))
    first, second = (alertmanager_config(registry(OLD_RECEIVERS + NEW_RECEIVERS), routing) for _ in range(2))
    assert first == second


def test_secrets_are_named_by_file_below_receivers_and_every_receiver_hears_of_ends() -> None:
    content = config(registry(OLD_RECEIVERS + NEW_RECEIVERS))
    (tenant,) = [receiver for receiver in content["receivers"] if receiver["name"] == "tenant user-A"]
    message = {"title": TITLE, "text": TEXT, "send_resolved": True}
    assert tenant == {
        "name": "tenant user-A",
        "webhook_configs": [
            {"url": "https://hooks.example.org/x", "send_resolved": True, "http_config": {"authorization": {
                "type": "Bearer", "credentials_file": "/secrets/receivers/hook-token"}}},
            {"url_file": "/secrets/receivers/hook-url", "send_resolved": True},
        ],
        "email_configs": [{"to": "a@example.org, b@example.org", "send_resolved": True}],
        "slack_configs": [
            {"api_url_file": "/secrets/receivers/slack-url", "channel": "#ml", **message},
            {"api_url_file": "/secrets/receivers/mattermost-url", **message},
        ],
        "pagerduty_configs": [{"routing_key_file": "/secrets/receivers/key", "send_resolved": True,
                               "url": "https://events.eu.example.org/v2/enqueue"}],
        "msteamsv2_configs": [{"webhook_url_file": "/secrets/receivers/teams-url", **message}],
        "incidentio_configs": [{"url": "https://io.example.org/alerts", "send_resolved": True,
                                "alert_source_token_file": "/secrets/receivers/io"}],
    }  # fmt: skip
    assert content["global"] == {
        "smtp_smarthost": "mail.example.org:587",
        "smtp_from": "plane@example.org",
        "smtp_require_tls": True,
        "smtp_auth_username": "plane",
        "smtp_auth_password_file": "/secrets/receivers/smtp",
    }


def test_the_backend_is_sent_everything_with_its_token_and_in_bounded_bodies() -> None:
    content = config(registry(OLD_RECEIVERS, dead_mans_switch={"url": "https://watch.example.org"}))
    receivers = {receiver["name"]: receiver for receiver in content["receivers"]}
    (backend,) = receivers[BACKEND_RECEIVER]["webhook_configs"]
    assert backend["max_alerts"] == MAX_ALERTS
    assert backend["http_config"]["authorization"]["credentials_file"] == "/secrets/alertmanager-token"
    (tenants,) = receivers["tenant user-A"]["webhook_configs"]
    assert "max_alerts" not in tenants
    (outside,) = receivers[DEAD_MANS_SWITCH]["webhook_configs"]
    assert outside["send_resolved"] is False  # an end would count as a sign of life


def test_nothing_is_inhibited_and_only_who_declares_it_is_muted() -> None:
    """An alert that ends while it is inhibited or muted has no end for whoever heard of its start."""
    messages = OLD_RECEIVERS[1:4]
    content = config(registry([*messages, {**OLD_RECEIVERS[4], "severities": ["critical"]}], mutes=(NIGHTS,)))
    assert "inhibit_rules" not in content
    assert content["time_intervals"] == [
        {"name": "mute[0] of tenant user-A", "time_intervals": [{
            "location": "Europe/Berlin", "weekdays": ["saturday", "sunday"], "times": [
                {"start_time": "20:00", "end_time": "24:00"}, {"start_time": "00:00", "end_time": "08:00"}]}]}
    ]  # fmt: skip
    muted = [route for route in flat(content["route"]) if "mute_time_intervals" in route]
    assert {route["receiver"] for route in muted} == {"receivers[0,1,2] of tenant user-A"}
    assert all(route["matchers"][0] == 'tenant_id="user-A"' for route in muted)


def flat(route: Any) -> list[Any]:
    return [route, *(inner for child in route.get("routes", ()) for inner in flat(child))]


def test_without_receivers_nobody_is_named() -> None:
    content = config(registry([]))
    assert [receiver["name"] for receiver in content["receivers"]] == [BACKEND_RECEIVER, NOBODY]
    assert "time_intervals" not in content


severities = st.none() | st.lists(st.sampled_from(SEVERITIES), min_size=1, unique=True)
mutes = st.lists(st.lists(st.sampled_from(SEVERITIES), min_size=1, unique=True), max_size=3)


@pytest.mark.slow
@given(st.lists(severities, max_size=4), mutes)
def test_deliveries_have_each_severity_once_and_agree_with_each_receiver(
    chosen: list[list[str] | None], muted: list[list[str]]
) -> None:
    recipient = Recipient.model_validate({
        "receivers": [{"type": "email", "to": "a@example.org", "severities": some} for some in chosen],
        "mute": [{"weekdays": ["monday"], "severities": some} for some in muted],
    })  # fmt: skip
    by_severity = {
        severity: delivery for delivery in deliveries(recipient) for severity in delivery.severities
    }
    assert sum(len(delivery.severities) for delivery in deliveries(recipient)) == len(by_severity) == 4
    for severity, delivery in by_severity.items():
        takers = tuple(position for position, some in enumerate(chosen) if some is None or severity in some)
        assert delivery.receivers == takers
        muting = tuple(position for position, some in enumerate(muted) if severity in some)
        assert delivery.mutes == (muting if takers else ())
