"""Entry point of the ``modelplane`` command, also when only the exporter is installed."""

from __future__ import annotations

import sys

# Which extra brings a module that a command needs.
_EXTRAS = {
    "_jsonnet": "alerts",
    "click": "plane",
    "flask": "backend",
    "grafanalib": "dashboards",
    "orjson": "backend",
    "promql_parser": "plane",
    "pydantic": "plane",
    "requests": "plane",
    "rich": "plane",
    "sqlalchemy": "backend",
    "waitress": "backend",
    "yaml": "plane",
}


def main() -> None:
    """Run the command line; a missing extra is one clear line and status 2."""
    try:
        from modelplane_provisioning.cli import cli

        cli()
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        sys.stderr.write(
            f"Error: this command needs {error.name}, which is not installed; "
            f"add it with: pip install 'modelplane[{extra}]'\n"
        )
        sys.exit(2)
