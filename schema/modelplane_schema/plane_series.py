"""Series of the monitoring's own parts that boards read: scrapes, rules, deliveries, stores, the backend.

Their names and labels are those of Prometheus, Alertmanager, vmalert and the backend. ``TARGET`` are the
labels that a scrape gives to every series.
"""

from __future__ import annotations

from modelplane_schema.metrics import Metric, MetricType, Unit

Labels = tuple[str, ...]
TARGET: Labels = ("job", "instance")
_BACKEND = "modelplane_datasource"


def _series(name: str, type_: MetricType, unit: Unit, help_: str, labels: Labels = ()) -> Metric:
    return Metric(name, type_, unit, (*TARGET, *labels), help_)


UP = _series("up", "gauge", "info", "1 for a target whose last scrape succeeded, else 0.")
SCRAPE_DURATION = _series("scrape_duration_seconds", "gauge", "seconds", "Time of the last scrape.")
SCRAPE_SAMPLES = _series("scrape_samples_scraped", "gauge", "count", "Samples of the last scrape.")

RULE_FAILURES = _series(
    "prometheus_rule_evaluation_failures_total",
    "counter",
    "count",
    "Evaluations that failed.",
    ("rule_group",),
)
RULE_MISSES = _series(
    "prometheus_rule_group_iterations_missed_total", "counter", "count", "Evaluations left out.",
    ("rule_group",),
)  # fmt: skip
RULE_DURATION = _series(
    "prometheus_rule_group_last_duration_seconds", "gauge", "seconds", "Time of the last evaluation.",
    ("rule_group",),
)  # fmt: skip
RULE_INTERVAL = _series(
    "prometheus_rule_group_interval_seconds", "gauge", "seconds", "Time between evaluations.", ("rule_group",)
)
VM_ALERTING_ERRORS = _series(
    "vmalert_alerting_rules_errors_total", "counter", "count", "Alerting rules of vmalert that failed.",
    ("group", "alertname"),
)  # fmt: skip
VM_RECORDING_ERRORS = _series(
    "vmalert_recording_rules_errors_total", "counter", "count", "Recording rules of vmalert that failed.",
    ("group", "recording"),
)  # fmt: skip

ALERTS_SENT = _series(
    "prometheus_notifications_sent_total",
    "counter",
    "count",
    "Alerts handed to an Alertmanager.",
    ("alertmanager",),
)
ALERTS_REFUSED = _series(
    "prometheus_notifications_errors_total", "counter", "count", "Alerts that an Alertmanager did not take.",
    ("alertmanager",),
)  # fmt: skip
ALERTS_DROPPED = _series(
    "prometheus_notifications_dropped_total", "counter", "count", "Alerts that were given up."
)
VM_SEND_ERRORS = _series(
    "vmalert_alerts_send_errors_total", "counter", "count", "Alerts that vmalert could not hand over."
)
NOTIFICATIONS = _series(
    "alertmanager_notifications_total", "counter", "count", "Attempts to notify a receiver.", ("integration",)
)
NOTIFICATIONS_FAILED = _series(
    "alertmanager_notifications_failed_total", "counter", "count", "Attempts that failed.", ("integration",)
)
ALERTMANAGER_ALERTS = _series(
    "alertmanager_alerts", "gauge", "count", "Alerts by state: active, suppressed or unprocessed.", ("state",)
)

HEAD_SERIES = _series("prometheus_tsdb_head_series", "gauge", "count", "Series in memory.")
BLOCKS_SIZE = _series("prometheus_tsdb_storage_blocks_bytes", "gauge", "bytes", "Size of the blocks on disk.")
WAL_SIZE = _series("prometheus_tsdb_wal_storage_size_bytes", "gauge", "bytes", "Size of the write-ahead log.")
WAL_CORRUPTIONS = _series(
    "prometheus_tsdb_wal_corruptions_total", "counter", "count", "Corruptions of the log."
)
COMPACTIONS_FAILED = _series(
    "prometheus_tsdb_compactions_failed_total", "counter", "count", "Compactions of blocks that failed."
)

BACKEND_REQUESTS = _series(
    f"{_BACKEND}_requests_total", "counter", "count", "Answered requests.", ("route", "method", "status")
)
BACKEND_DURATION = _series(
    f"{_BACKEND}_request_duration_seconds", "histogram", "seconds", "Time to answer.", ("route",)
)
BACKEND_REFUSALS = _series(
    f"{_BACKEND}_refused_requests_total", "counter", "count", "Requests refused under load.", ("kind",)
)
UPSTREAM_ERRORS = _series(
    f"{_BACKEND}_upstream_errors_total", "counter", "count", "Failed calls of Prometheus.", ("kind",)
)
STORE_CALLS = _series(
    f"{_BACKEND}_store_calls_total",
    "counter",
    "count",
    "Transactions of the alert store.",
    ("operation", "result"),
)
STORE_DURATION = _series(
    f"{_BACKEND}_store_duration_seconds", "histogram", "seconds", "Time of a transaction.", ("operation",)
)
WATCHDOG_SEEN = _series(
    f"{_BACKEND}_watchdog_last_seen_timestamp_seconds", "gauge", "seconds", "When the watchdog last came.",
    ("source",),
)  # fmt: skip

PLANE_SERIES: tuple[Metric, ...] = (
    UP,
    SCRAPE_DURATION,
    SCRAPE_SAMPLES,
    RULE_FAILURES,
    RULE_MISSES,
    RULE_DURATION,
    RULE_INTERVAL,
    VM_ALERTING_ERRORS,
    VM_RECORDING_ERRORS,
    ALERTS_SENT,
    ALERTS_REFUSED,
    ALERTS_DROPPED,
    VM_SEND_ERRORS,
    NOTIFICATIONS,
    NOTIFICATIONS_FAILED,
    ALERTMANAGER_ALERTS,
    HEAD_SERIES,
    BLOCKS_SIZE,
    WAL_SIZE,
    WAL_CORRUPTIONS,
    COMPACTIONS_FAILED,
    BACKEND_REQUESTS,
    BACKEND_DURATION,
    BACKEND_REFUSALS,
    UPSTREAM_ERRORS,
    STORE_CALLS,
    STORE_DURATION,
    WATCHDOG_SEEN,
)
