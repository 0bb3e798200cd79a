"""The commands, one module for each subject. Importing this package needs the standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Source(NamedTuple):
    """Where a command is: a module of this package, in its ``COMMANDS``. ``extra`` brings what it needs.

    ``missing_status`` is the exit status without that extra.
    """

    module: str
    extra: str
    missing_status: int = 2


SOURCES: Mapping[str, Source] = {
    "alerts": Source("alerts", "backend"),
    "baseline": Source("baseline", "baseline"),
    "bundle": Source("artefacts", "plane"),
    "dashboards": Source("dashboards", "dashboards"),
    "demo": Source("demo", "plane"),
    "doctor": Source("plane", "plane"),
    "gate": Source("gate", "plane", missing_status=4),
    "grafana": Source("grafana", "pictures"),
    "incidents": Source("incidents", "plane"),
    "registry": Source("artefacts", "registry"),
    "rules": Source("artefacts", "alerts"),
    "serve": Source("plane", "backend"),
    "silences": Source("silences", "plane"),
    "status": Source("plane", "plane"),
    "up": Source("plane", "plane"),
}
# What the command line itself needs, besides the extra of the command.
COMMAND_LINE = ("click", "rich")
# Where the whole command line is.
WHOLE = "plane"
