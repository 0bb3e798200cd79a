"""What prometheus_client does not offer in public: a registry's collectors, and a registry after a fork.

Its private attributes are touched here only. Where a release lacks them, the fallbacks apply.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Protocol

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector


class Describing(Protocol):
    """A collector that says which families it has."""

    def describe(self) -> Iterable[Family]:
        """Families without samples."""


def other_collectors(registry: CollectorRegistry, store: Describing) -> list[Collector]:
    """The collectors of ``registry`` without ``store``.

    The public ``collect()`` would also collect the store, by the slow way, and a collector that fails would
    cost the series of all others. The fallback uses it nevertheless: a collector of all families but ours.
    """
    try:
        collectors = tuple(registry._collector_to_names)
    except AttributeError:
        return [_Remaining(registry, store)]
    ours: object = store
    return [collector for collector in collectors if collector is not ours]


def is_registered(registry: CollectorRegistry, store: Collector) -> bool:
    """Whether ``store`` is still one of the collectors; where a release does not tell, that it is."""
    try:
        return store in registry._collector_to_names
    except AttributeError:
        return True


def replace_lock_after_fork(registry: CollectorRegistry) -> None:
    """In a forked child: a thread that is not there may hold the lock, and a scrape would never end.

    Where there is no ``_lock``, nothing is replaced.
    """
    if hasattr(registry, "_lock"):
        registry._lock = threading.RLock()  # type: ignore[assignment]  # serves as its Lock does


class _Remaining(Collector):
    """All families of a registry but those of the store and the target's info, which are rendered already."""

    def __init__(self, registry: CollectorRegistry, store: Describing) -> None:
        self._registry = registry
        self._rendered = {"target", *(family.name for family in store.describe())}

    def collect(self) -> Iterable[Family]:
        return [family for family in self._registry.collect() if family.name not in self._rendered]
