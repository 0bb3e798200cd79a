"""Types of NumPy arrays, and numbers for things that are no numbers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from itertools import count
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
T = TypeVar("T")
_NONE = np.array(None)


def nullable(values: FloatArray) -> list[Any]:
    """``values`` as lists of floats, None where one is not finite."""
    is_finite = np.isfinite(values)
    numbers: list[Any] = (values if is_finite.all() else np.where(is_finite, values, _NONE)).tolist()
    return numbers


def numbered(
    values: Iterable[T], length: int, order: Callable[[T], Any] = lambda value: value
) -> tuple[dict[T, int], IntArray]:
    """The distinct ``values`` with their numbers in the order of ``order``, and the number of each value.

    Looked up as they come, so that not all values are there at once: a list of them takes half as long again.
    """
    first = defaultdict[T, int](count().__next__)
    firsts = np.fromiter(map(first.__getitem__, values), np.int64, length)
    distinct = list(first)
    ranks = {value: rank for rank, value in enumerate(sorted(distinct, key=order))}
    return ranks, np.array([ranks[value] for value in distinct], np.int64)[firsts]
