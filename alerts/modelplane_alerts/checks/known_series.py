"""The series that rules may read, with their labels: of models, recorded, and of the plane's parts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache

from modelplane_schema import recorded, recorded_slo
from modelplane_schema.metrics import METRICS
from modelplane_schema.promql import duration_seconds
from modelplane_schema.recorded import RECORDED
from modelplane_schema.recorded_types import RecordedSeries, WindowedSeries

Labels = frozenset[str]

# Labels that every scrape adds.
SCRAPED = ("job", "instance")
CONSTANT = ":config"
# What models, Prometheus, vmalert, Alertmanager and the backend say of themselves.
OF_PROCESSES: Mapping[str, tuple[str, ...]] = {"process_start_time_seconds": ()}
OF_THE_PLANE: Mapping[str, tuple[str, ...]] = {
    "up": (),
    "prometheus_rule_evaluation_failures_total": ("rule_group",),
    "prometheus_rule_group_iterations_missed_total": ("rule_group",),
    "prometheus_notifications_errors_total": ("alertmanager",),
    "prometheus_notifications_dropped_total": (),
    "vmalert_alerting_rules_errors_total": ("group", "file", "alertname"),
    "vmalert_recording_rules_errors_total": ("group", "file", "recording"),
    "vmalert_alerts_send_errors_total": ("addr",),
    "alertmanager_notifications_failed_total": ("integration", "reason"),
    "modelplane_datasource_store_calls_total": ("operation", "result"),
}
# Neither depends on what is scraped where: the registry's own, and stages, which are the same everywhere.
_WITHOUT_CLUSTER = (recorded.VERSION_STAGE.name,)
_WINDOWED = [
    value
    for module in (recorded, recorded_slo)
    for value in vars(module).values()
    if isinstance(value, WindowedSeries)
]


def scraped_labels(cluster_labels: Sequence[str]) -> dict[str, Labels]:
    """The labels of what models expose, by the name of the series."""
    labels: dict[str, Labels] = {}
    for metric in METRICS:
        carried = frozenset((*metric.labels, *SCRAPED, *cluster_labels))
        labels[metric.name] = carried
        if metric.type == "histogram":
            labels |= {f"{metric.name}_sum": carried, f"{metric.name}_count": carried}
            labels[f"{metric.name}_bucket"] = carried | {"le"}
    return labels | {
        name: frozenset((*more, *SCRAPED, *cluster_labels)) for name, more in OF_PROCESSES.items()
    }


def plane_labels(cluster_labels: Sequence[str]) -> dict[str, Labels]:
    """The labels of what the plane's parts say of themselves."""
    return {name: frozenset((*more, *SCRAPED, *cluster_labels)) for name, more in OF_THE_PLANE.items()}


@cache
def declared_series(name: str) -> RecordedSeries | None:
    """The declaration of a recorded series, also over a window that a setting added; None for any other."""
    exact = next((series for series in RECORDED if series.name == name), None)
    if exact is not None:
        return exact
    for series in _WINDOWED:
        window = name.removeprefix(series.name)
        if window != name and _is_duration(window):
            return series.over(window)
    return None


def recorded_labels(name: str, cluster_labels: Sequence[str]) -> Labels | None:
    """The labels of a recorded series; None for a name that the schema does not declare."""
    series = declared_series(name)
    if series is None:
        return None
    is_everywhere = name.endswith(CONSTANT) or name in _WITHOUT_CLUSTER
    return frozenset(series.labels) | frozenset(() if is_everywhere else cluster_labels)


def _is_duration(text: str) -> bool:
    try:
        return bool(re.fullmatch(r"[0-9]+[smhd]", text)) and duration_seconds(text) > 0
    except ValueError:
        return False
