"""What the routes of one application share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from modelplane_datasource.alert_store import AlertStore
from modelplane_datasource.settings import Settings
from modelplane_datasource.telemetry import Telemetry
from modelplane_datasource.upstream import PrometheusClient
from modelplane_schema.registry import Registry


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

    def close(self) -> None:
        """Close the connections to Prometheus and to the database."""
        self.prometheus.close()
        self.store.close()
