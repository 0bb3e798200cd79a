"""Every `modelplane` command that the pages show is one that the command line understands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from modelplane_provisioning.cli import cli

ROOT = Path(__file__).parents[4]


def documented_commands() -> Iterator[tuple[str, str]]:
    """The page, and the words after `modelplane` of each command at a prompt."""
    for page in [*ROOT.glob("*.md"), *sorted(ROOT.glob("docs/*.md"))]:
        text = page.read_text(encoding="utf-8").replace("\\\n", " ")
        for command in re.findall(r"^\$ modelplane (.+)$", text, re.MULTILINE):
            yield page.name, command


COMMANDS = list(documented_commands())


def parse(words: list[str]) -> None:
    """Follow groups to a command and let it read its options; UsageError."""
    command: click.Command = cli
    context, name = click.Context(cli), "modelplane"
    while isinstance(command, click.Group):
        subname, subcommand, words = command.resolve_command(context, words)
        assert subcommand is not None
        name, command = subname or name, subcommand
        context = click.Context(command, info_name=name, parent=context)
    command.make_context(name, words, parent=context.parent)


@pytest.mark.parametrize(("page", "command"), COMMANDS, ids=[f"{page}: {text}" for page, text in COMMANDS])
def test_a_documented_command_is_understood(page: str, command: str) -> None:
    try:
        parse(shlex.split(command, comments=True))
    except click.BadParameter as error:
        if "does not exist" not in error.format_message():  # a file of the reader's is not here
            raise


def test_a_command_that_is_wrong_is_not_understood() -> None:
    with pytest.raises(click.NoSuchOption):
        parse(["silences", "create", "alertname=x", "--duration", "2h"])
    assert len(COMMANDS) > 20
