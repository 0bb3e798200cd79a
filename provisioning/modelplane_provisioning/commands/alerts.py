"""``modelplane alerts``: list, and what the backend brings to look after the alert store."""

from __future__ import annotations

from typing import Any

import click

from modelplane_datasource.alerts.cli import alerts, database_option, open_store
from modelplane_datasource.alerts.episodes import STATUSES, Episode
from modelplane_datasource.alerts.store import AlertFilter
from modelplane_provisioning.commands.lines import (
    Listing,
    moment,
    printable,
    say_indented,
    tenant_option,
    wide_option,
)
from modelplane_provisioning.commands.text import say

_COLUMNS = ("STARTED", "ENDED", "STATUS", "SEVERITY", "ALERT", "TENANT", "MODEL", "VERSION")
_FIELDS = (
    "starts_at", "ends_at", "status", "reason", "severity", "alertname", "tenant_id", "model_name",
    "model_version",
)  # fmt: skip


@alerts.command("list")
@database_option
@tenant_option
@click.option("--status", "statuses", multiple=True, type=click.Choice(STATUSES), help="Repeatable.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000))
@wide_option
@click.option("--json", "as_json", is_flag=True, help="Print the alerts as JSON, with times in milliseconds.")
def alerts_list(
    database_url: str,
    tenants: tuple[str, ...],
    statuses: tuple[str, ...],
    limit: int,
    wide: bool,
    as_json: bool,
) -> None:
    """Print the newest alerts.

    Example: modelplane alerts list --status firing
    """
    with open_store(database_url) as store:
        page = store.alert_page(AlertFilter(tenant_ids=tenants, statuses=statuses, limit=limit))
    answer = {"alerts": [_row(episode) for episode in page.items], "total": page.total}
    _LISTING.print(answer, "alerts", "There are no alerts that match.", wide=wide, as_json=as_json)


def _row(episode: Episode) -> dict[str, Any]:
    return {name: getattr(episode, name) for name in _FIELDS}


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    texts = (
        moment(row["starts_at"]), moment(row["ends_at"]), row["status"], row["severity"], row["alertname"],
        row["tenant_id"], row["model_name"], row["model_version"],
    )  # fmt: skip
    return tuple(printable(text) or "-" for text in texts)


def _print(row: dict[str, Any]) -> None:
    say(printable(f"{moment(row['starts_at'])}  {row['status']}  {row['severity']}  {row['alertname']}"))
    version = " ".join(filter(None, (row["model_name"], row["model_version"])))
    names = " of ".join(filter(None, (version, row["tenant_id"])))
    end = "" if row["ends_at"] is None else f"ended {moment(row['ends_at'])} ({row['reason']})"
    say_indented(printable(", ".join(filter(None, (names, end)))))


_LISTING = Listing(_COLUMNS, _cells, _print)
COMMANDS = (alerts,)
