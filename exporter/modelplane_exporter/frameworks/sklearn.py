"""scikit-learn: measure an estimator or a pipeline, and whatever has its methods."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import sklearn
from sklearn.base import BaseEstimator, is_regressor

from modelplane_exporter.exporter import ModelMetricsExporter
from modelplane_exporter.frameworks.measured import Measured, Read, exporter_for, readers_of, require_methods
from modelplane_exporter.frameworks.numpy_arrays import NUMPY
from modelplane_exporter.frameworks.readings import Output, Reader, Reading, first_input

# What each method returns, of predict_log_proba after the exponential.
_OUTPUTS: dict[str, Output | None] = {
    "predict": None,
    "predict_proba": "probabilities",
    "predict_log_proba": "probabilities",
    "decision_function": None,
    "score_samples": None,
    "transform": None,
}

_HOUSEKEEPING = frozenset(dir(BaseEstimator)) | {"densify", "sparsify"}


def wrap(
    estimator: Any,
    *,
    output: Literal["logits", "multilabel"] | None = None,
    methods: Sequence[str] = (),
    exporter: ModelMetricsExporter | None = None,
    **options: Any,
) -> Measured:
    """Measure the inference methods of a fitted estimator or pipeline; the rest is as it was.

    They are ``predict``, ``predict_proba``, ``predict_log_proba``, ``decision_function``, ``score_samples``
    and ``transform``, as far as the estimator has them. Each call is a request, so call only one for each.
    Confidence comes from probabilities; with ``output="logits"`` also from ``decision_function``, which is
    sound for logistic regression. Of several labels or outputs there is no single confidence: such a call
    counts as ``confidence_ambiguous``, unless ``output="multilabel"`` says that it is meant. ``methods`` are
    measured too, each call with its items. ``options`` are
    those of ModelMetricsExporter, unless an ``exporter`` is given; for a library with the same methods name
    its ``framework``. ValueError for bad options.
    """
    if output not in (None, "logits", "multilabel"):
        raise ValueError(
            "output must be None, logits (decision_function returns them) or multilabel (predict_proba "
            f"returns independent probabilities, of which none is the confidence) (got {output!r})"
        )
    require_methods(estimator, methods)
    exporter = exporter_for("sklearn", sklearn.__version__, exporter, options)
    outputs: dict[str, Output | None] = dict.fromkeys(_OUTPUTS)
    if output != "multilabel":
        outputs = {**_OUTPUTS, "decision_function": output}
    readers = {
        **readers_of(methods, Reader(NUMPY, baseline=exporter.baseline), first_input),
        **{name: _read(estimator, name, of_method, exporter) for name, of_method in outputs.items()},
    }
    return Measured(estimator, exporter, readers, housekeeping=_HOUSEKEEPING)


def _read(estimator: Any, name: str, output: Output | None, exporter: ModelMetricsExporter) -> Read:
    classes = getattr(estimator, "classes_", None)
    if isinstance(classes, list):  # several outputs, each with classes of its own
        classes = None
    reader = Reader(NUMPY, output, classes, exporter.baseline, regresses=_regresses(estimator))
    without = Reader(NUMPY, None, None, exporter.baseline)

    def read(args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> Reading:
        given = first_input(args, kwargs)
        if output and (isinstance(result, list) or _has_several_labels(estimator)):
            return without.read(given, None)._replace(is_ambiguous=True)
        if name == "predict_log_proba":
            result = np.exp(result)
        # Several outputs come as a list: no single prediction speaks for them.
        reading = reader.read(given, None if isinstance(result, list) else result)
        return reading if output or name == "predict" else reading._replace(prediction=None)

    return read


def _regresses(estimator: Any) -> bool:
    try:
        return bool(is_regressor(estimator))
    except Exception:  # noqa: BLE001 - of a library with the same methods, which says nothing of itself
        return False


def _has_several_labels(estimator: Any) -> bool:
    """Whether a fitted estimator says that its probabilities are those of several labels.

    Those of a row may sum to 1 by chance: a tree's are 0 or 1.
    """
    fitted = getattr(estimator, "best_estimator_", estimator)  # of a search
    steps = getattr(fitted, "steps", None)
    if steps:  # of a pipeline
        return _has_several_labels(steps[-1][1])
    is_network = getattr(fitted, "out_activation_", None) == "logistic" and fitted.n_outputs_ > 1
    several = isinstance(getattr(fitted, "classes_", None), list) or getattr(fitted, "multilabel_", False)
    return bool(several or is_network)
