"""The ``modelplane`` command line: one group, one place where known errors become one sentence."""

from __future__ import annotations

import importlib
from typing import Any

import click

# Commands are imported when they are asked for, so that one part's extra suffices for its commands.
_MODULES = {
    "alerts": "alerts",
    "baseline": "baseline",
    "bundle": "artefacts",
    "dashboards": "artefacts",
    "demo": "demo",
    "doctor": "plane",
    "registry": "artefacts",
    "rules": "artefacts",
    "serve": "plane",
    "status": "plane",
    "up": "plane",
}
_KNOWN_ERRORS = {
    "BaselineError",
    "BundleError",
    "ConfigurationError",
    "MixinError",
    "PlaneError",
    "ProcessError",
    "RegistryError",
    "ServerError",
}


class _Group(click.Group):
    """Imports commands late, and turns errors that are meant for people into click's: no traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands whose extras are installed."""
        return [name for name in _MODULES if _is_installed(name)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """ModuleNotFoundError when the extra of the command is missing."""
        return _command(cmd_name) if cmd_name in _MODULES else None

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except OSError as error:
            raise click.ClickException(f"{error.filename or 'a file'}: {error.strerror or error}") from error
        except (RuntimeError, ValueError) as error:
            if type(error).__name__ in _KNOWN_ERRORS:
                raise click.ClickException(str(error)) from error
            raise


def _command(name: str) -> click.Command:
    module = importlib.import_module(f"modelplane_provisioning.commands.{_MODULES[name]}")
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
