"""scikit-learn: measure an estimator or a pipeline, and whatever has its methods."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sklearn
from sklearn.base import BaseEstimator

from modelplane_exporter.exporter import ModelMetricsExporter
from modelplane_exporter.frameworks.measured import Measured, Read, exporter_for, readers_of, require_methods
from modelplane_exporter.frameworks.numpy_arrays import NUMPY
from modelplane_exporter.frameworks.readings import Output, Reader, Reading, first_input

# What each method returns. The logarithm of probabilities goes through softmax as logits do.
_OUTPUTS: dict[str, Output | None] = {
    "predict": None,
    "predict_proba": "probabilities",
    "predict_log_proba": "logits",
    "decision_function": None,
    "score_samples": None,
    "transform": None,
}

_HOUSEKEEPING = frozenset(dir(BaseEstimator)) | {"densify", "sparsify"}


def wrap(
    estimator: Any,
    *,
    output: Output | None = None,
    methods: Sequence[str] = (),
    exporter: ModelMetricsExporter | None = None,
    **options: Any,
) -> Measured:
    """Measure the inference methods of a fitted estimator or pipeline; the rest is as it was.

    They are ``predict``, ``predict_proba``, ``predict_log_proba``, ``decision_function``, ``score_samples``
    and ``transform``, as far as the estimator has them. Each call is a request, so call only one for each.
    Confidence comes from probabilities; with ``output="logits"`` also from ``decision_function``, which is
    sound for logistic regression. ``methods`` are measured too, each call with its items. ``options`` are
    those of ModelMetricsExporter, unless an ``exporter`` is given; for a library with the same methods name
    its ``framework``. ValueError for bad options.
    """
    if output not in (None, "logits"):
        raise ValueError(
            f"output must be None or logits: it says what decision_function returns (got {output!r})"
        )
    require_methods(estimator, methods)
    exporter = exporter_for("sklearn", sklearn.__version__, exporter, options)
    outputs = {**_OUTPUTS, "decision_function": output}
    classes = getattr(estimator, "classes_", None)
    readers = {name: _read(name, of_method, classes, exporter) for name, of_method in outputs.items()}

    readers = {
        **readers_of(methods, Reader(NUMPY, baseline=exporter.baseline), first_input),
        **readers,
    }
    return Measured(estimator, exporter, readers, housekeeping=_HOUSEKEEPING)


def _read(name: str, output: Output | None, classes: Any, exporter: ModelMetricsExporter) -> Read:
    reader = Reader(NUMPY, output, classes, exporter.baseline)

    def read(args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> Reading:
        # Several outputs come as a list: no single confidence speaks for them.
        reading = reader.read(first_input(args, kwargs), None if isinstance(result, list) else result)
        return reading if output or name == "predict" else reading._replace(prediction=None)

    return read
