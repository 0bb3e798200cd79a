"""Clients of Prometheus with a cache of their own."""

from __future__ import annotations

from collections.abc import Callable

from modelplane_datasource.cache import SingleFlightCache
from modelplane_datasource.prometheus.client import PrometheusClient
from modelplane_datasource.settings import Settings


def prometheus_client(
    settings: Settings, on_error: Callable[[str], None] = lambda _kind: None
) -> PrometheusClient:
    return PrometheusClient(settings, SingleFlightCache(settings.max_cache_bytes), on_error)
