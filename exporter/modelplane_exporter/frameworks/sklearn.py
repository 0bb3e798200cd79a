"""scikit-learn: measure an estimator or a pipeline, and whatever has its methods."""

from __future__ import annotations

from typing import Any

import sklearn
from sklearn.base import is_regressor

from modelplane_exporter.exporter import ModelMetricsExporter
from modelplane_exporter.frameworks.measured import Measured, Read, exporter_for
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


def wrap(
    estimator: Any,
    *,
    output: Output | None = None,
    exporter: ModelMetricsExporter | None = None,
    **options: Any,
) -> Measured:
    """Measure the inference methods of a fitted estimator or pipeline; the rest is as it was.

    They are ``predict``, ``predict_proba``, ``predict_log_proba``, ``decision_function``, ``score_samples``
    and ``transform``, as far as the estimator has them. Each call is a request, so call only one for each.
    Confidence comes from probabilities; with ``output="logits"`` also from ``decision_function``, which is
    sound for logistic regression. ``options`` are those of ModelMetricsExporter, unless an ``exporter`` is
    given; for a library with the same methods name its ``framework``. ValueError for bad options.
    """
    if output not in (None, "logits"):
        raise ValueError(
            f"output must be None or logits: it says what decision_function returns (got {output!r})"
        )
    exporter = exporter_for("sklearn", sklearn.__version__, exporter, options)
    outputs = {**_OUTPUTS, "decision_function": output}
    readers = {name: _read(name, of_method, estimator, exporter) for name, of_method in outputs.items()}
    return Measured(estimator, exporter, readers)


def _read(name: str, output: Output | None, estimator: Any, exporter: ModelMetricsExporter) -> Read:
    classes = getattr(estimator, "classes_", None)
    if isinstance(classes, list):  # several outputs, each with classes of its own
        classes = None
    reader = Reader(NUMPY, output, classes, exporter.baseline, regresses=_regresses(estimator))

    def read(args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> Reading:
        # Several outputs come as a list: no single confidence speaks for them.
        reading = reader.read(first_input(args, kwargs), None if isinstance(result, list) else result)
        return reading if output or name == "predict" else reading._replace(prediction=None)

    return read


def _regresses(estimator: Any) -> bool:
    try:
        return bool(is_regressor(estimator))
    except Exception:  # noqa: BLE001 - of a library with the same methods, which says nothing of itself
        return False
