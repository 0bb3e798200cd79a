"""What a process says that counts for itself although several serve the model."""

from __future__ import annotations

import os

from prometheus_client import CollectorRegistry

from modelplane_exporter.rate_limited_log import logger
from modelplane_exporter.settings import WORKERS_DIR
from modelplane_exporter.store.stores import store_for

REMEDY = (
    "Where several processes serve the model, as workers of gunicorn or uvicorn do, set "
    f"{WORKERS_DIR.name} to an empty folder: each of them then shows the sum over all."
)

_said: set[str] = set()


def say_when_forked(registry: CollectorRegistry) -> None:
    """In a child of the process that serves ``registry``: say so once a call was measured here in vain."""
    store = store_for(registry)
    if not store.is_shared:
        parent = os.getppid()
        store.notice_next_call(
            lambda: _say("forked", f"calls of this process are not shown by the server of process {parent}")
        )


def say_when_mounted(registry: CollectorRegistry, is_multiprocess: bool) -> None:
    """Say so when ``registry`` is served by an application of which there are several processes."""
    if is_multiprocess and not store_for(registry).is_shared:
        _say("mounted", "/metrics shows the calls of one process, and there are several")


def _say(kind: str, what: str) -> None:
    if kind not in _said:
        _said.add(kind)
        logger.error("%s. %s", what, REMEDY)
