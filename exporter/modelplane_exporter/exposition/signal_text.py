"""Signals and their baselines as exposition text; see ``text``.

What a baseline says never changes, so its text is made once. A series of signals has one ``%`` template for
all its lines.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from modelplane_exporter.baseline import Baseline, NumericSignal, Signal
from modelplane_exporter.exposition.text import SLOT, identity_labels, label_text, metadata, number
from modelplane_exporter.identity import Version
from modelplane_exporter.layout.signals import (
    BASELINE_METRICS,
    SUM_METRICS,
    LoadedBaseline,
    SignalLayout,
    SignalSnapshot,
    layout_of,
)
from modelplane_schema import metrics
from modelplane_schema.metrics import IDENTITY, VERSION_IDENTITY, Metric

_SLOT = SLOT.encode()


class SignalSample(NamedTuple):
    """One value of a signal's series; ``labels`` are those after the identity."""

    metric: Metric
    labels: tuple[str, ...]
    value: float


def chunks(
    signals: Sequence[SignalSnapshot], baselines: Sequence[LoadedBaseline], openmetrics: bool
) -> Iterator[bytes]:
    """Every family of signals, one chunk for each identity or baseline."""
    layouts = {loaded.baseline.fingerprint: layout_of(loaded.baseline) for loaded in baselines}
    known = [snapshot for snapshot in signals if snapshot.key.fingerprint in layouts]
    yield from _family(metrics.SIGNAL_OBSERVATIONS, _bins, known, layouts, openmetrics)
    for index, metric in enumerate(SUM_METRICS):
        deviating = [snapshot for snapshot in known if layouts[snapshot.key.fingerprint].deviating]
        if deviating:
            yield metadata(metric, openmetrics)
        for snapshot in deviating:
            yield _sums(layouts[snapshot.key.fingerprint], snapshot, index)
    yield from _family(metrics.SIGNAL_UNOBSERVED, _unobserved, known, layouts, openmetrics)
    for metric in BASELINE_METRICS:
        texts = [_described(loaded.version, loaded.baseline)[metric.name] for loaded in baselines]
        if any(texts):
            yield metadata(metric, openmetrics)
        yield from texts


def _family(
    metric: Metric,
    write: Callable[[SignalLayout, SignalSnapshot], bytes],
    snapshots: Sequence[SignalSnapshot],
    layouts: Mapping[str, SignalLayout],
    openmetrics: bool,
) -> Iterator[bytes]:
    if snapshots:
        yield metadata(metric, openmetrics)
    for snapshot in snapshots:
        yield write(layouts[snapshot.key.fingerprint], snapshot)


def samples_of(layout: SignalLayout, snapshot: SignalSnapshot) -> Iterator[SignalSample]:
    """The values of one identity, as ``chunks`` writes them."""
    cells = iter(snapshot.cells)
    for labels in _bin_labels(layout.baseline):
        yield SignalSample(metrics.SIGNAL_OBSERVATIONS, labels, next(cells))
    for metric, sums in zip(SUM_METRICS, layout.sums(snapshot.cells), strict=False):
        for signal, value in zip(layout.deviating, sums, strict=True):
            yield SignalSample(metric, _signal_labels(layout.baseline, signal), value)
    for each, value in zip(layout.baseline.signals, layout.unobserved(snapshot.cells), strict=True):
        yield SignalSample(metrics.SIGNAL_UNOBSERVED, _signal_labels(layout.baseline, each), value)


def baseline_samples(baseline: Baseline) -> Iterator[SignalSample]:
    """What describes a baseline."""
    for signal in baseline.signals:
        labels = _signal_labels(baseline, signal)
        for bin_name, ratio in zip(signal.bins, signal.ratios, strict=True):
            yield SignalSample(metrics.BASELINE_RATIO, (*labels, bin_name), ratio)
        if isinstance(signal, NumericSignal):
            for bin_name, bound, center in zip(
                signal.bins, signal.upper_bounds, signal.centers, strict=False
            ):
                yield SignalSample(metrics.BASELINE_UPPER_BOUND, (*labels, bin_name), bound)
                if center is not None:
                    yield SignalSample(metrics.BASELINE_CENTER, (*labels, bin_name), center)
            yield SignalSample(metrics.BASELINE_MEAN, labels, signal.mean)
            yield SignalSample(metrics.BASELINE_STDDEV, labels, signal.stddev)
        yield SignalSample(metrics.BASELINE_OBSERVATIONS, labels, signal.observations)


def _bins(layout: SignalLayout, snapshot: SignalSnapshot) -> bytes:
    text = _bins_template(layout.baseline) % tuple(snapshot.cells[: layout.bins])
    return text.encode().replace(_SLOT, identity_labels(snapshot.key.identity))


def _sums(layout: SignalLayout, snapshot: SignalSnapshot, index: int) -> bytes:
    sums = list(layout.sums(snapshot.cells))[index]
    text = _sums_template(layout.baseline, index) % tuple(sums)
    return text.encode().replace(_SLOT, identity_labels(snapshot.key.identity))


def _unobserved(layout: SignalLayout, snapshot: SignalSnapshot) -> bytes:
    text = _unobserved_template(layout.baseline) % tuple(layout.unobserved(snapshot.cells))
    return text.encode().replace(_SLOT, identity_labels(snapshot.key.identity))


@functools.lru_cache(maxsize=256)
def _bins_template(baseline: Baseline) -> str:
    metric = metrics.SIGNAL_OBSERVATIONS
    return "".join(_line(metric, labels, "%d") for labels in _bin_labels(baseline))


@functools.lru_cache(maxsize=1024)
def _sums_template(baseline: Baseline, index: int) -> str:
    signals, metric = layout_of(baseline).deviating, SUM_METRICS[index]
    return "".join(_line(metric, _signal_labels(baseline, signal), "%r") for signal in signals)


@functools.lru_cache(maxsize=256)
def _unobserved_template(baseline: Baseline) -> str:
    metric = metrics.SIGNAL_UNOBSERVED
    return "".join(_line(metric, _signal_labels(baseline, signal), "%d") for signal in baseline.signals)


def _line(metric: Metric, labels: tuple[str, ...], value: str) -> str:
    names = metric.labels[len(IDENTITY) :]
    # Neither a "%" nor the slot's character in a label may be taken for the template's own.
    text = label_text(names, labels).decode().replace("%", "%%").replace(SLOT, "\ufffd")
    return f"{metric.name}{{{SLOT},{text}}} {value}\n"


@functools.lru_cache(maxsize=256)
def _described(version: Version, baseline: Baseline) -> dict[str, bytes]:
    """The text of each baseline metric."""
    parts: dict[str, list[bytes]] = {metric.name: [] for metric in BASELINE_METRICS}
    identity = label_text(VERSION_IDENTITY, version)
    for metric, labels, value in baseline_samples(baseline):
        signal = label_text(metric.labels[len(VERSION_IDENTITY) :], labels)
        line = b"%b{%b,%b} %b\n" % (metric.name.encode(), identity, signal, number(value).encode())
        parts[metric.name].append(line)
    return {name: b"".join(lines) for name, lines in parts.items()}


def _bin_labels(baseline: Baseline) -> Iterable[tuple[str, ...]]:
    for signal in baseline.signals:
        labels = _signal_labels(baseline, signal)
        for bin_name in signal.bins:
            yield (*labels, bin_name)


def _signal_labels(baseline: Baseline, signal: Signal) -> tuple[str, ...]:
    return signal.kind, signal.name, baseline.label
