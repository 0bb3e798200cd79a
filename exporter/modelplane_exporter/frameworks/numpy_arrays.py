"""NumPy's arrays, for frameworks whose results are on the host."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelplane_exporter.frameworks import readings
from modelplane_exporter.frameworks.readings import Arrays, Output

Array = NDArray[Any]


def _confidence(scores: Array, output: Output) -> Array:
    # Infinite scores give NaN, which the exporter counts, and e to the power of -inf is 0: no warning is due.
    with np.errstate(invalid="ignore", over="ignore"):
        confidence: Array = readings.confidence(np, _wide(scores), output)
    return confidence


def _winner(scores: Array, output: Output) -> Array:
    winner: Array = readings.winner(np, scores, output)
    return winner


def _wide(scores: Array) -> Array:
    return scores.astype(np.float32) if scores.dtype == np.float16 else scores


NUMPY = Arrays(lambda value: isinstance(value, np.ndarray), _confidence, _winner, lambda array: array)
