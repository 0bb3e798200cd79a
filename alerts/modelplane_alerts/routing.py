"""Render the Alertmanager configuration from the registry: who hears of which alert.

Below the root everything goes to the backend. Then, for the severities that the platform's receivers treat
alike, a route whose receiver is the platform has a route for each tenant and owner. Alertmanager notifies the
platform of what none of these takes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from modelplane_alerts.integrations import (
    Version,
    bearer,
    integrations,
    mail_server,
    version_problems,
    webhook,
)
from modelplane_schema.alerts import PROBE_ALERT, WATCHDOG, Severity
from modelplane_schema.errors import UserError
from modelplane_schema.metrics import MODEL_NAME, TENANT_ID
from modelplane_schema.promql import Matcher, one_of
from modelplane_schema.receivers import SEVERITIES, Mute, Owner, Receiver, Recipient
from modelplane_schema.registry import Registry, Tenant

BACKEND_RECEIVER = "modelplane-backend"
NOBODY = "nobody"
DEAD_MANS_SWITCH = "dead man's switch"
AUDIENCE = "audience"
OWNER = "owner"
# A notification of so many alerts of 8 KiB each is no larger than the backend takes (16 MiB).
MAX_ALERTS = 2000

Route = dict[str, Any]


class RoutingError(UserError, ValueError):
    """The configuration cannot be rendered; a line for each problem names the place in the registry."""


@dataclass(frozen=True, slots=True)
class Routing:
    """Where the backend is, which Alertmanager reads the configuration, and how long it groups.

    ``secrets_directory`` is where Alertmanager sees ``receivers/`` of the registry, without a trailing slash.
    Alerts are grouped by tenant, model and ``cluster_labels``. The watchdog, an alert that always fires, is
    sent again every second ``watchdog_interval``.
    """

    backend_url: str
    backend_credentials_file: str
    secrets_directory: str
    alertmanager_version: Version
    group_wait: str = "30s"
    group_interval: str = "5m"
    repeat_interval: str = "4h"
    watchdog_interval: str = "30s"
    cluster_labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Delivery:
    """Which of somebody's receivers hear of alerts of ``severities``, and the mute times that hold for them.

    None among the severities stands for any other, and for none. Both tuples hold positions in the registry.
    """

    severities: tuple[Severity | None, ...]
    receivers: tuple[int, ...]
    mutes: tuple[int, ...]


def deliveries(recipient: Recipient) -> list[Delivery]:
    """One delivery for all severities that somebody hears of alike; together they have each severity once."""
    alike: dict[tuple[tuple[int, ...], tuple[int, ...]], list[Severity | None]] = {}
    for severity in (*SEVERITIES, None):
        receivers = tuple(i for i, receiver in enumerate(recipient.receivers) if receiver.takes(severity))
        mutes = tuple(i for i, mute in enumerate(recipient.mute) if receivers and severity in mute.severities)
        alike.setdefault((receivers, mutes), []).append(severity)
    return [Delivery(tuple(severities), *positions) for positions, severities in alike.items()]


def expected_receivers(registry: Registry, recipient: Recipient, severity: Severity) -> list[str]:
    """The names of the receivers of an alert for somebody, in the order of the routes."""
    for person in (recipient, registry.platform):
        for delivery in deliveries(person):
            if severity in delivery.severities and (delivery.receivers or person is registry.platform):
                return [BACKEND_RECEIVER, _receiver_name(person, delivery)]
    raise AssertionError("deliveries have each severity once")


def alertmanager_config(registry: Registry, routing: Routing) -> str:
    """``alertmanager.yml``. RoutingError for what this version of Alertmanager cannot do."""
    problems = list(version_problems(registry, routing.alertmanager_version))
    if problems:
        raise RoutingError("\n".join(problems))
    smtp = registry.platform.smtp
    intervals = list(_time_intervals(registry))
    content = {
        **({"global": mail_server(smtp, routing.secrets_directory)} if smtp else {}),
        "route": {
            "receiver": BACKEND_RECEIVER,
            "group_by": [TENANT_ID, MODEL_NAME, *routing.cluster_labels],
            "group_wait": routing.group_wait,
            "group_interval": routing.group_interval,
            "repeat_interval": routing.repeat_interval,
            "routes": list(_routes(registry, routing)),
        },
        "receivers": list(_receivers(registry, routing)),
        **({"time_intervals": intervals} if intervals else {}),
    }
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=110)


def _routes(registry: Registry, routing: Routing) -> Iterator[Route]:
    yield _watchdog(registry, routing)
    yield {"receiver": BACKEND_RECEIVER, "matchers": [str(Matcher("alertname", PROBE_ALERT))]}
    yield {"receiver": BACKEND_RECEIVER, "continue": True}
    people: list[Owner | Tenant] = [*(registry.owners or ()), *registry.tenants]
    for delivery in deliveries(registry.platform):
        routes = [route for recipient in people for route in _routes_of(recipient, delivery.severities)]
        yield {**_route(registry.platform, delivery), **({"routes": routes} if routes else {})}


def _watchdog(registry: Registry, routing: Routing) -> Route:
    """To the backend and a dead man's switch, more often than anything else, and to no people."""
    route: Route = {
        "receiver": BACKEND_RECEIVER,
        "matchers": [str(Matcher("alertname", WATCHDOG.name))],
        "group_wait": "0s",
        "group_interval": routing.watchdog_interval,
        "repeat_interval": routing.watchdog_interval,
    }
    if registry.platform.dead_mans_switch is not None:
        route["routes"] = [{"receiver": BACKEND_RECEIVER, "continue": True}, {"receiver": DEAD_MANS_SWITCH}]
    return route


def _routes_of(recipient: Owner | Tenant, severities: tuple[Severity | None, ...]) -> Iterator[Route]:
    """The routes of a tenant or owner among alerts of ``severities``."""
    for delivery in deliveries(recipient):
        common = tuple(severity for severity in severities if severity in delivery.severities)
        if delivery.receivers and common:
            narrowed = Delivery(common, delivery.receivers, delivery.mutes)
            route = _route(recipient, narrowed, severities)
            route["matchers"] = [*_addressed_to(recipient), *route.get("matchers", ())]
            yield {**route, "continue": True}


def _addressed_to(recipient: Owner | Tenant) -> list[str]:
    """Matchers of alerts about a tenant or for an owner; rules of the operators' own name no audience."""
    if isinstance(recipient, Tenant):
        return [str(Matcher(TENANT_ID, recipient.id)), str(Matcher(AUDIENCE, "owner|platform", "!~"))]
    return [str(Matcher(OWNER, recipient.id)), str(Matcher(AUDIENCE, "tenant|platform", "!~"))]


def _route(
    recipient: Recipient, delivery: Delivery, among: tuple[Severity | None, ...] = (*SEVERITIES, None)
) -> Route:
    """A delivery as a route; ``among`` are the severities that reach it."""
    route: Route = {"receiver": _receiver_name(recipient, delivery)}
    missing = [severity for severity in among if severity not in delivery.severities]
    if None in delivery.severities and missing:
        route["matchers"] = [str(Matcher("severity", "|".join(filter(None, missing)), "!~"))]
    elif missing:
        route["matchers"] = [str(one_of("severity", filter(None, delivery.severities)))]
    if delivery.mutes:
        route["mute_time_intervals"] = [_interval_name(recipient, mute) for mute in delivery.mutes]
    return route


def _receivers(registry: Registry, routing: Routing) -> Iterator[dict[str, Any]]:
    backend = {
        "url": routing.backend_url + "/api/v1/alerts",
        "send_resolved": True,
        **bearer(routing.backend_credentials_file),
        "max_alerts": MAX_ALERTS,
    }
    yield {"name": BACKEND_RECEIVER, "webhook_configs": [backend]}
    switch = registry.platform.dead_mans_switch
    if switch is not None:
        # An end would count as a sign of life.
        settings = {**webhook(switch, routing.secrets_directory), "send_resolved": False}
        yield {"name": DEAD_MANS_SWITCH, "webhook_configs": [settings]}
    named: dict[str, tuple[Receiver, ...]] = {}
    for _, recipient in registry.recipients:
        for delivery in deliveries(recipient):
            chosen = tuple(recipient.receivers[position] for position in delivery.receivers)
            if chosen or recipient is registry.platform:
                named[_receiver_name(recipient, delivery)] = chosen
    for name, receivers in named.items():
        yield {"name": name, **integrations(receivers, routing.secrets_directory)}


def _receiver_name(recipient: Recipient, delivery: Delivery) -> str:
    """Unique, whatever people call themselves: what follows the first word is one of them, to the end."""
    if not delivery.receivers:
        return NOBODY
    if len(delivery.receivers) == len(recipient.receivers):
        return _title(recipient)
    return f"receivers[{','.join(map(str, delivery.receivers))}] of {_title(recipient)}"


def _title(recipient: Recipient) -> str:
    if isinstance(recipient, Tenant):
        return f"tenant {recipient.id}"
    return f"owner {recipient.id}" if isinstance(recipient, Owner) else "platform"


def _interval_name(recipient: Recipient, position: int) -> str:
    return f"mute[{position}] of {_title(recipient)}"


def _time_intervals(registry: Registry) -> Iterator[dict[str, Any]]:
    for _, recipient in registry.recipients:
        used = {position for delivery in deliveries(recipient) for position in delivery.mutes}
        for position in sorted(used):
            interval = _time_interval(recipient.mute[position])
            yield {"name": _interval_name(recipient, position), "time_intervals": [interval]}


def _time_interval(mute: Mute) -> dict[str, Any]:
    interval: dict[str, Any] = {"location": mute.location}
    if mute.weekdays:
        interval["weekdays"] = list(mute.weekdays)
    if mute.times:
        interval["times"] = [{"start_time": time.from_, "end_time": time.to} for time in mute.times]
    return interval
