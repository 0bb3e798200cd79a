"""The commands, one module for each subject. Importing this package needs the standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Source(NamedTuple):
    """Where a command is: a module of this package, in its ``COMMANDS``. ``extra`` brings what it needs."""

    module: str
    extra: str


SOURCES: Mapping[str, Source] = {
    "alerts": Source("alerts", "backend"),
    "baseline": Source("baseline", "baseline"),
    "bundle": Source("artefacts", "plane"),
    "dashboards": Source("artefacts", "dashboards"),
    "demo": Source("demo", "plane"),
    "doctor": Source("plane", "plane"),
    "registry": Source("artefacts", "registry"),
    "rules": Source("artefacts", "alerts"),
    "serve": Source("plane", "backend"),
    "status": Source("plane", "plane"),
    "up": Source("plane", "plane"),
}
# What the command line itself needs, besides the extra of the command.
COMMAND_LINE = ("click", "rich")
# Where the whole command line is.
WHOLE = "plane"
