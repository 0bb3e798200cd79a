"""Render the Alertmanager configuration from the registry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

from modelplane_schema.alerts import ALERTS, MODEL_DOWN
from modelplane_schema.metrics import FRAMEWORK, MODEL_NAME, MODEL_VERSION, TENANT_ID
from modelplane_schema.promql import Matcher, one_of
from modelplane_schema.registry import Receiver, Registry, Tenant

BACKEND_RECEIVER = "modelplane-backend"
# A notification of so many alerts of 8 KiB each is no larger than the backend takes (16 MiB).
MAX_ALERTS = 2000


@dataclass(frozen=True, slots=True)
class Routing:
    """Where the backend is and how long Alertmanager groups.

    ``secrets_directory`` is where Alertmanager sees the credential files, without a trailing slash.
    """

    backend_url: str
    backend_credentials_file: str
    secrets_directory: str
    group_wait: str = "30s"
    group_interval: str = "5m"
    repeat_interval: str = "4h"


def alertmanager_config(registry: Registry, routing: Routing) -> str:
    """``alertmanager.yml``: everything to the backend, each tenant's alerts also to its receivers."""
    tenants = [tenant for tenant in registry.tenants if tenant.receivers]
    content = {
        "route": {
            "receiver": BACKEND_RECEIVER,
            "group_by": [TENANT_ID, MODEL_NAME],
            "group_wait": routing.group_wait,
            "group_interval": routing.group_interval,
            "repeat_interval": routing.repeat_interval,
            "routes": [{"receiver": BACKEND_RECEIVER, "continue": True}, *map(_route, tenants)],
        },
        "inhibit_rules": [_model_down_inhibits_its_symptoms()],
        "receivers": [_backend(routing), *(_tenant_receiver(tenant, routing) for tenant in tenants)],
    }
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=110)


def _route(tenant: Tenant) -> dict[str, Any]:
    return {"receiver": _receiver_name(tenant), "matchers": [str(Matcher(TENANT_ID, tenant.id))]}


def _model_down_inhibits_its_symptoms() -> dict[str, Any]:
    symptoms = [alert.name for alert in ALERTS if alert is not MODEL_DOWN and MODEL_VERSION in alert.labels]
    return {
        "source_matchers": [str(Matcher("alertname", MODEL_DOWN.name))],
        "target_matchers": [str(one_of("alertname", symptoms))],
        "equal": [MODEL_NAME, MODEL_VERSION, FRAMEWORK],
    }


def _backend(routing: Routing) -> dict[str, Any]:
    webhook = _webhook(routing.backend_url + "/api/v1/alerts", routing.backend_credentials_file)
    return {"name": BACKEND_RECEIVER, "webhook_configs": [{**webhook, "max_alerts": MAX_ALERTS}]}


def _tenant_receiver(tenant: Tenant, routing: Routing) -> dict[str, Any]:
    webhooks = [_webhook(receiver.url, _credentials(receiver, routing)) for receiver in tenant.receivers]
    return {"name": _receiver_name(tenant), "webhook_configs": webhooks}


def _credentials(receiver: Receiver, routing: Routing) -> str | None:
    if receiver.credentials_file is None:
        return None
    return f"{routing.secrets_directory}/{receiver.credentials_file}"


def _webhook(url: str, credentials_file: str | None) -> dict[str, Any]:
    webhook: dict[str, Any] = {"url": url, "send_resolved": True}
    if credentials_file is not None:
        authorization = {"type": "Bearer", "credentials_file": credentials_file}
        webhook["http_config"] = {"authorization": authorization}
    return webhook


def _receiver_name(tenant: Tenant) -> str:
    return f"tenant {tenant.id}"
