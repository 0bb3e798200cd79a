"""Lists as lines of text: short enough for 80 columns, or each row on one line for other programs.

Into a pipe or a file goes one line for each row and nothing else, so that lines can be counted.
"""

from __future__ import annotations

import getpass
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from modelplane_provisioning.clients.backend import BackendClient
from modelplane_provisioning.commands.options import address, data_option
from modelplane_provisioning.commands.text import print_json, say

Command = TypeVar("Command", bound=Callable[..., Any])

_url_option = click.option(
    "--url", callback=address("http://backend:8090"), help="A backend, in place of the local plane's."
)
_token_option = click.option(
    "--token-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File that holds a token of the backend; by default the local plane's operator.",
)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user often has no name
        raise click.UsageError("say with --by who does this: this user has no name") from None


json_option = click.option("--json", "as_json", is_flag=True, help="Print the backend's answer as JSON.")
wide_option = click.option("--wide", is_flag=True, help="Print each on one line, below the names of columns.")
by_option = click.option("--by", default=_user, help="Who does it.  [default: your user name]")
tenant_option = click.option("--tenant", "tenants", multiple=True, help="Only of this tenant; repeatable.")


def backend_options(command: Command) -> Command:
    """``--data``, ``--url`` and ``--token-file``, which find the backend."""
    return data_option(_url_option(_token_option(command)))


def backend_of(options: dict[str, Any]) -> BackendClient:
    """The backend that these options name, which are taken out of ``options``."""
    return BackendClient.find(options.pop("data"), options.pop("url"), options.pop("token_file"))


@dataclass(frozen=True, slots=True)
class Listing:
    """How rows of a list are printed: the ``cells`` of ``columns`` on one line each, or by ``print_row``."""

    columns: tuple[str, ...]
    cells: Callable[[dict[str, Any]], tuple[str, ...]]
    print_row: Callable[[dict[str, Any]], None]

    def print(self, answer: dict[str, Any], key: str, nothing: str, *, wide: bool, as_json: bool) -> None:
        """The rows below ``key`` of an answer; ``nothing``, or how many more there are, on standard error."""
        if as_json:
            print_json(answer)
            return
        rows = answer[key]
        if not rows:
            say(nothing, err=True)
        elif wide or not sys.stdout.isatty():
            print_aligned([*([self.columns] if wide else []), *map(self.cells, rows)])
        else:
            for row in rows:
                self.print_row(row)
        if answer["total"] > len(rows):
            say(f"{answer['total'] - len(rows)} more: raise --limit", err=True)


def print_aligned(rows: Sequence[Sequence[str]]) -> None:
    """Rows with columns below each other; none is cut."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = (text.ljust(width) for text, width in zip(row, widths, strict=True))
        say("  ".join(cells).rstrip())


def say_indented(text: str) -> None:
    """A line below another, folded to the width of the terminal if there is one."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize
    for line in textwrap.wrap(text, width, initial_indent="  ", subsequent_indent="    "):
        say(line)


def checked_id(text: str, what: str) -> str:
    """``text`` where it can be the id of a silence or an incident, ``what`` for short; click.BadParameter."""
    if not re.fullmatch(r"[0-9a-f-]+", text):
        raise click.BadParameter(f"{text!r} is no id; `modelplane {what}s list` shows them")
    return text


def printable(text: str) -> str:
    """Somebody's text on one line, without what a terminal would obey."""
    return "".join(char if char.isprintable() else " " for char in text)


def moment(milliseconds: int | None) -> str:
    """``2026-01-31 20:00Z``, or nothing."""
    if milliseconds is None:
        return ""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%MZ")
