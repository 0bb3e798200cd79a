"""Entry point of the ``modelplane`` command, also when only the exporter is installed."""

from __future__ import annotations

import sys

# Commands that need every part; of the others the missing module says which extra brings it.
_PLANE_COMMANDS = ("bundle", "demo", "doctor", "status", "up")
_EXTRAS = {
    "_jsonnet": "alerts",
    "alembic": "backend",
    "cachetools": "backend",
    "click": "plane",
    "flask": "backend",
    "grafanalib": "dashboards",
    "isal": "backend",
    "jwt": "backend",
    "msgspec": "backend",
    "numpy": "baseline",
    "orjson": "backend",
    "promql_parser": "plane",
    "psycopg": "postgresql",
    "pyarrow": "baseline",
    "pycurl": "backend",
    "pydantic": "plane",
    "requests": "plane",
    "rich": "plane",
    "scipy": "backend",
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
        if sys.argv[1:2] and sys.argv[1] in _PLANE_COMMANDS:
            extra = "plane"
        sys.stderr.write(
            f"Error: this command needs {error.name}, which is not installed; "
            f"add it with: pip install 'modelplane[{extra}]'\n"
        )
        sys.exit(2)
