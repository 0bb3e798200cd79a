"""Print what is not wrong and yet worth a word."""

from __future__ import annotations

from collections.abc import Iterable

from rich.markup import escape

from modelplane_provisioning.commands.options import console


def print_warnings(warnings: Iterable[str]) -> None:
    """A line for each."""
    for warning in warnings:
        console.print(f"[yellow]warning[/yellow]: {escape(warning)}")
