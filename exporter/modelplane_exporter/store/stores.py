"""The store of each registry, and all stores of the process."""

from __future__ import annotations

import gc
import os
import threading
import weakref

from prometheus_client import CollectorRegistry

from modelplane_exporter import settings
from modelplane_exporter.prometheus_registry import is_registered, replace_lock_after_fork
from modelplane_exporter.store.store import Store

_stores: weakref.WeakKeyDictionary[CollectorRegistry, Store] = weakref.WeakKeyDictionary()
_stores_lock = threading.Lock()
# An exporter outlives a registry that nobody keeps, and other processes still see its counts.
_stores_alive: weakref.WeakSet[Store] = weakref.WeakSet()


def store_for(registry: CollectorRegistry) -> Store:
    """The store on ``registry``; it is made and registered at the first use."""
    with _stores_lock:
        store = _stores.get(registry)
        if store is None:
            store = Store(workers_directory=settings.workers_directory())
            registry.register(store)
            _stores[registry] = store
            _stores_alive.add(store)
        return store


def loading_store(registry: CollectorRegistry) -> Store:
    """The same for an exporter that is being made: on a registry that was emptied, it is registered again.

    Where no exporter of the emptied registry is left, as in the next one of a suite of tests, counts start at
    0.
    """
    store = store_for(registry)
    with _stores_lock:
        if is_registered(registry, store):
            return store
        gc.collect()
        if store.is_shared or store.is_loaded:
            registry.register(store)
            return store
        del _stores[registry]
    return store_for(registry)


def flush() -> None:
    """Make all that finished in this process visible to every scrape, now and not within a second."""
    for store in list(_stores_alive):
        store.flush()


def _after_fork() -> None:
    global _stores_lock
    _stores_lock = threading.Lock()
    for registry in list(_stores):
        replace_lock_after_fork(registry)
    for store in list(_stores_alive):
        store.after_fork()


os.register_at_fork(after_in_child=_after_fork)
