"""The ``modelplane`` command line: one group, one place where known errors become one sentence."""

from __future__ import annotations

from typing import Any

import click

from modelplane_provisioning.plane import PlaneError
from modelplane_provisioning.processes import ProcessError
from modelplane_schema.registry import RegistryError

# Commands import their part when they run, so that one part's extra suffices for its commands.
_KNOWN_ERRORS = {"BundleError", "ConfigurationError", "MixinError", "ServerError"}


class _Group(click.Group):
    """Turns errors that are meant for people into click's: one message, status 1, no traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (RegistryError, PlaneError, ProcessError) as error:
            raise click.ClickException(str(error)) from error
        except OSError as error:
            raise click.ClickException(f"{error.filename or 'a file'}: {error.strerror or error}") from error
        except (RuntimeError, ValueError) as error:
            if type(error).__name__ in _KNOWN_ERRORS:
                raise click.ClickException(str(error)) from error
            raise


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="modelplane")
def cli() -> None:
    """Monitoring plane for organisations that serve many AI models.

    Example: modelplane demo
    """


def _register() -> None:
    from modelplane_provisioning.commands import artefacts, demo, plane

    for command in (*artefacts.COMMANDS, *plane.COMMANDS, *demo.COMMANDS):
        cli.add_command(command)


_register()
