"""What the routes of one application share."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TypeVar

from modelplane_datasource.alerts.incidents import IncidentRules
from modelplane_datasource.alerts.store import AlertStore
from modelplane_datasource.cache import SingleFlightCache
from modelplane_datasource.configuration.watched_file import WatchedFile
from modelplane_datasource.observability.telemetry import Telemetry
from modelplane_datasource.prometheus.client import PrometheusClient
from modelplane_datasource.settings import Settings
from modelplane_datasource.silences.alertmanager import Alertmanagers
from modelplane_datasource.tenancy.caller import current_tenants
from modelplane_schema.registry import Registry

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class AppContext:
    """``clock`` gives seconds since 1970; ``registry_file`` is None when the settings name none.

    ``cache`` holds what routes serve, and what the client of Prometheus has read.
    """

    settings: Settings
    clock: Callable[[], float]
    telemetry: Telemetry
    cache: SingleFlightCache
    prometheus: PrometheusClient
    store: AlertStore
    incident_rules: IncidentRules
    alertmanagers: Alertmanagers
    registry_file: WatchedFile[Registry] | None = None

    @property
    def registry(self) -> Registry | None:
        """The registry as its file has it now, None without one."""
        return self.registry_file.content if self.registry_file else None

    def now(self) -> int:
        """Milliseconds since 1970."""
        return int(self.clock() * 1000)

    def last_scrape(self) -> int:
        """Milliseconds of the last whole scrape interval: panels that ask within one share their queries."""
        now = self.now()
        return now - now % self.scrape_interval

    @property
    def scrape_interval(self) -> int:
        """Milliseconds between two scrapes."""
        return max(1, round(self.settings.scrape_interval_seconds * 1000))

    def cached_body(self, key: Hashable, seconds: float, encode: Callable[[], bytes]) -> bytes:
        """The part of a response that ``encode`` gives, as ``cached``."""
        return self.cached(key, seconds, encode, len)

    def cached(
        self,
        key: Hashable,
        seconds: float,
        make: Callable[[], T],
        size_of: Callable[[T], int],
        for_everyone: bool = False,
    ) -> T:
        """What ``make`` gives, or gave for ``key`` at most ``seconds`` (and ``cache_seconds``) before.

        ``size_of`` gives its bytes. Nobody gets what was made for somebody who may see other tenants, unless
        it is the same ``for_everyone``.
        """
        return self.cache.get_or_make(
            (None if for_everyone else current_tenants(), key),
            min(seconds, self.settings.cache_seconds),
            make,
            size_of,
        )

    def close(self) -> None:
        """Close the connections to Prometheus and to the database."""
        self.prometheus.close()
        self.store.close()
