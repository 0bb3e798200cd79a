"""Watching layers: what frameworks share. Each layer is summed up where it is; only two numbers move."""

from __future__ import annotations

import difflib
import threading
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, TypeVar

from modelplane_exporter.exporter import ModelMetricsExporter
from modelplane_exporter.frameworks import measured
from modelplane_exporter.rate_limited_log import log_failure
from modelplane_exporter.signals.sampling import Sampler

SIGNALS = ("mean_absolute", "zero_ratio")

Layer = TypeVar("Layer")
Values = Mapping[str, float]
Report = Callable[[Values], None]


class Watch:
    """Layers that are watched until ``remove()``, or until the block of ``with`` ends.

    ``sampled`` says of each call whether it is observed. ``summary`` maps what a layer returned to an array
    of shape (2,), None when that holds no floats; ``to_host`` maps several of them to lists. ``report`` gets
    the signals of one call. Threads may call the model at the same time. Nothing is raised into the model.
    """

    def __init__(
        self,
        sampled: Callable[[], bool],
        summary: Callable[[Any], Any],
        to_host: Callable[[Sequence[Any]], Sequence[Sequence[float]]],
        report: Report,
    ) -> None:
        self._sampled = sampled
        self._summary = summary
        self._to_host = to_host
        self._report = report
        self._undo: list[Callable[[], None]] = []
        self._call = threading.local()

    def __enter__(self) -> Watch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()

    def remove(self) -> None:
        """Leave the layers as they were before; again does nothing."""
        while self._undo:
            self._undo.pop()()

    def undo_with(self, undo: Callable[[], None]) -> None:
        """Have ``remove`` call ``undo``, the last one first."""
        self._undo.append(undo)

    def begin(self) -> None:
        """The model was called."""
        self._call.summaries = [] if self._sampled() else None

    def observe(self, name: str, returned: Any) -> None:
        """A layer of the model returned something."""
        summaries = getattr(self._call, "summaries", None)
        if summaries is None:
            return
        try:
            summary = self._summary(returned)
            if summary is not None:
                summaries.append((name, summary))
        except Exception as error:  # noqa: BLE001 - monitoring must not break the model
            log_failure("a layer was not observed", error)

    def finish(self) -> None:
        """The model has returned."""
        summaries = getattr(self._call, "summaries", None)
        self._call.summaries = None
        if not summaries:
            return
        try:
            names, arrays = zip(*summaries, strict=True)
            self._report(_signals(names, self._to_host(arrays)))
        except Exception as error:  # noqa: BLE001 - monitoring must not break the model
            log_failure("layers were not observed", error)


class Collected:
    """The signals of many calls, one call after the other."""

    def __init__(self) -> None:
        self._calls: list[Values] = []

    def add(self, values: Values) -> None:
        """Add the signals of one call."""
        self._calls.append(values)

    def columns(self, names: Sequence[str]) -> dict[str, Any]:
        """A NumPy column for each signal of the layers ``names``; NaN where a call did not run the layer."""
        import numpy as np

        signals = [signal for name in names for signal in signals_of(name)]
        return {
            signal: np.array([call.get(signal, np.nan) for call in self._calls], dtype=np.float64)
            for signal in signals
        }


def signals_of(name: str) -> tuple[str, ...]:
    """The signals of one layer."""
    return tuple(f"{name}/{signal}" for signal in SIGNALS)


def exporter_of(model: Any, exporter: ModelMetricsExporter | None) -> ModelMetricsExporter:
    """``exporter``, or that of a measured model; ValueError when there is none."""
    if exporter is not None:
        return exporter
    if not measured.is_measured(model):
        raise ValueError("exporter is required for a model that was not wrapped")
    return measured.exporter_of(model)


def sampled(exporter: ModelMetricsExporter, names: Sequence[str], every: int) -> Callable[[], bool]:
    """What takes one call in each ``every``; the exporter shows the ratio.

    ValueError when ``every`` is no such number or the exporter's baseline lacks a layer.
    """
    if not isinstance(every, int) or every < 1:
        raise ValueError(f"every must be a whole number from 1 on (got {every!r})")
    baseline = exporter.baseline
    fitted = {signal.name for signal in baseline.of_kind("activation")} if baseline else set()
    for name in names:
        if fitted.isdisjoint(signals_of(name)):
            raise ValueError(
                f"the baseline has no activation signals of layer {name!r}: "
                "fit them with Baseline.fit(activations=collect_layers(...))"
            )
    exporter.show_sampling_ratio("activation", 1 / every)
    return Sampler(every).take


def always() -> bool:
    """Every call is observed."""
    return True


def to_exporter(exporter: ModelMetricsExporter) -> Report:
    """What observes signals for the call that is being measured, else for the exporter's tenant."""

    def report(values: Values) -> None:
        call = exporter.current_call()
        if call is not None:
            call.activations(values)
        else:
            exporter.activations(values)

    return report


def named(names: Sequence[str], layers: Mapping[str, Layer]) -> dict[str, Layer]:
    """The layers of these names; ValueError lists close names for one that is unknown."""
    if isinstance(names, str) or not names:
        raise ValueError(f"names must be a list of at least one layer (got {names!r})")
    for name in names:
        if name not in layers:
            close = difflib.get_close_matches(str(name), layers, n=5, cutoff=0.4) or list(layers)[:5]
            raise ValueError(f"there is no layer {name!r}; close names: {', '.join(map(repr, close))}")
    return {name: layers[name] for name in names}


def _signals(names: Sequence[str], rows: Sequence[Sequence[float]]) -> dict[str, float]:
    """Signals of one call; of a layer that ran several times their mean."""
    runs: dict[str, list[Sequence[float]]] = {}
    for name, row in zip(names, rows, strict=True):
        runs.setdefault(name, []).append(row)
    return {
        signal: sum(values) / len(values)
        for name, rows_of_layer in runs.items()
        for signal, values in zip(signals_of(name), zip(*rows_of_layer, strict=True), strict=True)
    }
