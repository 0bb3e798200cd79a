"""The metrics that the backend serves, each declared once.

Routes, the catalogue, the Grafana metric list and rows derive from ``SERIES_METRICS``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from modelplane_datasource.errors import ApiError
from modelplane_datasource.parameters import Parameter, label_text, open_ratio
from modelplane_schema import metrics, recorded
from modelplane_schema.metrics import MODEL_NAME, MODEL_VERSION, TENANT_ID
from modelplane_schema.promql import Matcher, one_of, selector

GROUP_LABELS = (MODEL_NAME, MODEL_VERSION, TENANT_ID)

MODEL = Parameter(
    "model-name", "Model, by its name in the registry.", "the name of a model, repeatable", label_text,
    required=True, repeated=True,
)  # fmt: skip
TENANT = Parameter(
    "tenant-id", "Tenant, by its id in the registry.", "the id of a tenant, repeatable", label_text,
    required=True, repeated=True,
)  # fmt: skip
VERSION = Parameter(
    "model-version", "Version; every version when it is left out.", "a version of the model, repeatable",
    label_text, repeated=True,
)  # fmt: skip
QUANTILE = Parameter(
    "quantile", "Which quantile to estimate.", "a number between 0 and 1, both excluded", open_ratio,
    default="0.95",
)  # fmt: skip

SCOPE_PARAMETERS = (MODEL, TENANT, VERSION)


@dataclass(frozen=True, slots=True)
class Scope:
    """What a query is about: no ``versions`` means all; ``options`` holds the metric's own parameters."""

    models: tuple[str, ...]
    tenants: tuple[str, ...]
    versions: tuple[str, ...]
    options: Mapping[str, float]

    @property
    def matchers(self) -> tuple[Matcher, ...]:
        """Matchers that select the scope and nothing else."""
        asked = ((MODEL_NAME, self.models), (TENANT_ID, self.tenants), (MODEL_VERSION, self.versions))
        return tuple(one_of(label, values) for label, values in asked if values)


@dataclass(frozen=True, slots=True)
class SeriesMetric:
    """One metric; ``promql(scope, window)`` is its query, ``window`` a PromQL duration such as ``60s``.

    ``labels`` tell the series of one model, version and tenant apart.
    """

    name: str
    title: str
    unit: str
    summary: str
    promql: Callable[[Scope, str], str]
    options: tuple[Parameter[float], ...] = ()
    labels: tuple[str, ...] = ()

    @property
    def scope_parameters(self) -> tuple[Parameter[str] | Parameter[float], ...]:
        """Parameters that say what is asked for, without those of time."""
        return (*SCOPE_PARAMETERS, *self.options)


def _sum(expression: str, *more: str) -> str:
    return f"sum by ({', '.join((*GROUP_LABELS, *more))}) ({expression})"


def _rate(name: str, window: str, scope: Scope, *matchers: Matcher) -> str:
    return f"rate({selector(name, (*scope.matchers, *matchers))}[{window}])"


def _latency(scope: Scope, window: str) -> str:
    buckets = _sum(_rate(f"{metrics.LATENCY.name}_bucket", window, scope), "le")
    return f"histogram_quantile({scope.options[QUANTILE.name]!r}, {buckets})"


def _throughput(scope: Scope, window: str) -> str:
    return _sum(_rate(metrics.REQUESTS.name, window, scope))


def _errors(scope: Scope, window: str) -> str:
    failed = Matcher("outcome", "failure")
    judged = one_of("outcome", ("success", "failure"))
    return (
        f"{_sum(_rate(metrics.REQUESTS.name, window, scope, failed))}"
        f" / {_sum(_rate(metrics.REQUESTS.name, window, scope, judged))}"
    )


def _confidence(scope: Scope, window: str) -> str:
    name = metrics.CONFIDENCE.name
    return f"{_sum(_rate(f'{name}_sum', window, scope))} / {_sum(_rate(f'{name}_count', window, scope))}"


def _active(scope: Scope, window: str) -> str:
    return _sum(selector(metrics.ACTIVE.name, scope.matchers))


def _tokens(scope: Scope, window: str) -> str:
    return _sum(_rate(metrics.TOKENS.name, window, scope), "kind")


def _saturation(scope: Scope, window: str) -> str:
    most = selector(recorded.MAX_IN_FLIGHT.name, (one_of(MODEL_NAME, scope.models),))
    return f"{_active(scope, window)} / on ({MODEL_NAME}) group_left () max by ({MODEL_NAME}) ({most})"


SERIES_METRICS: tuple[SeriesMetric, ...] = (
    SeriesMetric(
        "latency", "Latency", metrics.LATENCY.unit,
        "Estimated quantile of the wall time of calls.", _latency, (QUANTILE,),
    ),
    SeriesMetric(
        "throughput", "Throughput", "requests_per_second",
        "Finished calls per second, of every outcome.", _throughput,
    ),
    SeriesMetric(
        "errors", "Error ratio", "ratio",
        "Failed calls as a share of succeeded and failed ones.", _errors,
    ),
    SeriesMetric(
        "confidence", "Mean confidence", metrics.CONFIDENCE.unit,
        "Mean confidence of predictions.", _confidence,
    ),
    SeriesMetric(
        "active", "Requests in flight", metrics.ACTIVE.unit,
        "Calls in flight.", _active,
    ),
    SeriesMetric(
        "tokens", "Tokens", "tokens_per_second",
        "Tokens per second, one series for each kind; the kinds partition the total.", _tokens,
        labels=("kind",),
    ),
    SeriesMetric(
        "saturation", "Saturation", "ratio",
        "Calls in flight as a share of the model's max_in_flight in the registry.", _saturation,
    ),
)  # fmt: skip

_BY_NAME = {metric.name: metric for metric in SERIES_METRICS}


def find_metric(name: str) -> SeriesMetric:
    """The metric of that name; ApiError 404 that lists the names there are."""
    if name not in _BY_NAME:
        known = list(_BY_NAME)
        raise ApiError(
            404,
            "unknown_metric",
            f"There is no metric {name[:100]!r}; allowed: {', '.join(known)}.",
            {"metric": name[:100], "allowed": known},
        )
    return _BY_NAME[name]
