"""``python -m modelplane_datasource``: serve with settings from flags, the environment or a file."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from modelplane_datasource.observability.logs import configure_logs
from modelplane_datasource.server import ServerError, serve
from modelplane_datasource.settings import CONFIG_VARIABLE, TABLE, ConfigurationError, Settings


def _with_flags(command: click.Command) -> click.Command:
    """``command`` with a flag for each setting."""
    for row in TABLE:
        default = "" if row.default is None else f" Default: {row.default}."
        help_ = f"{row.summary} Allowed: {row.kind.allowed}.{default}"
        command.params.append(click.Option([row.flag, row.name], metavar="TEXT", help=help_))
    return command


@click.command(
    name="modelplane_datasource",
    epilog=f"Each flag has a variable, for example MODELPLANE_DATASOURCE_PORT for --port, and a key in the "
    f"YAML file of --config (or {CONFIG_VARIABLE}); a flag outweighs a variable, and that the file.",
)
@click.option("--config", type=click.Path(path_type=Path), help="YAML file with settings by name.")
def run(config: Path | None, **flags: Any) -> int:
    """Serve the series, alerts and costs of a plane until SIGTERM.

    \b
    Example: python -m modelplane_datasource --prometheus-url http://127.0.0.1:9090 --port 8090

    Exit status: 0 after a clean stop, 1 when the server cannot start, 2 for bad settings.
    """
    given = {name: text for name, text in flags.items() if text is not None}
    try:
        settings = Settings.from_environment(os.environ, given, config)
        configure_logs(settings.log_format)
        serve(settings)
    except ConfigurationError as error:
        sys.stderr.write(f"modelplane_datasource: {error}\n")
        return 2
    except ServerError as error:
        sys.stderr.write(f"modelplane_datasource: {error}\n")
        return 1
    return 0


def main() -> int:
    """Run the command line; the exit status."""
    try:
        status: int = _with_flags(run).main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    return status


if __name__ == "__main__":
    raise SystemExit(main())
