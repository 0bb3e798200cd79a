"""docs/command-line.md: completion works as it says, and its table names every command that prints JSON."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from modelplane_provisioning.cli import cli

PAGE = (Path(__file__).parents[4] / "docs" / "command-line.md").read_text(encoding="utf-8")


def commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from commands(inner, (*path, name))
    else:
        yield " ".join(path), command


def test_the_table_names_every_command_that_prints_json() -> None:
    table = PAGE.partition("## For scripts")[2]
    rows = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
    named = {name for row in rows for name in re.findall("`([^`]+)`", row)}
    options = {name: {option.name for option in command.params} for name, command in commands(cli)}
    assert named == {name for name, of_command in options.items() if "as_json" in of_command}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_what_the_page_says(shell: str) -> None:
    assert f"_MODELPLANE_COMPLETE={shell}_source modelplane" in PAGE
    environment = {"_MODELPLANE_COMPLETE": f"{shell}_source"}
    result = CliRunner().invoke(cli, prog_name="modelplane", env=environment)
    assert (result.exit_code, f"_MODELPLANE_COMPLETE={shell}_complete" in result.output) == (0, True)


def test_completion_knows_commands_and_options() -> None:
    words = {"COMP_WORDS": "modelplane registry di", "COMP_CWORD": "2"}
    environment = {"_MODELPLANE_COMPLETE": "bash_complete", **words}
    result = CliRunner().invoke(cli, prog_name="modelplane", env=environment)
    assert result.output.split() == ["plain,discover"]
