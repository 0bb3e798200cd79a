"""Settings of the backend: one table, read from flags, the environment and a file."""

from __future__ import annotations

import dataclasses
import ipaddress
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from modelplane_schema.documents import load_yaml, raised_as
from modelplane_schema.errors import UserError

PREFIX = "MODELPLANE_DATASOURCE_"
CONFIG_VARIABLE = f"{PREFIX}CONFIG"


class ConfigurationError(UserError, ValueError):
    """The backend cannot run with these settings; the message names the place and what is allowed."""


class Kind(NamedTuple):
    """How the text of a setting is read, ValueError when it is not ``allowed``."""

    parse: Callable[[str], Any]
    allowed: str


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


def _up_to_a_week(text: str) -> float:
    value = float(text)
    if not 60 <= value <= 604_800:
        raise ValueError(text)
    return value


def _seconds_or_none(text: str) -> float:
    return 0.0 if text == "0" else _seconds(text)


def _urls(text: str) -> tuple[str, ...]:
    return tuple(_URL.parse(url.strip()) for url in text.split(","))


def _origins(text: str) -> tuple[str, ...]:
    """As browsers send them: in small letters, without a path."""
    return tuple(_matching(_ORIGIN)(origin.strip().lower()) for origin in text.split(","))


def _path(text: str) -> Path:
    return Path(_matching(r".+")(text))


_ORIGIN = r"https?://([a-z0-9.-]+|\[[0-9a-f:]+\])(:[0-9]{1,5})?"
_URL = Kind(
    _matching(r"https?://[^\s/?#]+(/[^\s?#]*)?"),
    "a URL that starts with http:// or https:// and has no query, for example http://127.0.0.1:9090",
)
_SECONDS = Kind(_seconds, "a number of seconds above 0 and at most 3600")
_BYTES = Kind(_between(1, 2**40), "a number of bytes of at least 1")
_COUNT = Kind(_between(1, 1_000_000), "a whole number from 1 to 1000000")
_FILE = Kind(_path, "the path of a file")


def _setting(default: Any, kind: Kind, summary: str) -> Any:
    return dataclasses.field(default=default, metadata={"kind": kind, "summary": summary})


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that the backend needs to know; each field says itself what it means."""

    prometheus_url: str = _setting(
        "http://127.0.0.1:9090", _URL, "Where Prometheus, Thanos, Mimir or VictoriaMetrics answers queries."
    )
    prometheus_timeout_seconds: float = _setting(10.0, _SECONDS, "How long one query may take.")
    scrape_interval_seconds: float = _setting(15.0, _SECONDS, "How often Prometheus scrapes the models.")
    lookback_seconds: float = _setting(
        86_400.0, Kind(_up_to_a_week, "a number of seconds from 60 to 604800"),
        "How long a gap in scraping may be for the ledger to spread over it what counters grew by.",
    )  # fmt: skip
    org_id: str | None = _setting(
        None, Kind(_matching(r"[!-~]+"), "printable ASCII text without spaces"),
        "Sent with each query as X-Scope-OrgID, which Mimir needs.",
    )  # fmt: skip
    database_url: str = _setting(
        "sqlite:///modelplane.db",
        Kind(
            _matching(r"sqlite:///(?!:memory:)[^?#]*[^/?#]|postgresql\+psycopg://[^\s#]+"),
            "sqlite:/// and the path of a file, or postgresql+psycopg://user:password@host/database",
        ),
        "Where alerts are stored.",
    )
    token_file: Path | None = _setting(
        None, _FILE, "JSON file that says who may see what; without one only loopback is served."
    )
    registry_file: Path | None = _setting(None, _FILE, "The registry: SLOs, prices, budgets.")
    idle_policy: str = _setting(
        "keep", Kind(_matching(r"keep|proportional|even"), "keep, proportional or even"),
        "Who is charged for idle time: what tenants and others who name none get.",
    )  # fmt: skip
    shared_policy: str = _setting(
        "keep", Kind(_matching(r"keep|scale"), "keep or scale"),
        "Whether charges beyond a device's time are scaled to it: what tenants and others who name none get.",
    )  # fmt: skip
    host: str = _setting(
        "127.0.0.1", Kind(_matching(r"[^\s/]+"), "an address or host name"), "Address to listen on."
    )
    port: int = _setting(8090, Kind(_between(1, 65535), "a port from 1 to 65535"), "Port to listen on.")
    cors_origins: tuple[str, ...] = _setting(
        (), Kind(_origins, "origins such as https://app.example.org, separated by commas, without a path"),
        "Pages of these origins may read answers in a browser (CORS); none unless set.",
    )  # fmt: skip
    threads: int = _setting(
        8, Kind(_between(1, 256), "a whole number from 1 to 256"),
        "Requests that are answered at once; the webhook and probes have threads of their own.",
    )  # fmt: skip
    max_waiting_requests: int = _setting(
        200, _COUNT, "Requests that wait for one of the threads; more are answered 503."
    )
    max_waiting_deliveries: int = _setting(
        1000, _COUNT, "Notifications of Alertmanager that wait to be stored; more are answered 503."
    )
    max_wait_seconds: float = _setting(
        10.0, _SECONDS, "How long a request waits for its turn before it is answered 503."
    )
    max_connections: int = _setting(
        4000, _COUNT,
        "Connections that may be open, idle and slow ones included; one more closes the idlest.",
    )  # fmt: skip
    log_format: str = _setting(
        "text", Kind(_matching(r"text|json"), "text or json"), "Lines of the log: for people or for programs."
    )
    max_body_bytes: int = _setting(
        16 * 1024 * 1024, Kind(_between(1, 32 * 1024 * 1024), "a number of bytes from 1 to 33554432"),
        "Largest body of a request.",
    )  # fmt: skip
    max_raw_bodies: int = _setting(
        1000, _COUNT, "How many bodies are stored that could not be read as alerts."
    )
    max_upstream_bytes: int = _setting(64 * 1024 * 1024, _BYTES, "Largest answer of Prometheus.")
    max_series: int = _setting(2000, _COUNT, "Most series of one answer.")
    max_points: int = _setting(
        1_000_000, Kind(_between(1, 100_000_000), "a whole number from 1 to 100000000"),
        "Most points of one answer, all series together.",
    )  # fmt: skip
    cache_seconds: float = _setting(
        10.0, Kind(_seconds_or_none, "a number of seconds from 0 to 3600"),
        "How long an answer of Prometheus is cached; 0 for not at all.",
    )  # fmt: skip
    max_cache_bytes: int = _setting(
        64 * 1024 * 1024, Kind(_between(0, 2**40), "a number of bytes"), "How much of them is cached."
    )
    alertmanager_urls: tuple[str, ...] = _setting(
        (), Kind(_urls, "URLs that start with http:// or https://, separated by commas"),
        "Alertmanagers of one cluster, with whose alerts the store is compared; none for not at all.",
    )  # fmt: skip
    reconcile_interval_seconds: float = _setting(30.0, _SECONDS, "How often it is compared.")
    absent_grace_seconds: float = _setting(
        600.0, _SECONDS, "How long an alert is missing there before it has ended; above group_interval."
    )
    max_silence_days: int = _setting(
        7, Kind(_between(1, 3650), "a whole number from 1 to 3650"),
        "How far from now the end of a silence may lie that a token limited to tenants creates.",
    )  # fmt: skip
    require_watchdog_seconds: float = _setting(
        0.0, Kind(_seconds_or_none, "a number of seconds from 0 to 3600"),
        "/readyz is 503 when the alert Watchdog did not come for so long; 0 for not looking at it.",
    )  # fmt: skip
    retention_days: int = _setting(
        400,
        Kind(_between(1, 36_500), "a whole number from 1 to 36500"),
        "How long alerts are stored after they ended.",
    )
    suppression_file: Path | None = _setting(None, _FILE, "YAML file of times in which alerts are expected.")
    incident_gap_seconds: float = _setting(
        600.0, _SECONDS, "Alerts of a tenant and model with at most this between them are one incident."
    )
    flap_episodes: int = _setting(
        5, Kind(_between(2, 1000), "a whole number from 2 to 1000"),
        "An alert that starts so often within flap_window_seconds flaps.",
    )  # fmt: skip
    flap_window_seconds: float = _setting(3600.0, _SECONDS, "See flap_episodes.")

    @classmethod
    def from_environment(
        cls, environ: Mapping[str, str], flags: Mapping[str, str] | None = None, file: Path | None = None
    ) -> Settings:
        """Each setting from ``flags`` by its name, else from ``MODELPLANE_DATASOURCE_<NAME>``, else from the
        YAML ``file`` (or the one that ``MODELPLANE_DATASOURCE_CONFIG`` names), else its default.

        ConfigurationError names the place at fault.
        """
        settings = {setting.name: setting for setting in TABLE}
        named = {setting.variable: setting.name for setting in TABLE}
        for variable in sorted(name for name in environ if name.startswith(PREFIX)):
            if variable not in named and variable != CONFIG_VARIABLE:
                raise ConfigurationError(
                    f"{variable} is not a setting; allowed: {', '.join(sorted((*named, CONFIG_VARIABLE)))}"
                )
        path = file or (Path(environ[CONFIG_VARIABLE]) if environ.get(CONFIG_VARIABLE) else None)
        given = {} if path is None else _from_file(path, settings)
        given |= {
            name: (variable, environ[variable]) for variable, name in named.items() if variable in environ
        }
        given |= {name: (settings[name].flag, text) for name, text in (flags or {}).items()}
        return cls(**{name: settings[name].read(place, text) for name, (place, text) in given.items()})


class Setting(NamedTuple):
    """One setting, under all of its names."""

    name: str
    kind: Kind
    summary: str
    default: Any

    @property
    def flag(self) -> str:
        """``--prometheus-url``."""
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        """``MODELPLANE_DATASOURCE_PROMETHEUS_URL``."""
        return PREFIX + self.name.upper()

    def read(self, place: str, text: str) -> Any:
        """The value of ``text``, which stood at ``place``; ConfigurationError."""
        try:
            return self.kind.parse(text)
        except ValueError as error:
            raise ConfigurationError(f"{place} must be {self.kind.allowed}") from error


def _settings() -> Iterator[Setting]:
    for field in dataclasses.fields(Settings):
        yield Setting(field.name, field.metadata["kind"], field.metadata["summary"], field.default)


TABLE = tuple(_settings())


def _from_file(path: Path, settings: Mapping[str, Setting]) -> dict[str, tuple[str, str]]:
    """Place and text of each setting in a YAML file."""
    with raised_as(ConfigurationError):
        content = load_yaml(path, f"name the file of settings with --config or {CONFIG_VARIABLE}")
    if not isinstance(content, dict):
        raise ConfigurationError(f"{path}: must be a mapping with the keys {', '.join(settings)}")
    for name in content:
        if name not in settings:
            raise ConfigurationError(f"{path}: {name}: is not a known key; allowed: {', '.join(settings)}")
    return {name: (f"{path}: {name}", str(value)) for name, value in content.items()}


def settings_page() -> str:
    """The page of the documentation that lists all settings."""
    lines = [
        "# Settings of the backend",
        "",
        "Each is a flag of `python -m modelplane_datasource`, an environment variable, and a key, which is",
        "the flag's name with underscores, in the YAML file that `--config` or",
        f"`{CONFIG_VARIABLE}` names. A flag outweighs a variable, and a variable the file.",
        "This page is generated from the table in `modelplane_datasource/settings.py`.",
        "",
        "| flag | variable | default | allowed | meaning |",
        "| --- | --- | --- | --- | --- |",
    ]
    for setting in TABLE:
        default = "" if setting.default is None else f"`{setting.default}`"
        names = f"`{setting.flag}` | `{setting.variable}`"
        lines.append(f"| {names} | {default} | {setting.kind.allowed} | {setting.summary} |")
    return "\n".join(lines) + "\n"


def is_loopback(host: str) -> bool:
    """Whether ``host`` can only be reached from this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
