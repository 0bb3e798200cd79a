"""What ``modelplane grafana apply`` is asked for in tests: operators, and an organisation of two tenants."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path, PurePosixPath

from modelplane_dashboards import ApiAccess
from modelplane_provisioning.clients.grafana import GrafanaClient, Login
from modelplane_provisioning.grafana_apply.apply import Identities, Outcome, apply
from modelplane_provisioning.grafana_apply.changes import Change
from modelplane_provisioning.grafana_apply.plan import Choices
from modelplane_provisioning.grafana_apply.wanted import (
    OPERATORS_NAME,
    Addresses,
    WantedOrganisation,
    wanted_organisations,
)
from modelplane_schema.registry import Registry, parse_registry
from provisioning_support.grafana_state import PASSWORD

EXAMPLE = (Path(__file__).parents[3] / "examples" / "modelplane.yaml").read_text(encoding="utf-8")
SECTION = """
grafana:
  issuer: http://localhost:3000/
  organisations: {1: all}
  tenant_organisations:
    - {name: Clinics, tenants: [north-clinic, south-clinic]}
"""
BACKEND = "http://backend:8090"
ADDRESSES = Addresses("http://prometheus:9090", BACKEND, "http://alertmanager:9093")
NOTHING = Choices()


def registry(section: str = SECTION) -> Registry:
    return parse_registry(EXAMPLE + section)


@cache
def wanted(
    section: str = SECTION,
    api: ApiAccess = "plugin",
    addresses: Addresses = ADDRESSES,
    token: str = "the-clinics-secret",  # noqa: S107 - of the test
) -> list[WantedOrganisation]:
    declared = registry(section)
    organisations = declared.grafana.tenant_organisations if declared.grafana else ()
    tokens = {OPERATORS_NAME: "the-operators-secret", **{each.uid: token for each in organisations}}
    organisations_of = wanted_organisations(declared, addresses, tokens, api, "never")
    return [replace(each, files=SmallBoards(each.paths)) for each in organisations_of]


class SmallBoards(dict[str, bytes]):
    """A board of one panel for each path: rendering the real ones takes most of a run."""

    def __init__(self, paths: Iterable[str]) -> None:
        panels = [{"id": 1, "type": "stat", "gridPos": {"x": 0, "y": 0, "w": 4, "h": 4}}]
        for path in paths:
            uid = PurePosixPath(path).stem
            board = {"uid": uid, "title": uid, "tags": ["modelplane"], "panels": panels}
            self[path] = json.dumps(board).encode()


def run(
    url: str,
    organisations: list[WantedOrganisation],
    token: str | None = None,
    choices: Choices = NOTHING,
    *,
    dry_run: bool = False,
    with_admin: bool = True,
) -> tuple[Outcome, list[str]]:
    """The outcome, and a line for each change; without ``token`` the server admin is the operator, too."""
    admin = GrafanaClient(url, Login.of_user("admin", PASSWORD))
    operators = GrafanaClient(url, Login.of_token(token)) if token else admin
    lines: list[str] = []

    def tell(organisation: str, change: Change) -> None:
        lines.append(f"{organisation}: {change.text}")

    identities = Identities(operators, admin if with_admin else None)
    outcome = apply(identities, organisations, choices, BACKEND, tell, dry_run=dry_run)
    return outcome, lines
