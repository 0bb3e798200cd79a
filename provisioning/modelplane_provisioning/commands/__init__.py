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
    "alertmanager": Source("alertmanager", "plane"),
    "alerts": Source("alerts", "backend"),
    "apply": Source("apply", "plane"),
    "baseline": Source("baseline", "baseline"),
    "bundle": Source("bundle", "plane"),
    "dashboards": Source("dashboards", "dashboards"),
    "demo": Source("demo", "plane"),
    "doctor": Source("doctor", "plane"),
    "gate": Source("gate", "plane", missing_status=4),
    "grafana": Source("grafana", "pictures"),
    "images": Source("images", "plane"),
    "incidents": Source("incidents", "plane"),
    "registry": Source("registry", "registry"),
    "rules": Source("rules", "alerts"),
    "serve": Source("plane", "backend"),
    "silences": Source("silences", "plane"),
    "status": Source("doctor", "plane"),
    "up": Source("plane", "plane"),
}
# What the command line itself needs, besides the extra of the command.
COMMAND_LINE = ("click", "rich")
# Where the whole command line is.
WHOLE = "plane"
