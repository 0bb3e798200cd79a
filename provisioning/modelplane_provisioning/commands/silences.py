"""``modelplane silences``: create, list, expire."""

from __future__ import annotations

import json
import re
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

_MATCHER = re.compile(r"([a-zA-Z_][a-zA-Z0-9_]*)(=~|!~|!=|=)(.*)", re.DOTALL)
_COLUMNS = ("ID", "STATUS", "TENANT", "STARTS", "ENDS", "BY", "MATCHERS", "COMMENT")
_STATUSES = ("active", "pending", "missing", "expired")


@click.group("silences")
def silences_group() -> None:
    """Keep alerts from being notified for some time.

    Example: modelplane silences list
    """


@silences_group.command("create")
@click.argument("matchers", nargs=-1, required=True)
@click.option("--for", "duration", required=True, help="How long, such as 30m, 2h or 1d.")
@click.option("--comment", required=True, help="Why.")
@click.option("--tenant", help="Silence alerts of this tenant alone; a token of one tenant need not say it.")
@by_option
@json_option
@backend_options
def silences_create(matchers: tuple[str, ...], tenant: str | None, as_json: bool, **options: Any) -> None:
    """Silence the alerts that fit all MATCHERS.

    A matcher is a label, one of = != =~ !~, and a value: =~ takes a regular expression for all of the value.

    Example: modelplane silences create alertname=ModelLatencyHigh model_name=digit-reader --tenant vision-lab
    --for 2h --comment "new version warms up"
    """
    backend = backend_of(options)
    body = {**options, "matchers": [_matcher(text) for text in matchers]}
    row = backend.post("/api/v1/silences", body, {"tenant-id": tenant} if tenant else None)
    if as_json:
        print_json(row)
        return
    _print(row)
    say(f"End it with: modelplane silences expire {row['id']}")


@silences_group.command("list")
@tenant_option
@click.option(
    "--status", "statuses", multiple=True, type=click.Choice(_STATUSES),
    help="Repeatable; all but expired when left out.",
)  # fmt: skip
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 1000))
@wide_option
@json_option
@backend_options
def silences_list(
    tenants: tuple[str, ...], statuses: tuple[str, ...], limit: int, wide: bool, as_json: bool, **options: Any
) -> None:
    """Print silences, the newest first.

    One is missing when it should be in force and Alertmanager does not know it.

    Example: modelplane silences list --tenant vision-lab
    """
    query = {"tenant-id": tenants, "status": statuses, "limit": limit}
    answer = backend_of(options).get("/api/v1/silences", query)
    nothing = "There are no silences" + ("." if statuses else "; --status expired shows old ones.")
    _LISTING.print(answer, "silences", nothing, wide=wide, as_json=as_json)


@silences_group.command("expire")
@click.argument("silence_id")
@click.option("--note", default="", help="Why.")
@by_option
@json_option
@backend_options
def silences_expire(silence_id: str, as_json: bool, **options: Any) -> None:
    """End the silence SILENCE_ID before its time.

    Example: modelplane silences expire 3f1c6f1e-5a0b-4c55-9a3c-0d2b1f6f7a10 --note "it is warm"
    """
    row = backend_of(options).post(f"/api/v1/silences/{checked_id(silence_id, 'silence')}/expire", options)
    print_json(row) if as_json else _print(row)


def _matcher(text: str) -> dict[str, str]:
    parsed = _MATCHER.fullmatch(text)
    if parsed is None:
        raise click.BadParameter(
            f"{text!r} is no matcher; allowed: a label, one of = != =~ !~, and a value, "
            "such as alertname=ModelDown",
            param_hint="MATCHERS",
        )
    name, operator, value = parsed.groups()
    if len(value) > 1 and value[0] == value[-1] == '"':  # as Alertmanager and our lists write it
        try:
            value = json.loads(value, strict=False)
        except ValueError:
            value = value[1:-1]
    return {"name": name, "operator": operator, "value": value}


def _print(row: dict[str, Any]) -> None:
    say(f"{row['id']}  {_state(row)}")
    say_indented(_matchers(row))
    say_indented(printable(f"{row['by']}: {row['comment']}"))
    if row["expired_at"] is not None:
        note = f": {row['expiry_note']}" if row["expiry_note"] else ""
        say_indented(printable(f"ended by {row['expired_by']}{note}"))


def _state(row: dict[str, Any]) -> str:
    if row["status"] == "expired":
        return f"expired {moment(row['ends_at'])}"
    start = f" from {moment(row['starts_at'])}" if row["status"] == "pending" else ""
    return f"{row['status']}{start} until {moment(row['ends_at'])}"


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    texts = (
        row["id"], row["status"], row["tenant_id"] or "-", moment(row["starts_at"]), moment(row["ends_at"]),
        row["by"], _matchers(row), row["comment"],
    )  # fmt: skip
    return tuple(map(printable, texts))


def _matchers(row: dict[str, Any]) -> str:
    return printable(
        ", ".join(
            f"{matcher['name']}{matcher['operator']}{json.dumps(matcher['value'], ensure_ascii=False)}"
            for matcher in row["matchers"]
        )
    )


_LISTING = Listing(_COLUMNS, _cells, _print)
COMMANDS = (silences_group,)
