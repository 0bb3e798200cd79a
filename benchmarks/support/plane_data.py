"""A plane's series over a day: what its exporters would have exposed, scrape by scrape.

Counts are drawn from Poisson distributions around each identity's own rate, so counters rise unevenly and
histograms agree with their counts. Every identity has 21 series (coarse buckets); each version has besides
these the signals of one baseline, for all tenants together.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from modelplane_schema import metrics, recorded

FRAMEWORK = "pytorch"
INTERVAL = 60  # seconds between two scrapes
BASELINE_VERSION, CANDIDATE_VERSION = VERSIONS = ("v1.2.0", "v1.3.0")
IDENTITIES_PER_DEVICE = 100
SERIES_PER_IDENTITY = 21
SIGNALS, BINS = 10, 10
BASELINE_OBSERVATIONS = 50_000
LATENCY_BOUNDS, LATENCY_PARTS = ("0.05", "0.1", "0.25", "1.0", "+Inf"), (0.3, 0.3, 0.25, 0.1, 0.05)
CONFIDENCE_BOUNDS, CONFIDENCE_PARTS = ("0.5", "0.9", "+Inf"), (0.2, 0.5, 0.3)

Labels = dict[str, str]
Floats = NDArray[np.float64]


class Size(NamedTuple):
    """How large the plane is; each model has two versions of each tenant."""

    models: int
    tenants: int
    scrapes: int
    interval: int = INTERVAL

    @property
    def identities(self) -> int:
        return self.models * len(VERSIONS) * self.tenants


def model_name(number: int) -> str:
    return f"model-{number:03d}"


def tenant_id(number: int) -> str:
    return f"tenant-{number:03d}"


def device_of(identity: int) -> str:
    return f"GPU-{identity // IDENTITIES_PER_DEVICE:04d}"


def registry(size: Size) -> str:
    """A registry of the same models, tenants and devices."""
    tenants = ", ".join(tenant_id(number) for number in range(size.tenants))
    people = "\n".join(
        f"  - {{id: {tenant_id(number)}, budget: {{amount: 2500, currency: USD, period: month}}}}"
        for number in range(size.tenants)
    )
    models = "\n".join(
        f"  - name: {model_name(number)}\n"
        f"    framework: {FRAMEWORK}\n    owner: research\n    max_in_flight: 64\n    tenants: [{tenants}]\n"
        "    versions: [{version: v1.2.0}, {version: v1.3.0, stage: canary}]\n"
        "    slos: [{name: availability, objective: 0.99, window: 7d, indicator: {type: errors}}]"
        for number in range(size.models)
    )
    devices = "\n".join(
        f"    - {{device: {device}, device_type: a100, from: 2020-01-01}}"
        for device in dict.fromkeys(map(device_of, range(size.identities)))
    )
    return (
        f"apiVersion: modelplane/v1\ntenants:\n{people}\nmodels:\n{models}\n"
        f"devices:\n  inventory:\n{devices}\n"
        "  prices: [{device_type: a100, amount: 2.5, currency: USD, per: hour, effective_from: 2020-01-01}]\n"
    )


class Block(NamedTuple):
    """Samples of the same series at following scrapes; ``values`` has shape (series, scrapes)."""

    scrapes: range
    values: Floats


class IdentitySeries:
    """The series of every identity."""

    def __init__(self, size: Size) -> None:
        self._size = size
        self._chance = np.random.default_rng(5)
        self._rates = self._chance.uniform(20, 400, size.identities)  # calls in each scrape interval
        self._totals = np.zeros((size.identities, SERIES_PER_IDENTITY))

    def labels(self) -> list[Labels]:
        """Labels in the order of the values."""
        return [
            labels for identity in range(self._size.identities) for labels in _labels_of(identity, self._size)
        ]

    def blocks(self, length: int) -> Iterator[Block]:
        """All samples in the order of time, ``length`` scrapes at once."""
        for first in range(0, self._size.scrapes, length):
            scrapes = range(first, min(first + length, self._size.scrapes))
            increments, active = self._increments(len(scrapes))
            totals = np.cumsum(increments, axis=-1) + self._totals[..., None]
            self._totals = totals[..., -1].copy()
            totals[:, _ACTIVE] = active
            yield Block(scrapes, totals.reshape(-1, len(scrapes)))

    def _increments(self, scrapes: int) -> tuple[Floats, Floats]:
        """Of shape (identities, series, scrapes), and the calls in flight."""
        calls = self._drawn(LATENCY_PARTS, scrapes)
        predictions = self._drawn(CONFIDENCE_PARTS, scrapes)
        count, predicted = calls[:, -1], predictions[:, -1]
        failed = np.minimum(count, self._chance.poisson(0.01 * self._rates[:, None], count.shape))
        columns = (
            *calls.swapaxes(0, 1), count * 0.173, count,
            count - failed, failed, *[np.zeros_like(count)] * (len(metrics.OUTCOMES) - 2),
            *predictions.swapaxes(0, 1), predicted * 0.71, predicted,
            np.zeros_like(count), count * 512.0, count * 128.0, count * 0.0007, count,
        )  # fmt: skip
        return np.stack(columns, axis=1), self._chance.poisson(3, count.shape).astype(float)

    def _drawn(self, parts: tuple[float, ...], scrapes: int) -> Floats:
        """Cumulative buckets of new observations, of shape (identities, buckets, scrapes)."""
        means = self._rates[:, None, None] * np.array(parts)[:, None]
        drawn = self._chance.poisson(means, (len(self._rates), len(parts), scrapes))
        return np.cumsum(drawn, axis=1).astype(float)


_ACTIVE = len(LATENCY_BOUNDS) + 2 + len(metrics.OUTCOMES) + len(CONFIDENCE_BOUNDS) + 2


def _labels_of(number: int, size: Size) -> Iterator[Labels]:
    versioned, tenant = divmod(number, size.tenants)
    model, version = divmod(versioned, len(VERSIONS))
    identity = dict(
        zip(
            metrics.IDENTITY,
            (model_name(model), VERSIONS[version], tenant_id(tenant), FRAMEWORK),
            strict=True,
        )
    )
    yield from _histogram(metrics.LATENCY.name, LATENCY_BOUNDS, identity)
    for outcome in metrics.OUTCOMES:
        yield _named(metrics.REQUESTS.name, identity, outcome=outcome)
    yield from _histogram(metrics.CONFIDENCE.name, CONFIDENCE_BOUNDS, identity)
    yield _named(metrics.ACTIVE.name, identity)
    for kind in ("input", "output"):
        yield _named(metrics.TOKENS.name, identity, kind=kind)
    yield _named(metrics.DEVICE_SECONDS.name, identity, device=device_of(number), device_type="a100")
    yield _named(metrics.ITEMS.name, identity)


def _histogram(name: str, bounds: tuple[str, ...], identity: Labels) -> Iterator[Labels]:
    for bound in bounds:
        yield _named(f"{name}_bucket", identity, le=bound)
    yield _named(f"{name}_sum", identity)
    yield _named(f"{name}_count", identity)


def _named(name: str, identity: Labels, **more: str) -> Labels:
    return {"__name__": name, "job": "models", "instance": "10.0.0.5:8000", **identity, **more}


class SignalSeries:
    """Counts and baselines of every version's signals, and what the registry's rules would record."""

    def __init__(self, size: Size) -> None:
        self._size = size
        self._chance = np.random.default_rng(6)
        labels = list(_signal_labels(size))
        self._labels = labels
        names = [series["__name__"] for series in labels]
        counters = np.array([name.endswith("_total") for name in names])
        self._means = np.where(counters, 200.0, 0.0)
        constants = {
            metrics.BASELINE_RATIO.name: 1 / BINS,
            metrics.BASELINE_OBSERVATIONS.name: float(BASELINE_OBSERVATIONS),
            recorded.MAX_IN_FLIGHT.name: 64.0,
        }
        self._totals = np.array([constants.get(name, 0.0) for name in names])

    def labels(self) -> list[Labels]:
        """Labels in the order of the values."""
        return self._labels

    def blocks(self, length: int) -> Iterator[Block]:
        """All samples in the order of time, ``length`` scrapes at once."""
        for first in range(0, self._size.scrapes, length):
            scrapes = range(first, min(first + length, self._size.scrapes))
            shape = (len(self._means), len(scrapes))
            totals = (
                np.cumsum(self._chance.poisson(self._means[:, None], shape), axis=-1) + self._totals[:, None]
            )
            self._totals = totals[:, -1].copy()
            yield Block(scrapes, totals)


def _signal_labels(size: Size) -> Iterator[Labels]:
    for model in range(size.models):
        yield _named(recorded.MAX_IN_FLIGHT.name, {metrics.MODEL_NAME: model_name(model)})
        for version in VERSIONS:
            owner = {
                metrics.MODEL_NAME: model_name(model),
                metrics.MODEL_VERSION: version,
                "framework": FRAMEWORK,
            }
            for number in range(SIGNALS):
                signal = {"kind": "input", "signal": f"feature_{number:02d}", "baseline": f"b{model:07d}"}
                yield from _signal_series(owner, signal)


def _signal_series(owner: Labels, signal: Labels) -> Iterator[Labels]:
    everyone = {**owner, metrics.TENANT_ID: metrics.ALL_TENANTS}
    for number in range(BINS):
        yield _named(metrics.SIGNAL_OBSERVATIONS.name, everyone, **signal, bin=f"{number:02d}")
        yield _named(metrics.BASELINE_RATIO.name, owner, **signal, bin=f"{number:02d}")
    for part in (metrics.SIGNAL_DEVIATION_POSITIVE, metrics.SIGNAL_DEVIATION_NEGATIVE):
        yield _named(part.name, everyone, **signal)
    yield _named(metrics.BASELINE_OBSERVATIONS.name, owner, **signal)
