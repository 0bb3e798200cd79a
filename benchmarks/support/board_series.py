"""The series that boards read, of a fleet of any size, derived from the schema.

A series has all combinations of its labels' values. What a board reads over its range, with its variables at
their defaults, is *long*: it is to have samples all day. Everything else is *short*: only the end of the day
is read. Nothing is random.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from modelplane_schema import calibration, levels, metrics, recorded
from modelplane_schema.plane_series import PLANE_SERIES, TARGET
from modelplane_schema.recorded import RECORDED
from modelplane_schema.series_labels import SERIES_LABELS, is_constant
from support.board_selectors import Selector
from support.fleet import FRAMEWORK, SLOS, VERSION, Fleet, Labels

ALERTS = "ALERTS"
DEVICES, TARGETS = 40, 100
SIGNALS, MOVED_SIGNALS = 10, 1  # of each kind, in each version
ALERTING_TENANTS = 0.01  # the share whose models all have an alert, of each severity
SERIES_OF_CHUNK = 8_000
_RECORDED_NAMES = {series.name for series in RECORDED}
_SCRAPED = {metric.name: metric for metric in (*metrics.METRICS, *PLANE_SERIES)}
_HISTOGRAM_PARTS = ("_bucket", "_sum", "_count")
_ALERT_LABELS = ("alertname", "alertstate", "severity", *metrics.IDENTITY[:3])

Values = Mapping[str, tuple[str, ...]]


class SeriesPlan(NamedTuple):
    """All series of one name: the values of each of their labels."""

    name: str
    values: Values

    @property
    def size(self) -> int:
        """The number of series."""
        return math.prod(map(len, self.values.values()))

    def matching(self, selector: Selector) -> int:
        """How many series a selector of this name matches."""
        absent = {label for label, *_ in selector.matchers} - self.values.keys()
        if not all(selector.allows(label, "") for label in absent):
            return 0
        return math.prod(len(allowed) for allowed in self.allowed(selector))

    def allowed(self, selector: Selector) -> list[frozenset[str]]:
        """The values that a selector matches, of each label."""
        return [
            frozenset(value for value in values if selector.allows(label, value))
            for label, values in self.values.items()
        ]


class Chunk(NamedTuple):
    """Some series of one name, all long or all short; ``slopes`` are their levels, or growth in a second."""

    name: str
    label_names: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    slopes: NDArray[np.float64]
    is_long: bool

    @property
    def is_recorded(self) -> bool:
        """Whether a rule writes it, not a scrape."""
        return self.name in _RECORDED_NAMES or self.name == ALERTS

    def labels(self) -> list[Labels]:
        """Labels with ``__name__`` in the order of the values."""
        return [{"__name__": self.name, **dict(zip(self.label_names, row, strict=True))} for row in self.rows]

    def at(self, seconds: NDArray[np.int64]) -> NDArray[np.float64]:
        """Values of shape (series, times): counts since second 0, or a level that moves a little."""
        if _is_counter(self.name):
            return np.floor(self.slopes[:, None] * (seconds % (400 * 86_400)))
        return self.slopes[:, None] * (1 + (seconds // 60 % 7) / 50)


def series_plans(names: Iterable[str], fleet: Fleet) -> list[SeriesPlan]:
    """The series of each name; KeyError for a name that the schema lacks."""
    return [SeriesPlan(name, _values(name, fleet)) for name in sorted(set(names))]


def chunks(plan: SeriesPlan, selectors: Sequence[Selector]) -> Iterator[Chunk]:
    """The series of a plan, long where a selector reads them over its range."""
    wanted = [plan.allowed(item) for item in selectors if item.name == plan.name and item.over_range]
    rows = list(itertools.product(*plan.values.values()))
    are_long = [
        any(all(map(frozenset.__contains__, allowed, row)) for allowed in _distinct(wanted)) for row in rows
    ]
    slopes = _slopes(plan)
    for is_long in (True, False):
        positions = [position for position, flag in enumerate(are_long) if flag is is_long]
        for start in range(0, len(positions), SERIES_OF_CHUNK):
            some = positions[start : start + SERIES_OF_CHUNK]
            yield Chunk(plan.name, tuple(plan.values), tuple(rows[at] for at in some), slopes[some], is_long)


def _distinct(wanted: list[list[frozenset[str]]]) -> list[list[frozenset[str]]]:
    return [allowed for at, allowed in enumerate(wanted) if allowed not in wanted[:at]]


def _slopes(plan: SeriesPlan) -> NDArray[np.float64]:
    """From 5 to 0.2; the first has most. Of buckets, whose bound is the last label, the share of each."""
    bounds = len(plan.values.get("le", ("",)))
    rates = np.linspace(5, 0.2, plan.size // bounds)
    return np.outer(rates, np.arange(1, bounds + 1) / bounds).ravel()


def _is_counter(name: str) -> bool:
    metric = _scraped(name)
    return metric is not None and metric.type != "gauge"


def _scraped(name: str) -> metrics.Metric | None:
    if name in _SCRAPED:
        return _SCRAPED[name]
    family = next((name.removesuffix(part) for part in _HISTOGRAM_PARTS if name.endswith(part)), name)
    return _SCRAPED.get(family)


def _values(name: str, fleet: Fleet) -> Values:
    labels = _ALERT_LABELS if name == ALERTS else SERIES_LABELS[name]
    values = {label: _label_values(name, label, labels, fleet) for label in labels}
    if _scraped(name) in metrics.METRICS:
        values = {**dict.fromkeys(TARGET, ("models-0",)), **values}
    return values if is_constant(name) else {"cluster": ("main",), **values}


def _label_values(name: str, label: str, labels: tuple[str, ...], fleet: Fleet) -> tuple[str, ...]:
    is_signal = "signal" in labels
    if label in TARGET:  # what each target has, or what one server says of itself
        return _numbered(label, TARGETS if labels == TARGET and label == "instance" else 1)
    if label == metrics.TENANT_ID:
        tenants = tuple(dict.fromkeys(identity[label] for identity in fleet.identities))
        alerting = tenants[: max(1, round(ALERTING_TENANTS * len(tenants)))]
        return (metrics.ALL_TENANTS,) if is_signal else alerting if name == ALERTS else tenants
    if label == metrics.MODEL_NAME:
        return tuple(dict.fromkeys(identity[label] for identity in fleet.identities))
    if label == "kind" and not is_signal:
        return (*metrics.TOKEN_KINDS, *(("all",) if "token_cost" in name else ()))
    if label == "le":
        return tuple(map(str, (*_bounds(name), "+Inf")))
    if label == "signal" and "method" in labels:  # only signals that moved have a method
        return _LABEL_VALUES[label][:MOVED_SIGNALS]
    return _LABEL_VALUES.get(label) or _numbered(label, 5)


def _bounds(name: str) -> tuple[float, ...]:
    metric = _scraped(_SCRAPED_OF_LEVEL.get(name, name))
    return (metric.buckets if metric else ()) or metrics.LATENCY_BUCKETS


def _numbered(label: str, count: int) -> tuple[str, ...]:
    return tuple(f"{label}-{number}" for number in range(count))


_SCRAPED_OF_LEVEL = {
    quantity.at(level).name: quantity.scraped for quantity in levels.QUANTITIES for level in quantity.levels
}
# Labels whose values are the same in every series that has them; all others are numbered.
_LABEL_VALUES: Values = {
    **{label: values for metric in metrics.METRICS for label, values in metric.closed},
    "kind": metrics.SIGNAL_KINDS,
    "signal": ("prediction", *_numbered("signal", SIGNALS - 1)),
    "baseline": ("0",),
    "method": tuple(calibration.ARMS),
    metrics.MODEL_VERSION: (VERSION,),
    metrics.FRAMEWORK: (FRAMEWORK,),
    "owner": ("team",),
    "stage": ("production",),
    "device": _numbered("device", DEVICES),
    "device_type": ("a100",),
    "currency": ("USD",),
    "quantile": tuple(map(str, recorded.LATENCY_QUANTILES)),
    "slo": tuple(str(slo["name"]) for slo in SLOS),
    "indicator": ("errors", "latency"),
    "period": ("30d",),
    "long_window": ("1h", "6h", "1d", "3d"),
    "event": _numbered("event", 2),
    "value": _numbered("value", 2),
    "status": ("200", "503"),
    "result": ("ok", "error"),
    "route": _numbered("route", 30),
    "rule_group": _numbered("group", 60),
    "alertname": ("ModelDown",),
    "alertstate": ("firing",),
    "severity": ("info", "warning", "critical"),
}
