"""What a model returns for its training data: the predictions that a baseline is fitted to. Needs NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelplane_exporter.baseline.model import BaselineError
from modelplane_exporter.baseline.values import category

# How far from 1 the probabilities of a row may add up: 16-bit floats round so.
_ROUNDING = 0.01


def predictions_of(model: Any, features: Any) -> Any:
    """One prediction for each row: of a classifier its classes as texts, else what the model returns.

    ``model`` has a method ``predict``, or is a function of the features, such as the method that the service
    calls. Of probabilities of shape (rows, classes) the likeliest class counts. BaselineError for anything
    else.
    """
    call = getattr(model, "predict", model)
    if not callable(call):
        raise BaselineError(f"model must have a method predict or be a function (got {type(model).__name__})")
    result = _on_host(call(features))
    classes = _classes(model)
    if result.ndim == 2 and result.shape[1] == 1:
        result = result[:, 0]
    if result.ndim == 2 and _are_probabilities(result):
        winners = result.argmax(axis=1)
        result = winners if classes is None else classes[winners]
        classes = result
    if result.ndim != 1:
        raise BaselineError(
            f"model must return one prediction for each row, or probabilities (got shape {result.shape}): "
            "give a function that does, such as model=lambda rows: model(rows).argmax(axis=1)"
        )
    if classes is None:
        return result
    # As texts, because whole numbers that are classes are no amounts, however many there are.
    return np.array([category(value) for value in result.tolist()], dtype=object)


def _on_host(result: Any) -> NDArray[Any]:
    if hasattr(result, "detach"):  # PyTorch: a tensor that is on a device or has a gradient
        result = result.detach().cpu()
    return np.asarray(result)


def _classes(model: Any) -> NDArray[Any] | None:
    """The classes of a classifier, also of one whose method the model is; None of another model."""
    classes = getattr(getattr(model, "__self__", model), "classes_", None)
    return None if classes is None or isinstance(classes, list) else np.asarray(classes)


def _are_probabilities(scores: NDArray[Any]) -> bool:
    if scores.dtype.kind != "f" or not scores.size:
        return False
    sums = scores.sum(axis=1, dtype=np.float64)
    return bool((scores >= 0).all() and (np.abs(sums - 1) <= _ROUNDING).all())
