"""ONNX Runtime: measure an ``InferenceSession``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime

from modelplane_exporter.exporter import ModelMetricsExporter
from modelplane_exporter.frameworks.measured import Measured, exporter_for, readers_of, require_methods
from modelplane_exporter.frameworks.numpy_arrays import NUMPY
from modelplane_exporter.frameworks.readings import Output, Reader, Reading

# How converters name the outputs of a classifier.
_PROBABILITIES = ("probabilities", "output_probability", "probability")
_LABELS = ("label", "output_label")

_HOUSEKEEPING = frozenset(("disable_fallback", "enable_fallback", "end_profiling", "io_binding"))


def wrap(
    session: onnxruntime.InferenceSession,
    *,
    output: Output | None = None,
    classes: Sequence[object] | None = None,
    methods: Sequence[str] = (),
    exporter: ModelMetricsExporter | None = None,
    **options: Any,
) -> Measured:
    """Measure every ``run`` of ``session``, and ``methods``; its other methods pass through unmeasured.

    ``run`` returns when the result is there, so latency holds all of the work. An output called
    probabilities, output_probability or probability gives confidence, as an array or as a list of mappings.
    Without one ``output`` says what the first output that is no label is. An output called label or
    output_label gives the signal "prediction" of the baseline; without one ``classes`` name the classes.
    ``options`` are those of ModelMetricsExporter, unless an ``exporter`` is given. ValueError for bad ones.
    """
    require_methods(session, methods)
    exporter = exporter_for("onnxruntime", onnxruntime.__version__, exporter, options)
    all_names = [described.name for described in session.get_outputs()]
    has_scores = output is not None or not set(_PROBABILITIES).isdisjoint(all_names)
    labelled = not has_scores or not set(_LABELS).isdisjoint(all_names)
    named = Reader(NUMPY, "probabilities", classes, exporter.baseline, labelled=labelled)
    other = Reader(NUMPY, output, classes, exporter.baseline, labelled=labelled)

    def read(args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> Reading:
        names, feed = _arguments(*args, **kwargs)
        results = dict(zip(names or all_names, result, strict=True))
        given = next(iter(feed.values())) if len(feed) == 1 else feed
        labels, probabilities = _named(results, _LABELS), _named(results, _PROBABILITIES)
        if probabilities is not None:
            reading = named.read(given, _array(probabilities))
        else:
            unlabelled = (value for name, value in results.items() if name not in _LABELS)
            reading = other.read(given, next(unlabelled, None))
        return reading._replace(prediction=labels) if named.predicts and labels is not None else reading

    others = readers_of(methods, Reader(NUMPY), lambda args, kwargs: None)
    return Measured(session, exporter, {**others, "run": read}, housekeeping=_HOUSEKEEPING)


def _arguments(
    output_names: Sequence[str] | None, input_feed: Mapping[str, Any], run_options: Any = None
) -> tuple[Sequence[str] | None, Mapping[str, Any]]:
    """The arguments of ``InferenceSession.run`` that name outputs and inputs."""
    return output_names, input_feed


def _named(results: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((results[name] for name in names if name in results), None)


def _array(probabilities: Any) -> Any:
    """Probabilities as an array; a ZipMap gives a list of mappings of classes to them."""
    if isinstance(probabilities, list):
        return np.array([list(row.values()) for row in probabilities])
    return probabilities
