"""Receivers of the registry as Alertmanager's integrations, for a version of Alertmanager."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from modelplane_schema.receivers import (
    Email,
    HttpAddress,
    IncidentIo,
    Mattermost,
    PagerDuty,
    Receiver,
    Slack,
    Smtp,
    Teams,
    Webhook,
)
from modelplane_schema.registry import Registry

Version = tuple[int, int]
Settings = dict[str, Any]

# Messages of chats. Alertmanager's own for Slack has no text, and Debian's packages lack its one for Teams.
TITLE = (
    '[{{ .Status | toUpper }}{{ if eq .Status "firing" }}:{{ .Alerts.Firing | len }}{{ end }}] '
    '{{ .CommonLabels.alertname }} {{ .GroupLabels.Values | join " " }}'
)
# Of a large group the first twenty alerts: a message that is too long is refused.
TEXT = (
    "{{ range $position, $alert := .Alerts }}{{ if lt $position 20 }}"
    "{{ .Status | toUpper }} {{ .Labels.alertname }} ({{ .Labels.severity }}): "
    "{{ or .Annotations.description .Annotations.summary }} {{ .Annotations.dashboard_url }} "
    "{{ .Annotations.runbook_url }}\n{{ end }}{{ end }}"
)

# The first that reads the secrets of all older integrations from files, and time zones of mute times.
OLDEST_VERSION: Version = (0, 25)
# From Alertmanager's change log. Webhooks and Teams knew files earlier, and failed on them until 0.28.
URL_FILE_VERSION: Version = (0, 28)
TEAMS_VERSION: Version = (0, 28)
INCIDENTIO_VERSION: Version = (0, 29)


def parse_version(text: str) -> Version:
    """The first two numbers of a version, as ``(0, 28)`` of ``v0.28.1``; ValueError without them."""
    match = re.match(r"v?(\d+)\.(\d+)", text)
    if match is None:
        raise ValueError(f"{text!r} is no version: it begins with two numbers, for example 0.28")
    return int(match[1]), int(match[2])


def version_text(version: Version) -> str:
    """A version as people write it."""
    return ".".join(map(str, version))


def version_problems(registry: Registry, version: Version) -> Iterator[str]:
    """What a registry declares that an Alertmanager is too old for, with its place."""
    if version < OLDEST_VERSION:
        oldest = version_text(OLDEST_VERSION)
        yield f"Alertmanager {version_text(version)} is too old: secrets in files need {oldest} or newer"
    for place, recipient in registry.recipients:
        for position, receiver in enumerate(recipient.receivers):
            what, needed = _needs(receiver)
            if version < needed:
                yield _too_old(f"{place}.receivers[{position}]", what, needed, version)
    switch = registry.platform.dead_mans_switch
    if switch is not None and switch.url_file is not None and version < URL_FILE_VERSION:
        yield _too_old("platform.dead_mans_switch", "url_file", URL_FILE_VERSION, version)


def _needs(receiver: Receiver) -> tuple[str, Version]:
    """What of a receiver needs the newest Alertmanager, and which."""
    match receiver:
        case Webhook(url_file=str()):
            return "url_file", URL_FILE_VERSION
        case Teams():
            return "type teams", TEAMS_VERSION
        case IncidentIo():
            return "type incidentio", INCIDENTIO_VERSION
    return f"type {receiver.type}", OLDEST_VERSION


def _too_old(place: str, what: str, needed: Version, version: Version) -> str:
    return (
        f"{place}: {what} needs Alertmanager {version_text(needed)} or newer, "
        f"and the configuration is for {version_text(version)}"
    )


def integrations(receivers: tuple[Receiver, ...], secrets_directory: str) -> dict[str, list[Settings]]:
    """The part of an Alertmanager receiver below its name: a list of settings for each kind.

    ``secrets_directory`` is where Alertmanager finds what the registry's files hold. Each integration tells
    of ends, too.
    """
    kinds: dict[str, list[Settings]] = {}
    for receiver in receivers:
        kind, settings = _integration(receiver, secrets_directory)
        kinds.setdefault(kind, []).append({**settings, "send_resolved": True})
    return kinds


def _integration(receiver: Receiver, directory: str) -> tuple[str, Settings]:
    match receiver:
        case Webhook():
            return "webhook_configs", webhook(receiver, directory)
        case Email():
            return "email_configs", {"to": receiver.to}
        case Slack():
            return "slack_configs", _slack(receiver.api_url_file, receiver.channel, directory)
        case Mattermost():
            return "slack_configs", _slack(receiver.webhook_url_file, receiver.channel, directory)
        case Teams():
            url_file = f"{directory}/{receiver.webhook_url_file}"
            return "msteamsv2_configs", {"webhook_url_file": url_file, "title": TITLE, "text": TEXT}
        case PagerDuty():
            key = {"routing_key_file": f"{directory}/{receiver.routing_key_file}"}
            return "pagerduty_configs", key | ({"url": receiver.url} if receiver.url else {})
        case IncidentIo():
            token = f"{directory}/{receiver.alert_source_token_file}"
            return "incidentio_configs", {"url": receiver.url, "alert_source_token_file": token}


def _slack(url_file: str, channel: str | None, directory: str) -> Settings:
    message = {"api_url_file": f"{directory}/{url_file}", "title": TITLE, "text": TEXT}
    return message | ({"channel": channel} if channel else {})


def webhook(address: HttpAddress, directory: str) -> Settings:
    """The settings of a webhook, without ``send_resolved``."""
    if address.url is not None:
        settings: Settings = {"url": address.url}
    else:
        settings = {"url_file": f"{directory}/{address.url_file}"}
    if address.credentials_file is not None:
        settings |= bearer(f"{directory}/{address.credentials_file}")
    return settings


def bearer(path: str) -> Settings:
    """The setting by which a request carries the token in a file."""
    return {"http_config": {"authorization": {"type": "Bearer", "credentials_file": path}}}


def mail_server(smtp: Smtp, directory: str) -> Settings:
    """The global settings of e-mail."""
    settings: Settings = {
        "smtp_smarthost": smtp.smarthost,
        "smtp_from": smtp.from_,
        "smtp_require_tls": smtp.require_tls,
    }
    if smtp.username is not None:
        password = f"{directory}/{smtp.password_file}"
        settings |= {"smtp_auth_username": smtp.username, "smtp_auth_password_file": password}
    return settings
