"""Ids in Grafana: uids of boards, which are readable, stable and independent of each other, and others."""

from __future__ import annotations

import hashlib
import re

MAX_UID = 40
OPERATORS = "1"  # number of the organisation that every Grafana begins with
FLEET_UID = "mp-fleet"
API_DATASOURCE_UID = "modelplane"
PROMETHEUS_DATASOURCE_UID = "modelplane-prometheus"
ALERTMANAGER_DATASOURCE_UID = "modelplane-alertmanager"
PLUGIN_APP_ID = "modelplane-monitoring-app"
PLUGIN_DATASOURCE_ID = "modelplane-monitoring-datasource"


def template_uid(kind: str) -> str:
    """The uid of the board of a kind that is about all tenants and models: ``mp-<kind>``."""
    return f"mp-{kind}"


def dashboard_uid(kind: str, name: str) -> str:
    """``mp-<kind>-<slug>``; a lossy or too long slug is completed by six hex digits of the name's SHA-256."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    prefix = f"mp-{kind}-"
    if slug == name and len(prefix) + len(slug) <= MAX_UID:
        return prefix + slug
    digest = hashlib.sha256(name.encode()).hexdigest()[:6]
    shortened = slug[: MAX_UID - len(prefix) - len(digest) - 1].strip("-")
    return f"{prefix}{shortened}-{digest}" if shortened else f"{prefix}{digest}"
