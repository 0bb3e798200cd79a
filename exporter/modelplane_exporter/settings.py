"""Settings of the exporter: environment variables, declared in one table."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from modelplane_exporter.rate_limited_log import logger

PREFIX = "MODELPLANE_EXPORTER_"
OFF = "off"
EXCLUSIVE = "exclusive"
SHARING = (EXCLUSIVE, "time-sliced", "mps")


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable; ``default`` is empty where there is none."""

    name: str
    default: str
    allowed: str
    meaning: str


ADDRESS = Variable(
    f"{PREFIX}ADDRESS",
    "0.0.0.0",  # noqa: S104 - a pull exporter must be reachable from Prometheus
    "an address or host name",
    "Where the built-in server listens; the argument `address` of the exporter outweighs it.",
)
PORT = Variable(
    f"{PREFIX}PORT",
    "8000",
    f"a port from 0 to 65535, or `{OFF}`",
    f"Port of the built-in server, `{OFF}` for none; the argument `port` of the exporter outweighs it.",
)
TLS_CERT_FILE = Variable(
    f"{PREFIX}TLS_CERT_FILE", "", "a PEM file", "Certificate of the built-in server; needs the key."
)
TLS_KEY_FILE = Variable(
    f"{PREFIX}TLS_KEY_FILE", "", "a PEM file without a passphrase", "Key of the certificate."
)
USERNAME = Variable(
    f"{PREFIX}USERNAME", "", "a text without a colon", "User of basic authentication; needs the password."
)
PASSWORD_FILE = Variable(
    f"{PREFIX}PASSWORD_FILE", "", "a file that is not empty", "File with the password of that user."
)
WORKERS_DIR = Variable(
    f"{PREFIX}WORKERS_DIR",
    "",
    "a directory that nothing else uses",
    "Where worker processes share their counts, so that each of them can expose the sum.",
)
SIGNAL_SERIES = Variable(
    f"{PREFIX}SIGNAL_SERIES",
    "50000",
    "a whole number",
    "How many series the signals of this process may have; what is above counts as `__overflow__`.",
)
DEVICE_SHARING = Variable(
    f"{PREFIX}DEVICE_SHARING",
    EXCLUSIVE,
    f"one of {', '.join(SHARING)}",
    "How processes share the GPUs; anything but `exclusive` ends the device type.",
)
VARIABLES = (
    ADDRESS, PORT, TLS_CERT_FILE, TLS_KEY_FILE, USERNAME, PASSWORD_FILE, WORKERS_DIR, SIGNAL_SERIES,
    DEVICE_SHARING,
)  # fmt: skip


def port(argument: int | str | None, environ: Mapping[str, str] = os.environ) -> int | None:
    """The port from argument, environment or default; None for ``off``. ValueError names the field."""
    source, value = (PORT.name, environ.get(PORT.name)) if argument is None else ("port", argument)
    if value is None:
        value = PORT.default
    if str(value).strip().lower() == OFF:
        return None
    if isinstance(value, bool) or not str(value).strip().isdecimal() or int(value) > 65535:
        raise ValueError(f"{source} must be a port from 0 to 65535 or {OFF!r} (got {value!r})")
    return int(value)


def signal_series(environ: Mapping[str, str] = os.environ) -> int:
    """How many series signals may have in this process; ValueError names the variable."""
    text = environ.get(SIGNAL_SERIES.name, SIGNAL_SERIES.default)
    if not text.isascii() or not text.isdigit():
        raise ValueError(f"{SIGNAL_SERIES.name} must be {SIGNAL_SERIES.allowed} (got {text!r})")
    return int(text)


def workers_directory(environ: Mapping[str, str] = os.environ) -> Path | None:
    """The directory of the workers' files, or None for a process without workers."""
    path = environ.get(WORKERS_DIR.name)
    return Path(path) if path else None


def device_sharing(argument: str | None = None, environ: Mapping[str, str] = os.environ) -> str:
    """How processes share devices, one of ``SHARING``; ValueError names the field."""
    source, value = (
        ("sharing", argument) if argument else (DEVICE_SHARING.name, environ.get(DEVICE_SHARING.name))
    )
    value = value or EXCLUSIVE
    if value not in SHARING:
        raise ValueError(f"{source} must be {DEVICE_SHARING.allowed} (got {value!r})")
    return value


_warned: set[str] = set()


def warn_of_unknown_variables(environ: Mapping[str, str] = os.environ) -> None:
    """Log, once for each, variables that look like ours and are none; names the nearest that exists."""
    names = [variable.name for variable in VARIABLES]
    for name in sorted(environ.keys() - names - _warned):
        if name.startswith(PREFIX):
            _warned.add(name)
            logger.warning(
                "%r is ignored: there is no such setting; did you mean %s?", name, _nearest(name, names)
            )


def _nearest(name: str, names: list[str]) -> str:
    import difflib  # hardly ever needed

    (nearest,) = difflib.get_close_matches(name.upper(), names, n=1, cutoff=0)
    return nearest


def settings_page() -> str:
    """The page of the documentation that lists all variables."""
    lines = [
        "# Settings of the exporter",
        "",
        "Environment variables of the process that serves the model, read when an exporter is made. Any",
        f"other variable that begins with `{PREFIX}` is ignored, with a line in the log.",
        "This page is generated from the table in `modelplane_exporter/settings.py`.",
        "",
        "| variable | default | allowed | meaning |",
        "| --- | --- | --- | --- |",
    ]
    for variable in VARIABLES:
        default = f"`{variable.default}`" if variable.default else ""
        lines.append(f"| `{variable.name}` | {default} | {variable.allowed} | {variable.meaning} |")
    return "\n".join(lines) + "\n"
