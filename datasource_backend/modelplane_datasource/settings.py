"""Settings of the backend, and how they are read from the environment."""

from __future__ import annotations

import dataclasses
import ipaddress
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PREFIX = "MODELPLANE_DATASOURCE_"


class ConfigurationError(ValueError):
    """The backend cannot run with these settings; the message names the place and what is allowed."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that the backend needs to know.

    ``org_id`` is sent upstream as ``X-Scope-OrgID``. ``max_body_bytes`` bounds a request's body,
    ``max_raw_bodies`` the stored bodies that could not be parsed, ``max_upstream_bytes`` one answer
    of Prometheus, ``max_series`` and ``max_points`` (of all series together) one answer to a caller.
    An answer of Prometheus is kept for ``cache_seconds``, 0 for not at all.
    """

    prometheus_url: str = "http://127.0.0.1:9090"
    prometheus_timeout_seconds: float = 10.0
    scrape_interval_seconds: float = 15.0
    org_id: str | None = None
    database_url: str = "sqlite:///modelplane.db"
    token_file: Path | None = None
    registry_file: Path | None = None
    host: str = "127.0.0.1"
    port: int = 8090
    threads: int = 8
    max_body_bytes: int = 4 * 1024 * 1024
    max_raw_bodies: int = 1000
    max_upstream_bytes: int = 64 * 1024 * 1024
    max_series: int = 2000
    max_points: int = 1_000_000
    cache_seconds: float = 10.0
    max_cache_bytes: int = 64 * 1024 * 1024

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Settings:
        """Read ``MODELPLANE_DATASOURCE_<FIELD>``; ConfigurationError names the variable at fault."""
        known = {PREFIX + field.name.upper(): field.name for field in dataclasses.fields(cls)}
        values: dict[str, Any] = {}
        for variable in sorted(name for name in environ if name.startswith(PREFIX)):
            if variable not in known:
                raise ConfigurationError(f"{variable} is not a setting; allowed: {', '.join(sorted(known))}")
            name = known[variable]
            parse, allowed = _FIELDS[name]
            try:
                values[name] = parse(environ[variable])
            except ValueError as error:
                raise ConfigurationError(f"{variable} must be {allowed}") from error
        return cls(**values)


def is_loopback(host: str) -> bool:
    """Whether ``host`` can only be reached from this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _matching(pattern: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(text)
        return text

    return parse


def _between(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        value = int(text)
        if not low <= value <= high:
            raise ValueError(text)
        return value

    return parse


def _seconds(text: str) -> float:
    value = float(text)
    if not (math.isfinite(value) and 0 < value <= 3600):
        raise ValueError(text)
    return value


def _seconds_or_none(text: str) -> float:
    return 0.0 if text == "0" else _seconds(text)


def _path(text: str) -> Path:
    return Path(_matching(r".+")(text))


_FIELDS: dict[str, tuple[Callable[[str], Any], str]] = {
    "prometheus_url": (
        _matching(r"https?://[^\s/?#]+(/[^\s?#]*)?"),
        "a URL that starts with http:// or https:// and has no query, for example http://127.0.0.1:9090",
    ),
    "prometheus_timeout_seconds": (_seconds, "a number of seconds above 0 and at most 3600"),
    "scrape_interval_seconds": (_seconds, "a number of seconds above 0 and at most 3600"),
    "org_id": (_matching(r"[!-~]+"), "printable ASCII text without spaces"),
    "database_url": (
        _matching(r"sqlite:///(?!:memory:)[^?#]*[^/?#]"),
        "sqlite:/// and the path of a file, for example sqlite:////var/lib/modelplane/modelplane.db",
    ),
    "token_file": (_path, "the path of a JSON file"),
    "registry_file": (_path, "the path of a registry, for example modelplane.yaml"),
    "host": (_matching(r"[^\s/]+"), "an address or host name to listen on, for example 127.0.0.1"),
    "port": (_between(1, 65535), "a port from 1 to 65535"),
    "threads": (_between(1, 256), "a whole number from 1 to 256"),
    "max_body_bytes": (_between(1, 32 * 1024 * 1024), "a number of bytes from 1 to 33554432"),
    "max_raw_bodies": (_between(1, 1_000_000), "a whole number from 1 to 1000000"),
    "max_upstream_bytes": (_between(1, 2**40), "a number of bytes of at least 1"),
    "max_series": (_between(1, 1_000_000), "a whole number from 1 to 1000000"),
    "max_points": (_between(1, 100_000_000), "a whole number from 1 to 100000000"),
    "cache_seconds": (_seconds_or_none, "a number of seconds from 0 to 3600"),
    "max_cache_bytes": (_between(0, 2**40), "a number of bytes"),
}
