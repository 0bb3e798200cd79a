"""Which requests share threads: none waits for threads that requests of another kind hold."""

from __future__ import annotations

from typing import NamedTuple

from modelplane_datasource.settings import Settings

HEALTH, READINESS, METRICS = "health", "readiness", "metrics"
DELIVERIES, HISTORY, SILENCES, QUERIES = "deliveries", "history", "silences", "queries"
_OPERATIONS = {"/healthz": HEALTH, "/runbooks": HEALTH, "/readyz": READINESS, "/metrics": METRICS}
_WEBHOOK = ("POST", "/api/v1/alerts")
_HISTORY_PATHS = ("/api/v1/alerts", "/api/v1/incidents", "/api/v1/watchdog")
_SILENCES_PATH = "/api/v1/silences"
_DELIVERY_THREADS = 32
_HISTORY_THREADS = _SILENCES_THREADS = 4
_FEW_THREADS, _FEW_WAITING = 2, 100


class Bulkhead(NamedTuple):
    """Requests of one kind: how many are answered at once, and how many wait for that."""

    name: str
    threads: int
    max_waiting: int


def bulkheads(settings: Settings) -> tuple[Bulkhead, ...]:
    """All of them. What they wait for, in their order: nothing; Prometheus and the store, for a moment;
    keys of Grafana, for some tokens; a commit; reads of the store; Alertmanager; Prometheus."""
    return (
        Bulkhead(HEALTH, _FEW_THREADS, _FEW_WAITING),
        Bulkhead(READINESS, _FEW_THREADS, _FEW_WAITING),
        Bulkhead(METRICS, _FEW_THREADS, _FEW_WAITING),
        Bulkhead(DELIVERIES, _DELIVERY_THREADS, settings.max_waiting_deliveries),
        Bulkhead(HISTORY, _HISTORY_THREADS, settings.max_waiting_requests),
        Bulkhead(SILENCES, _SILENCES_THREADS, _FEW_WAITING),
        Bulkhead(QUERIES, settings.threads, settings.max_waiting_requests),
    )


def kind_of(method: str, path: str) -> str:
    """The name of the bulkhead of a request."""
    path = "/" + path.strip("/")
    if path in _OPERATIONS:
        return _OPERATIONS[path]
    if (method, path) == _WEBHOOK:
        return DELIVERIES
    if path.startswith(_SILENCES_PATH):
        return SILENCES
    return HISTORY if path.startswith(_HISTORY_PATHS) else QUERIES
