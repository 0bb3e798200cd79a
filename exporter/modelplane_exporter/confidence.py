"""Read confidence values out of whatever an inference function returns."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any, NamedTuple

from modelplane_schema.metrics import CONFIDENCE_TOLERANCE


class Reading(NamedTuple):
    """Values in [0, 1] that can be observed, and how many others there were by reason."""

    values: list[float]
    invalid: Counter[str]


def from_result(result: object, key: str) -> Reading:
    """Confidence under ``key`` of a returned mapping; a result without it is one ``confidence_missing``."""
    if not isinstance(result, Mapping) or key not in result:
        return Reading([], Counter(confidence_missing=1))
    return read(result[key])


def read(value: object) -> Reading:
    """Confidence from a number or a batch: list, tuple, NumPy array or framework tensor of any shape."""
    reading = Reading([], Counter())
    for number in _numbers(value):
        reason = _problem(number)
        if reason:
            reading.invalid[reason] += 1
        else:
            reading.values.append(min(max(float(number), 0.0), 1.0))
    return reading


def _problem(number: Any) -> str | None:
    if isinstance(number, bool) or not isinstance(number, int | float) or math.isnan(number):
        return "confidence_not_a_number"
    if not -CONFIDENCE_TOLERANCE <= number <= 1 + CONFIDENCE_TOLERANCE:
        return "confidence_out_of_range"
    return None


def _numbers(value: Any) -> Iterator[Any]:
    """The leaves of nested batches."""
    if hasattr(value, "tolist"):  # NumPy, PyTorch, JAX
        value = value.tolist()
    elif hasattr(value, "numpy"):  # TensorFlow
        value = value.numpy().tolist()
    if isinstance(value, Sequence | Set) and not isinstance(value, str | bytes):
        for item in value:
            yield from _numbers(item)
    else:
        yield value
