"""Who hears of which alert, by a real Alertmanager, and that whoever hears of a start hears of the end."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alertmanager_server import Alertmanager, Labels, webhook_server
from generations import Servers
from modelplane_alerts.routing import BACKEND_RECEIVER, NOBODY, Routing, alertmanager_config
from modelplane_provisioning.local.stack import alertmanager_version
from modelplane_provisioning.processes import PATIENCE_SECONDS, wait_until
from modelplane_schema.metrics import RESERVED_TENANTS
from modelplane_schema.receivers import SEVERITIES
from modelplane_schema.registry import Registry, parse_registry

TENANTS, OWNERS = 200, 30
STORED_ONLY = [BACKEND_RECEIVER, NOBODY]


def registry(**parts: Any) -> Registry:
    content = {"apiVersion": "modelplane/v1", "tenants": [{"id": "silent"}], **parts}
    owners = [owner["id"] for owner in content.get("owners", [])]
    model = {"name": "m", "framework": "jax", "owner": [*owners, "nobody"][0]}
    served = [tenant["id"] for tenant in content["tenants"]]
    content["models"] = [{**model, "tenants": served, "versions": [{"version": "1"}]}]
    return parse_registry(yaml.safe_dump(content))


def config(declared: Registry, servers: Servers) -> str:
    """A configuration for routing alone: nobody is notified within an hour."""
    version = alertmanager_version(servers.alertmanager)
    return alertmanager_config(declared, Routing("http://127.0.0.1:1", "/none", "/none", version, "1h"))


def notifying_config(declared: Registry, servers: Servers, backend: str, folder: Path) -> str:
    """A configuration that notifies at once, with the token of the backend in ``folder``."""
    (folder / "token").write_text("s3cret", encoding="ascii")
    version = alertmanager_version(servers.alertmanager)
    routing = Routing(
        backend, f"{folder}/token", "/none", version, "0s", group_interval="1s", watchdog_interval="1s"
    )
    return alertmanager_config(declared, routing)


def webhook(url: str, **settings: Any) -> dict[str, Any]:
    return {"type": "webhook", "url": url, **settings}


@pytest.fixture(scope="module")
def alertmanager(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alertmanager]:
    """An Alertmanager whose configuration each test replaces."""
    folder = tmp_path_factory.mktemp("alertmanager")
    running = Alertmanager(servers, folder, config(registry(), servers))
    with running.process:
        yield running


def many_people() -> Registry:
    """Every third tenant hears of criticals alone, every third of nothing; every second owner of nothing."""
    receiver = webhook("http://127.0.0.1:1/x")
    choices: list[list[Any]] = [[receiver], [{**receiver, "severities": ["critical"]}], []]
    tenants = [{"id": f"tenant-{n}", "receivers": choices[n % 3]} for n in range(TENANTS)]
    owners = [{"id": f"owner-{n}", "receivers": choices[n % 2 * 2]} for n in range(OWNERS)]
    return registry(tenants=tenants, owners=owners, platform={"receivers": [receiver]})


def expected(kind: str, number: int, severity: str) -> list[str]:
    hears = (number % 3 == 0 or (number % 3 == 1 and severity == "critical")) if kind == "tenant" else (
        number % 2 == 0
    )  # fmt: skip
    return [BACKEND_RECEIVER, f"{kind} {kind}-{number}" if hears else "platform"]


def test_each_tenant_and_owner_of_a_large_registry_hears_of_its_own_alerts(
    servers: Servers, alertmanager: Alertmanager, tmp_path: Path
) -> None:
    text = config(many_people(), servers)
    alertmanager.reload(text)
    people = [("tenant", n) for n in range(TENANTS)] + [("owner", n) for n in range(OWNERS)]
    cases = [(*person, severity) for person in people for severity in (*SEVERITIES, "page")]
    label = {"tenant": "tenant_id", "owner": "owner"}
    alerts = [
        {"alertname": "A", "severity": severity, "audience": kind, label[kind]: f"{kind}-{number}"}
        for kind, number, severity in cases
    ]
    routed = alertmanager.receivers(*alerts)
    assert routed == [expected(*case) for case in cases]
    (tmp_path / "alertmanager.yml").write_text(text, encoding="utf-8")
    for position in range(0, len(cases), len(cases) // 8):  # amtool reads the file for each
        assert amtool_receivers(servers, tmp_path, alerts[position]) == routed[position]


def amtool_receivers(servers: Servers, folder: Path, labels: Labels) -> list[str]:
    command = [servers.amtool, "config", "routes", "test", f"--config.file={folder}/alertmanager.yml"]
    tested = subprocess.run(
        [*command, *(f"{name}={value}" for name, value in labels.items())],
        capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS,
    )  # fmt: skip
    assert tested.returncode == 0, tested.stderr
    return tested.stdout.strip().split(",")


def test_who_hears_of_alerts_that_say_little_or_much(servers: Servers, alertmanager: Alertmanager) -> None:
    receiver = webhook("http://127.0.0.1:1/x")
    people = {"tenants": [{"id": "t", "receivers": [receiver]}, {"id": "silent"}],
              "owners": [{"id": "o", "receivers": [receiver]}]}  # fmt: skip
    alertmanager.reload(config(registry(**people, platform={"receivers": [receiver]}), servers))
    both = {"tenant_id": "t", "owner": "o"}
    cases: list[tuple[Labels, list[str]]] = [
        (both, ["owner o", "tenant t"]),
        ({**both, "audience": "tenant"}, ["tenant t"]),
        ({**both, "audience": "owner"}, ["owner o"]),
        ({**both, "audience": "platform"}, ["platform"]),
        ({"tenant_id": "__all__", "owner": "o", "audience": "owner"}, ["owner o"]),
        ({"tenant_id": "__all__"}, ["platform"]),
        ({"tenant_id": "__unknown__", "audience": "tenant"}, ["platform"]),
        ({"tenant_id": "T", "audience": "tenant"}, ["platform"]),
        ({"tenant_id": "silent", "audience": "tenant"}, ["platform"]),
        ({"owner": "p", "audience": "owner"}, ["platform"]),
        ({"tenant_id": "silent", "owner": "o"}, ["owner o"]),
        ({"severity": "critical"}, ["platform"]),
        ({}, ["platform"]),
    ]
    alerts = [{"alertname": "B", **labels} for labels, _ in cases]
    assert alertmanager.receivers(*alerts) == [[BACKEND_RECEIVER, *names] for _, names in cases]
    tests_of_the_plane = [{"alertname": "Watchdog"}, {"alertname": "ModelplaneDoctorProbe", **both}]
    assert alertmanager.receivers(*tests_of_the_plane) == [[BACKEND_RECEIVER]] * 2


def test_without_receivers_everything_is_stored_alone(servers: Servers, alertmanager: Alertmanager) -> None:
    alertmanager.reload(config(registry(), servers))
    alerts = [{"alertname": "C", "tenant_id": "silent"}, {"alertname": "C", "severity": "critical"}]
    assert alertmanager.receivers(*alerts) == [STORED_ONLY] * 2


names = st.text(st.characters(exclude_categories=["C", "Z"]) | st.sampled_from('"\\|.*{}=~, '), min_size=1)
hostile = st.sampled_from(
    ['a"} or x="', "a\\", 'a\\"', ".*", "a|b", "{{ .x }}", "$1", "tenant a", "é", "a, b"]
)


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(names | hostile, min_size=2, max_size=12))
def test_whatever_people_are_called_each_hears_of_its_own_alerts(
    servers: Servers, alertmanager: Alertmanager, people: list[str]
) -> None:
    ids = sorted({name.strip() for name in people} - {"", "silent", "o", *RESERVED_TENANTS})
    everybody = [{"id": name, "receivers": [webhook("http://127.0.0.1:1/x")]} for name in ids]
    declared = registry(tenants=[{"id": "silent"}, *everybody], owners=[{"id": "o"}, *everybody])
    alertmanager.reload(config(declared, servers))
    of_tenants = [{"alertname": "D", "tenant_id": name, "audience": "tenant"} for name in ids]
    of_owners = [{"alertname": "D", "owner": name, "audience": "owner"} for name in ids]
    assert alertmanager.receivers(*of_tenants, *of_owners) == [
        [BACKEND_RECEIVER, f"{kind} {name}"] for kind in ("tenant", "owner") for name in ids
    ]


ERROR_A: Labels = {"alertname": "Errors", "tenant_id": "a", "model_name": "m", "audience": "tenant"}
LATENCY_A: Labels = {**ERROR_A, "alertname": "Latency", "severity": "warning"}
DOWN_A: Labels = {**ERROR_A, "alertname": "DownForTenant", "severity": "critical"}
DOWN: Labels = {"alertname": "DownForOwner", "owner": "o", "model_name": "m", "audience": "owner"}
DRIFT: Labels = {**DOWN, "alertname": "Drift", "tenant_id": "__all__", "severity": "warning"}
STORE: Labels = {"alertname": "Store", "audience": "platform", "severity": "warning"}
NOBODYS: Labels = {"alertname": "UnknownTenant", "tenant_id": "__unknown__", "audience": "tenant"}
HEARD = {
    "tenant": {"Errors", "Latency", "DownForTenant"},
    "owner": {"DownForOwner", "Drift"},
    "platform": {"Store", "UnknownTenant"},
}
EVERYTHING = set().union(*HEARD.values())


def people_at(url: str, **platform: Any) -> dict[str, Any]:
    """A tenant, an owner and the platform, each with a webhook."""
    return {
        "tenants": [{"id": "a", "receivers": [webhook(f"{url}/tenant", severities=["critical", "warning"]),
                                              webhook(f"{url}/all")]}],
        "owners": [{"id": "o", "receivers": [webhook(f"{url}/owner")]}],
        "platform": {"receivers": [webhook(f"{url}/platform")], **platform},
    }  # fmt: skip


def wait_for(told: dict[str, set[str]], path: str, alerts: set[str]) -> None:
    assert wait_until(lambda: told[path] >= alerts), f"{path} has {told[path]}, not {alerts}"


def test_whoever_hears_of_a_start_hears_of_the_end(servers: Servers, tmp_path: Path) -> None:
    with webhook_server() as (url, webhooks):
        declared = registry(**people_at(url, dead_mans_switch={"url": f"{url}/outside"}))
        text = notifying_config(declared, servers, f"{url}/backend", tmp_path)
        running = Alertmanager(servers, tmp_path, text)
        with running.process:
            running.fire({"alertname": "Watchdog"}, {**ERROR_A, "severity": "critical"}, DRIFT, STORE)
            for path, alert in (("tenant", "Errors"), ("owner", "Drift"), ("platform", "Store")):
                wait_for(webhooks.began, path, {alert})
            # A model goes down while its symptoms are told, and these end before it is up again.
            running.fire(DOWN_A, DOWN, LATENCY_A, NOBODYS)
            running.resolve({**ERROR_A, "severity": "critical"}, DRIFT)
            wait_for(webhooks.ended, "tenant", {"Errors"})
            wait_for(webhooks.began, "owner", {"DownForOwner"})
            running.resolve(LATENCY_A, STORE)
            wait_for(webhooks.ended, "platform", {"Store"})
            running.resolve(DOWN_A, DOWN, NOBODYS)
            backend = "backend/api/v1/alerts"
            for path, alerts in {**HEARD, backend: EVERYTHING}.items():
                wait_for(webhooks.ended, path, alerts)
            beats = {path: len(webhooks.bodies[path]) for path in ("outside", backend)}
            assert wait_until(lambda: all(len(webhooks.bodies[path]) > beats[path] for path in beats))
    assert {path: webhooks.began[path] for path in HEARD} == HEARD
    assert {path: webhooks.ended[path] for path in HEARD} == HEARD
    assert webhooks.began["all"] == webhooks.ended["all"] == HEARD["tenant"]
    assert webhooks.began[backend] - webhooks.ended[backend] == {"Watchdog"}
    assert webhooks.authorization[backend] == "Bearer s3cret"
    assert (webhooks.began["outside"], webhooks.ended["outside"]) == ({"Watchdog"}, set())


def test_an_inhibition_would_leave_an_alert_without_end(servers: Servers, tmp_path: Path) -> None:
    """Why the configuration has none: Alertmanager drops the end of what is inhibited when it ends."""
    with webhook_server() as (url, webhooks):
        text = notifying_config(registry(**people_at(url)), servers, f"{url}/backend", tmp_path)
        content = yaml.safe_load(text)
        rule = {"source_matchers": ["alertname=DownForTenant"], "target_matchers": ["alertname=Latency"]}
        running = Alertmanager(servers, tmp_path, yaml.safe_dump({**content, "inhibit_rules": [rule]}))
        with running.process:
            for alert in (LATENCY_A, DOWN_A):
                running.fire(alert)
                wait_for(webhooks.began, "tenant", {alert["alertname"]})
            running.resolve(LATENCY_A)
            for labels in ({**ERROR_A, "severity": "critical"}, {**DOWN_A, "alertname": "Later"}):
                running.fire(labels)
                wait_for(webhooks.began, "tenant", {labels["alertname"]})
            running.resolve(DOWN_A)
            wait_for(webhooks.ended, "tenant", {"DownForTenant"})
    assert webhooks.ended["tenant"] == {"DownForTenant"}


def test_mute_times_hold_back_what_they_name_from_whom_they_name(servers: Servers, tmp_path: Path) -> None:
    always = [{"times": [{"from": "00:00", "to": "24:00"}]}]
    with webhook_server() as (url, webhooks):
        people = people_at(url, mute=always)
        people["platform"]["receivers"][0]["keeps_alerts"] = False
        text = notifying_config(registry(**people), servers, f"{url}/backend", tmp_path)
        running = Alertmanager(servers, tmp_path, text)
        with running.process:
            running.fire(STORE, LATENCY_A, {**STORE, "alertname": "Grave", "severity": "critical"})
            wait_for(webhooks.began, "backend/api/v1/alerts", {"Store", "Latency", "Grave"})
            wait_for(webhooks.began, "tenant", {"Latency"})
            # Each group has been looked at again once a later alert of its own is told of.
            running.fire(
                {**STORE, "alertname": "Later", "severity": "critical"},
                {**STORE, "alertname": "Odd", "severity": "odd"},
            )
            wait_for(webhooks.began, "platform", {"Grave", "Later", "Odd"})
    assert webhooks.began["platform"] == {"Grave", "Later", "Odd"}
