"""Print text that a terminal of any encoding can show."""

from __future__ import annotations

import json
import sys
from typing import Any

import click


def print_json(answer: Any) -> None:
    """An answer for programs."""
    click.echo(json.dumps(answer, indent=2, ensure_ascii=not _is_utf8()))


def say(text: str, *, err: bool = False) -> None:
    """One line, as far as the terminal can show it; on standard error what is not of the answer."""
    click.echo(text if _is_utf8() else text.encode("ascii", "replace").decode(), err=err)


def _is_utf8() -> bool:
    return (sys.stdout.encoding or "ascii").lower().replace("-", "") == "utf8"
