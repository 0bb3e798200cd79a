"""Entry point of the ``modelplane`` command, also when only the exporter is installed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import metadata

from modelplane_provisioning.commands import SOURCES, WHOLE


def main() -> None:
    """Run the command line; a missing extra is one clear line and a status of the command.

    ``--version`` and ``--help`` need no extra.
    """
    try:
        from modelplane_provisioning.cli import cli

        cli()
    except ModuleNotFoundError as error:
        command = sys.argv[1] if len(sys.argv) > 1 else ""
        text = _plain_answer(sys.argv[1:])
        if text is not None:
            sys.stdout.write(text)
            return
        extra = _advice(error.name or "", command)
        if extra is None:
            raise
        sys.stderr.write(
            f"Error: this command needs {error.name}, which is not installed; "
            f"add it with: pip install 'modelplane[{extra}]'\n"
        )
        sys.exit(SOURCES[command].missing_status if command in SOURCES else 2)


def _plain_answer(arguments: Sequence[str]) -> str | None:
    """What ``--version`` or ``--help`` prints where there is no command line; None for anything else."""
    if list(arguments) == ["--version"]:
        return f"modelplane, version {metadata.version('modelplane')}\n"
    if list(arguments) not in ([], ["-h"], ["--help"]):
        return None
    width = max(map(len, SOURCES))
    lines = (f"  {name:{width}}  modelplane[{source.extra}]" for name, source in SOURCES.items())
    return (
        "Usage: modelplane COMMAND ...\n\n"
        "Only the exporter is installed. Each command comes with an extra of the package, and all with\n"
        f"pip install 'modelplane[{WHOLE}]':\n\n" + "\n".join(lines) + "\n"
    )


def _advice(module: str, command: str) -> str | None:
    """The extra with which ``command`` works; None when no extra brings ``module``."""
    from modelplane_provisioning.extras import advised_extra, installed_extras, is_installed

    of_command = SOURCES[command].extra if command in SOURCES else WHOLE
    return advised_extra(module, of_command, installed_extras(), is_installed)
