"""``modelplane incidents``: list, ack, comment."""

from __future__ import annotations

from typing import Any

import click

from modelplane_provisioning.commands.lines import (
    Listing,
    backend_of,
    backend_options,
    by_option,
    checked_id,
    json_option,
    moment,
    printable,
    say_indented,
    tenant_option,
    wide_option,
)
from modelplane_provisioning.commands.text import print_json, say

_COLUMNS = ("ID", "STATUS", "SEVERITY", "TENANT", "MODEL", "STARTED", "ENDED", "ACKNOWLEDGED", "ALERTS")
_STATUSES = ("firing", "suppressed", "resolved")


@click.group("incidents")
def incidents_group() -> None:
    """See what is wrong with which model, and say that somebody looks after it.

    Example: modelplane incidents list
    """


@incidents_group.command("list")
@tenant_option
@click.option("--model", "models", multiple=True, help="Only of this model; repeatable.")
@click.option("--status", "statuses", multiple=True, type=click.Choice(_STATUSES), help="Repeatable.")
@click.option("--from", "start", help="Only those that had not ended before: a time, or now-6h.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000))
@wide_option
@json_option
@backend_options
def incidents_list(
    tenants: tuple[str, ...], models: tuple[str, ...], statuses: tuple[str, ...], start: str | None,
    limit: int, wide: bool, as_json: bool, **options: Any,
) -> None:  # fmt: skip
    """Print incidents, the worst first: what is open, then what is severe, then what is new.

    Example: modelplane incidents list --tenant vision-lab --status firing
    """
    query = {"tenant-id": tenants, "model-name": models, "status": statuses, "from": start, "limit": limit}
    answer = backend_of(options).get("/api/v1/incidents", query)
    _LISTING.print(answer, "incidents", "There are no incidents that match.", wide=wide, as_json=as_json)


@incidents_group.command("ack")
@click.argument("incident_id")
@click.option("--note", default="", help="What is being done.")
@by_option
@json_option
@backend_options
def incidents_ack(incident_id: str, as_json: bool, **options: Any) -> None:
    """Acknowledge the incident INCIDENT_ID: somebody has seen it.

    Example: modelplane incidents ack 18b70b82c00-79290fe94a137929 --note "rolling back"
    """
    _change(incident_id, "acknowledge", as_json, options)


@incidents_group.command("comment")
@click.argument("incident_id")
@click.argument("comment")
@by_option
@json_option
@backend_options
def incidents_comment(incident_id: str, as_json: bool, **options: Any) -> None:
    """Write COMMENT into the history of the incident INCIDENT_ID.

    Example: modelplane incidents comment 18b70b82c00-79290fe94a137929 "the new image lacks a driver"
    """
    _change(incident_id, "comment", as_json, options)


def _change(incident_id: str, action: str, as_json: bool, options: dict[str, Any]) -> None:
    backend = backend_of(options)
    row = backend.post(f"/api/v1/incidents/{checked_id(incident_id, 'incident')}/{action}", options)
    if as_json:
        print_json(row)
        return
    _print(row)
    for entry in sorted([*row["acknowledgements"], *row["comments"]], key=lambda entry: entry["at"]):
        text = entry.get("comment") or f"acknowledged. {entry.get('note', '')}"
        say_indented(printable(f"{moment(entry['at'])} {entry['by']}: {text}").rstrip())


def _print(row: dict[str, Any]) -> None:
    names = " of ".join(filter(None, (row["model_name"], row["tenant_id"])))
    say(printable(f"{row['id']}  {row['status']}  {row['severity']}  {names}".rstrip()))
    span = f"since {moment(row['starts_at'])}"
    if row["ends_at"] is not None:
        span = f"{moment(row['starts_at'])} to {moment(row['ends_at'])}"
    seen = f", acknowledged by {row['acknowledged_by']}" if row["acknowledged_at"] is not None else ""
    say_indented(printable(f"{row['alertnames']} {span}{seen}"))


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    texts = (
        row["id"], row["status"], row["severity"] or "-", row["tenant_id"] or "-", row["model_name"] or "-",
        moment(row["starts_at"]), moment(row["ends_at"]) or "-", row["acknowledged_by"] or "-",
        row["alertnames"],
    )  # fmt: skip
    return tuple(map(printable, texts))


_LISTING = Listing(_COLUMNS, _cells, _print)
COMMANDS = (incidents_group,)
