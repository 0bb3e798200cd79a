"""What the Prometheus operator reads: rules, what is scraped, and who hears of alerts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from modelplane_alerts.embedding import labelled_rules, parse_matcher, without_global
from modelplane_alerts.operator_objects import prometheus_rules
from modelplane_provisioning.kubernetes.objects import (
    BACKEND,
    MOST_BYTES,
    KubernetesError,
    Object,
    build,
    labels,
    secret_reference,
)
from modelplane_provisioning.kubernetes.secrets import PROMETHEUS_TOKEN, path_reference
from modelplane_schema.receivers import IncidentIo
from modelplane_schema.registry import Registry

_ROUTE_LISTS = {"group_by": "groupBy", "mute_time_intervals": "muteTimeIntervals"}
# Names of fields that are not those of Alertmanager's file with capitals for underscores.
_FIELDS = {
    "api_url_file": "apiURL",
    "auth_password_file": "authPassword",
    "credentials_file": "credentials",
    "require_tls": "requireTLS",
    "routing_key_file": "routingKey",
    "url_file": "urlSecret",
    "webhook_url_file": "webhookURL",
}


def rule_objects(files: Mapping[str, str], namespace: str) -> dict[str, str]:
    """The rule files as PrometheusRules, by file name.

    Each alert has the label ``namespace``: by it the operator selects what an AlertmanagerConfig gets.
    """
    return prometheus_rules(labelled_rules(files, {"namespace": namespace}))


def service_monitor() -> Object:
    """The scrape of the backend's own metrics, which needs a token."""
    credentials = secret_reference(PROMETHEUS_TOKEN.name, PROMETHEUS_TOKEN.key)
    endpoint = {"port": "http", "authorization": {"type": "Bearer", "credentials": credentials}}
    selector = {"matchLabels": labels("backend", BACKEND)}
    spec = {"selector": selector, "endpoints": [endpoint]}
    return build("monitoring.coreos.com/v1", "ServiceMonitor", BACKEND, "backend", spec=spec)


def alertmanager_config_object(configuration: str, registry: Registry) -> Object:
    """Our Alertmanager configuration as an AlertmanagerConfig; KubernetesError for what it cannot say."""
    problems = list(_unknown_to_the_operator(registry))
    if problems:
        raise KubernetesError("\n".join(problems))
    content = without_global(yaml.load(configuration, yaml.CSafeLoader))
    spec: dict[str, Any] = {
        "route": _route(content["route"]),
        "receivers": [_receiver(receiver) for receiver in content["receivers"]],
    }
    if "time_intervals" in content:
        spec["muteTimeIntervals"] = [_time_interval(interval) for interval in content["time_intervals"]]
    size = len(json.dumps(spec))
    if size > MOST_BYTES:
        raise KubernetesError(
            f"routes and receivers take {size} bytes, and an object of a cluster holds {MOST_BYTES}: let "
            "tenants have the receivers of an owner or of the platform, or use --target existing"
        )
    return build(
        "monitoring.coreos.com/v1alpha1", "AlertmanagerConfig", "modelplane", "alert-routing", spec=spec
    )


def _unknown_to_the_operator(registry: Registry) -> Iterator[str]:
    for place, recipient in registry.recipients:
        for position, receiver in enumerate(recipient.receivers):
            if isinstance(receiver, IncidentIo):
                yield (
                    f"{place}.receivers[{position}]: type incidentio: an AlertmanagerConfig of the "
                    "Prometheus operator has no such receiver; use another, or --target existing"
                )
        for position, mute in enumerate(recipient.mute):
            if mute.location != "UTC":
                yield (
                    f"{place}.mute[{position}]: location {mute.location}: an AlertmanagerConfig of the "
                    "Prometheus operator knows no time zones; give times in UTC and leave location out"
                )


def _route(route: Mapping[str, Any]) -> dict[str, Any]:
    converted: dict[str, Any] = {}
    for name, value in route.items():
        if name == "matchers":
            converted["matchers"] = [_matcher(text) for text in value]
        elif name == "routes":
            converted["routes"] = [_route(child) for child in value]
        else:
            converted[_ROUTE_LISTS.get(name, _camel(name))] = value
    return converted


def _matcher(text: str) -> dict[str, str]:
    """The operator takes a matcher without a type for one of equality; YAML 1.1 takes "=" for no text."""
    matcher = parse_matcher(text)
    kind = {} if matcher.op == "=" else {"matchType": matcher.op}
    return {"name": matcher.label, "value": matcher.value, **kind}


def _receiver(receiver: Mapping[str, Any]) -> dict[str, Any]:
    """A receiver; each of its integrations is a list of settings."""
    return {
        _camel(name): value if name == "name" else [_settings(each) for each in value]
        for name, value in receiver.items()
    }


def _settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    converted: dict[str, Any] = {}
    for name, value in settings.items():
        if name.endswith("_file"):
            value = path_reference(value)
        elif isinstance(value, dict):
            value = _settings(value)
        converted[_FIELDS.get(name, _camel(name))] = value
    return converted


def _time_interval(interval: Mapping[str, Any]) -> dict[str, Any]:
    periods = []
    for period in interval["time_intervals"]:
        converted: dict[str, Any] = {}
        if "weekdays" in period:
            converted["weekdays"] = period["weekdays"]
        if "times" in period:
            converted["times"] = [
                {"startTime": time["start_time"], "endTime": time["end_time"]} for time in period["times"]
            ]
        periods.append(converted)
    return {"name": interval["name"], "timeIntervals": periods}


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
