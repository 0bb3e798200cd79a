"""What the routes of one application share."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TypeVar

from modelplane_datasource.alerts.store import AlertStore
from modelplane_datasource.observability.query_warnings import note, with_notices
from modelplane_datasource.observability.telemetry import Telemetry
from modelplane_datasource.prometheus.client import PrometheusClient
from modelplane_datasource.settings import Settings
from modelplane_datasource.tenancy.caller import current_tenants
from modelplane_schema.registry import Registry

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Plane:
    """``clock`` gives seconds since 1970; ``registry`` is None when the settings name none."""

    settings: Settings
    clock: Callable[[], float]
    telemetry: Telemetry
    prometheus: PrometheusClient
    store: AlertStore
    registry: Registry | None = None

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

    def kept(
        self,
        key: Hashable,
        seconds: float,
        compute: Callable[[], T],
        size_of: Callable[[T], int],
        for_everyone: bool = False,
    ) -> T:
        """What ``compute`` gives, or gave for ``key`` at most ``seconds`` (and ``cache_seconds``) before.

        ``size_of`` gives its bytes. Warnings belong to each request that uses it. Nobody gets what was
        computed for somebody who may see other tenants, unless it is the same ``for_everyone``.
        """
        value, warnings = self.prometheus.cache.get(
            (None if for_everyone else current_tenants(), key),
            min(seconds, self.settings.cache_seconds),
            lambda: with_notices(compute),
            lambda found: size_of(found[0]),
        )
        note(warnings)
        return value

    def close(self) -> None:
        """Close the connections to Prometheus and to the database."""
        self.prometheus.close()
        self.store.close()
