"""A registry of tenants that each use each model, and what its processes and rules would have written.

Every count grows by the identity's own rate, so that all its series agree; nothing is random.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import yaml
from numpy.typing import NDArray

from modelplane_schema import metrics, recorded, recorded_slo

FRAMEWORK, VERSION = "sklearn", "v1"
SLOS = [
    {"name": "availability", "objective": 0.99, "indicator": {"type": "errors"}},
    {"name": "latency", "objective": 0.95, "indicator": {"type": "latency", "threshold_seconds": 0.25}},
]
SECONDS_OF = {"5m": 300, "1h": 3600}
_FAILED_SHARE = 0.001

Labels = dict[str, str]
Floats = NDArray[np.float64]


class Fleet(NamedTuple):
    """How many tenants use how many models; each pair is an identity."""

    tenants: int
    models: int

    @property
    def identities(self) -> list[Labels]:
        """The labels of each identity."""
        return [
            dict(zip(metrics.IDENTITY, (model, VERSION, tenant, FRAMEWORK), strict=True))
            for model in _names("model", self.models)
            for tenant in _names("tenant", self.tenants)
        ]


def _names(kind: str, number: int) -> list[str]:
    return [f"{kind}-{position:04d}" for position in range(number)]


def registry_text(fleet: Fleet) -> str:
    """A registry in which each model serves each tenant and has two SLOs."""
    tenants = _names("tenant", fleet.tenants)
    content = {
        "apiVersion": "modelplane/v1",
        "tenants": [{"id": name} for name in tenants],
        "models": [
            {
                "name": name, "framework": FRAMEWORK, "owner": "team", "tenants": tenants,
                "max_in_flight": 8, "versions": [{"version": VERSION}], "slos": SLOS,
            }
            for name in _names("model", fleet.models)
        ],
    }  # fmt: skip
    return yaml.dump(content, Dumper=yaml.CSafeDumper)


class Column(NamedTuple):
    """A series of each identity: its name and labels, and its share of the identity's calls."""

    name: str
    labels: Labels
    share: float
    is_counter: bool = True


def scraped() -> list[Column]:
    """What a process exposes of an identity, tokens and signals left out: 40 series."""
    outcomes = {"success": 1 - _FAILED_SHARE, "failure": _FAILED_SHARE}
    return [
        *(Column(metrics.REQUESTS.name, {"outcome": o}, outcomes.get(o, 0)) for o in metrics.OUTCOMES),
        *_histogram(metrics.LATENCY, 0.04),
        *_histogram(metrics.CONFIDENCE, 0.9),
        Column(metrics.ACTIVE.name, {}, 0.5, is_counter=False),
        Column(metrics.ITEMS.name, {}, 1.0),
        Column(metrics.DEVICE_SECONDS.name, {"device": "cpu", "device_type": "cpu-process"}, 0.04),
    ]


def _histogram(metric: metrics.Metric, mean: float) -> Iterator[Column]:
    """Of values with an exponential distribution, so that almost all calls are within the objective."""
    for bound in (*metric.buckets, math.inf):
        text = "+Inf" if bound == math.inf else str(float(bound))
        yield Column(f"{metric.name}_bucket", {"le": text}, -math.expm1(-bound / mean))
    yield Column(f"{metric.name}_sum", {}, mean)
    yield Column(f"{metric.name}_count", {}, 1.0)


def remembered() -> list[Column]:
    """What rules read of the days before: increases of SLOs and calls, and the rate of calls."""
    of_slos = [
        Column(f"{series.name}{window}", {"slo": str(slo["name"])}, share * seconds, is_counter=False)
        for series, share in ((recorded_slo.SLO_GOOD, 1 - _FAILED_SHARE), (recorded_slo.SLO_TOTAL, 1.0))
        for window, seconds in SECONDS_OF.items()
        for slo in SLOS
    ]
    of_calls = [
        Column(f"{recorded_slo.CALLS_FAILED.name}5m", {}, _FAILED_SHARE * 300, is_counter=False),
        Column(f"{recorded_slo.CALLS_COMPLETED.name}5m", {}, 300.0, is_counter=False),
        Column(recorded.REQUEST_RATE.name, {}, 1.0, is_counter=False),
    ]
    return [*of_slos, *of_calls]


class FleetSeries:
    """Columns of every identity as series, with their values at any time."""

    def __init__(self, fleet: Fleet, columns: list[Column], **labels: str) -> None:
        """``labels`` are those that a scrape adds. Series of rules have no framework but for rates."""
        self._fleet, self._columns, self._labels = fleet, columns, labels
        rates = np.linspace(0.2, 5, len(fleet.identities))  # calls a second
        self._slopes = np.outer(rates, [column.share for column in columns]).ravel()
        self._are_counters = np.tile([column.is_counter for column in columns], len(rates))

    def labels(self) -> list[Labels]:
        """Labels with ``__name__`` in the order of the values."""
        return [
            {"__name__": column.name, **self._labels, **_of_column(identity, column), **column.labels}
            for identity in self._fleet.identities
            for column in self._columns
        ]

    def values(self, seconds: NDArray[np.int64]) -> Floats:
        """Of shape (series, times): counts since second 0, or a level that moves a little."""
        counted = np.floor(self._slopes[:, None] * seconds)
        moving = self._slopes[:, None] * (1 + (seconds // 60 % 7) / 50)
        return np.where(self._are_counters[:, None], counted, moving)


class InfoSeries:
    """What says that each model is loaded; without it every model is down, and each tenant has an alert."""

    def __init__(self, fleet: Fleet, **labels: str) -> None:
        self._fleet, self._labels = fleet, labels

    def labels(self) -> list[Labels]:
        """Labels with ``__name__`` in the order of the values."""
        described = {"model_version": VERSION, "framework": FRAMEWORK, "owner": "team", "stage": "production"}
        return [
            {"__name__": metrics.MODEL_INFO.name, **self._labels, **described, metrics.MODEL_NAME: name}
            for name in _names("model", self._fleet.models)
        ]

    def values(self, seconds: NDArray[np.int64]) -> Floats:
        """Of shape (series, times): 1 each."""
        return np.ones((self._fleet.models, len(seconds)))


def _of_column(identity: Labels, column: Column) -> Labels:
    if column.name.startswith("modelplane:") and column.name != recorded.REQUEST_RATE.name:
        return {key: value for key, value in identity.items() if key != "framework"}
    return identity
