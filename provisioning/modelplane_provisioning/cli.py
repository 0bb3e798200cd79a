"""The ``modelplane`` command line: one group, one place where errors for people become one sentence."""

from __future__ import annotations

import importlib
from typing import Any

import click

from modelplane_provisioning.commands import SOURCES
from modelplane_schema.errors import UserError


class _Group(click.Group):
    """Imports a command when it is wanted, so that its own extra suffices, and prints errors for people."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands whose extras are installed."""
        return [name for name in SOURCES if _is_installed(name)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """ModuleNotFoundError when the extra of the command is missing."""
        return _command(cmd_name) if cmd_name in SOURCES else None

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except OSError as error:
            raise click.ClickException(f"{error.filename or 'a file'}: {error.strerror or error}") from error
        except UserError as error:
            raise click.ClickException(str(error)) from error


def _command(name: str) -> click.Command:
    module = importlib.import_module(f"modelplane_provisioning.commands.{SOURCES[name].module}")
    command: click.Command = next(command for command in module.COMMANDS if command.name == name)
    return command


def _is_installed(name: str) -> bool:
    try:
        _command(name)
    except ModuleNotFoundError:
        return False
    return True


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="modelplane")
def cli() -> None:
    """Monitoring plane for organisations that serve many AI models.

    Example: modelplane demo
    """
