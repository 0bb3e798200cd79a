"""Menus of Grafana: dashboard variables, values of ad hoc filters and options of a target's payload.

All come from the label values that Prometheus has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelplane_datasource.catalogue import SERIES_METRICS
from modelplane_datasource.context import AppContext
from modelplane_datasource.drift.parameters import KIND, SIGNAL
from modelplane_datasource.errors import ApiError, invalid
from modelplane_datasource.grafana.annotations import SOURCES, Source
from modelplane_datasource.grafana.filters import AdHocFilter, regexes_checked
from modelplane_datasource.grafana.formats import FORMAT
from modelplane_datasource.grafana.payloads import payload_values
from modelplane_datasource.series.metric import SeriesMetric
from modelplane_datasource.series.selection import MODEL, TENANT, VERSION
from modelplane_datasource.timeline.time_range import TimeRange
from modelplane_datasource.web.parameters import Parameter, Values
from modelplane_schema import metrics
from modelplane_schema.metrics import MODEL_NAME, MODEL_VERSION, TENANT_ID, Metric
from modelplane_schema.promql import Matcher, one_of, selector

_LABELS: Mapping[str, str] = {
    MODEL.name: MODEL_NAME,
    TENANT.name: TENANT_ID,
    VERSION.name: MODEL_VERSION,
    KIND.name: "kind",
    SIGNAL.name: "signal",
}
_TAG_SERIES = (metrics.REQUESTS, metrics.SIGNAL_OBSERVATIONS, metrics.TOKENS)


@dataclass(frozen=True, slots=True)
class Variable:
    """A list of label values for a dashboard variable."""

    name: str
    label: str
    series: Metric


VARIABLES = {
    variable.name: variable
    for variable in (
        Variable("tenants", TENANT_ID, metrics.REQUESTS),
        Variable("models", MODEL_NAME, metrics.REQUESTS),
        Variable("versions", MODEL_VERSION, metrics.REQUESTS),
        Variable("kinds", "kind", metrics.SIGNAL_OBSERVATIONS),
        Variable("signals", "signal", metrics.SIGNAL_OBSERVATIONS),
    )
}


def variable_values(context: AppContext, name: str, values: Values, time_range: TimeRange) -> tuple[str, ...]:
    """What ``tenants``, ``models``, ``versions``, ``kinds`` or ``signals`` stands for, narrowed by
    ``values``. ApiError 400 for another name or parameter, UpstreamError."""
    variable = VARIABLES.get(name)
    if variable is None:
        raise invalid("target", f"is {name[:100]!r}", ", ".join(VARIABLES))
    allowed = [parameter for parameter, label in _LABELS.items() if label in variable.series.labels]
    for parameter in values:
        if parameter not in allowed:
            raise invalid(parameter, f"does not narrow {name}", ", ".join(allowed))
    selected = selector(variable.series.name, _matchers(values))
    return context.prometheus.label_values(variable.label, [selected], *time_range)


def tag_values(
    context: AppContext, key: str, filters: Sequence[AdHocFilter], time_range: TimeRange
) -> tuple[str, ...]:
    """The values of a filter's label in the series that the other filters leave. UpstreamError."""
    matchers = [ad_hoc.matcher for ad_hoc in filters]
    selectors = [selector(series.name, matchers) for series in _TAG_SERIES]
    with regexes_checked(filters):
        return context.prometheus.label_values(key, selectors, *time_range)


def payload_options(
    context: AppContext, source: SeriesMetric | Source, name: object, payload: object, time_range: TimeRange
) -> Sequence[str]:
    """What can be chosen for a parameter, given the rest of the payload; ApiError."""
    parameters = {parameter.name: parameter for parameter in _parameters(source)}
    if not isinstance(name, str) or name not in parameters:
        raise invalid("name", f"is {str(name)[:100]!r}", ", ".join(parameters))
    if _choices(parameters[name]) or name not in _LABELS:
        return _choices(parameters[name])
    series = metrics.SIGNAL_OBSERVATIONS if SIGNAL.name in parameters else metrics.REQUESTS
    others = {
        parameter: values
        for parameter, values in payload_values(payload).items()
        if parameter != name and _LABELS.get(parameter) in series.labels
    }
    selected = selector(series.name, _matchers(others))
    return context.prometheus.label_values(_LABELS[name], [selected], *time_range)


def metric_list() -> list[dict[str, object]]:
    """Every name that a target can have, with a field for each parameter of its payload."""
    return [*map(_describe, SERIES_METRICS), *map(_describe, SOURCES.values())]


def find_source(name: object) -> SeriesMetric | Source:
    """The series metric or the source of annotations of that name; ApiError 404."""
    sources: dict[str, SeriesMetric | Source] = {metric.name: metric for metric in SERIES_METRICS}
    sources |= SOURCES
    if not isinstance(name, str) or name not in sources:
        message = f"There is no metric {str(name)[:100]!r}; allowed: {', '.join(sources)}."
        raise ApiError(404, "unknown_metric", message, {"allowed": list(sources)})
    return sources[name]


def _parameters(source: SeriesMetric | Source) -> tuple[Parameter[Any], ...]:
    return (*source.parameters, FORMAT) if isinstance(source, SeriesMetric) else source.parameters


def _describe(source: SeriesMetric | Source) -> dict[str, object]:
    return {
        "value": source.name,
        "label": source.title,
        "payloads": [_field(parameter) for parameter in _parameters(source)],
    }


def _choices(parameter: Parameter[Any]) -> Sequence[str]:
    """The closed set of values of a parameter; none for an open one."""
    choices: Sequence[str] = parameter.schema.get("enum", ())
    return choices


def _matchers(values: Values) -> list[Matcher]:
    return [one_of(_LABELS[parameter], texts) for parameter, texts in values.items()]


def _field(parameter: Parameter[Any]) -> dict[str, object]:
    field: dict[str, object] = {
        "name": parameter.name,
        "label": parameter.name,
        "placeholder": parameter.default or parameter.allowed,
    }
    if not _choices(parameter) and parameter.name not in _LABELS:
        return {**field, "type": "input"}
    options = [{"label": value, "value": value} for value in _choices(parameter)]
    kind = "multi-select" if parameter.repeated else "select"
    return {**field, "type": kind, **({"options": options} if options else {})}
