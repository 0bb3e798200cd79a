"""Signals and their baselines as exposition text; see ``text``.

What a baseline says never changes, so its text is made once. A series of signals has one ``%`` template for
all its lines.
"""

from __future__ import annotations

import weakref
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
    described = [
        _described(loaded.version, layouts[loaded.baseline.fingerprint])
        for loaded in baselines
        if not loaded.is_fixed
    ]
    for metric in BASELINE_METRICS:
        texts = [text[metric.name] for text in described]
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


class _Texts:
    """What of the text of a baseline's signals never changes."""

    def __init__(self, layout: SignalLayout) -> None:
        baseline = layout.baseline
        self.bins = "".join(
            _line(metrics.SIGNAL_OBSERVATIONS, labels, "%d") for labels in _bin_labels(baseline)
        )
        self.sums = [
            "".join(_line(metric, _signal_labels(baseline, signal), "%r") for signal in layout.deviating)
            for metric in SUM_METRICS
        ]
        self.unobserved = "".join(
            _line(metrics.SIGNAL_UNOBSERVED, _signal_labels(baseline, signal), "%d")
            for signal in baseline.signals
        )
        self.described: dict[Version, dict[str, bytes]] = {}


# As long as the layout is used.
_texts: weakref.WeakKeyDictionary[SignalLayout, _Texts] = weakref.WeakKeyDictionary()


def _texts_of(layout: SignalLayout) -> _Texts:
    texts = _texts.get(layout)
    if texts is None:
        texts = _texts[layout] = _Texts(layout)
    return texts


def _bins(layout: SignalLayout, snapshot: SignalSnapshot) -> bytes:
    text = _texts_of(layout).bins % tuple(snapshot.cells[: layout.bins])
    return text.encode().replace(_SLOT, identity_labels(snapshot.key.identity))


def _sums(layout: SignalLayout, snapshot: SignalSnapshot, index: int) -> bytes:
    sums = list(layout.sums(snapshot.cells))[index]
    text = _texts_of(layout).sums[index] % tuple(sums)
    return text.encode().replace(_SLOT, identity_labels(snapshot.key.identity))


def _unobserved(layout: SignalLayout, snapshot: SignalSnapshot) -> bytes:
    text = _texts_of(layout).unobserved % tuple(layout.unobserved(snapshot.cells))
    return text.encode().replace(_SLOT, identity_labels(snapshot.key.identity))


def _line(metric: Metric, labels: tuple[str, ...], value: str) -> str:
    names = metric.labels[len(IDENTITY) :]
    # Neither a "%" nor the slot's character in a label may be taken for the template's own.
    text = label_text(names, labels).decode().replace("%", "%%").replace(SLOT, "\ufffd")
    return f"{metric.name}{{{SLOT},{text}}} {value}\n"


def _described(version: Version, layout: SignalLayout) -> dict[str, bytes]:
    """The text of each baseline metric."""
    described = _texts_of(layout).described
    if version not in described:
        described[version] = _description(version, layout.baseline)
    return described[version]


def _description(version: Version, baseline: Baseline) -> dict[str, bytes]:
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
