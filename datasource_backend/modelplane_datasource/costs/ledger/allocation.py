"""The balance of one device in each cell, in whole micro-units.

Arrays of charges are (identities, cells), all others (cells,).
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from modelplane_datasource.timeline.arrays import BoolArray, IntArray

MICRO = 1_000_000

IdlePolicy = Literal["keep", "proportional", "even"]
SharedPolicy = Literal["keep", "scale"]
IDLE_POLICIES: tuple[str, ...] = get_args(IdlePolicy)
SHARED_POLICIES: tuple[str, ...] = get_args(SharedPolicy)

_LARGEST_PRODUCT = 2.0**62
_LARGEST = 2**53  # floats are exact up to here


class Balance(NamedTuple):
    """``direct.sum(axis=0) + idle + unknown - over == capacity``, exactly; none is negative."""

    direct: IntArray
    idle: IntArray
    unknown: IntArray
    over: IntArray
    capacity: IntArray


def whole(values: npt.NDArray[np.float64]) -> IntArray:
    """``values`` rounded to integers; ValueError above 2**53, where floats stop being exact."""
    rounded = np.rint(values)
    if np.any(rounded > _LARGEST):
        raise ValueError(f"a cell must hold at most {_LARGEST} micro-units (got {rounded.max():g})")
    return rounded.astype(np.int64)


def balanced(direct: IntArray, unknown: IntArray, capacity: IntArray) -> Balance:
    """Over is what is charged above the capacity; of what is left ``unknown`` at most is unknown.

    The rest is idle. So what hides the use of one process does not make the use of others over.
    """
    left = capacity - direct.sum(axis=0)
    room = np.maximum(left, 0)
    nobodys = np.minimum(unknown, room)
    return Balance(direct, room - nobodys, nobodys, np.maximum(-left, 0), capacity)


def apportioned(total: IntArray, weights: IntArray) -> IntArray:
    """``total`` in parts proportional to ``weights`` (parts, ...), which add up to it exactly.

    Each part is its share rounded down, and what is left goes to the largest remainders, one unit each (the
    method of the largest remainder); of equal ones the first come first. Weights may be negative, their sum
    not; where it is 0 all parts are 0.
    """
    everything = weights.sum(axis=0)
    divisor = np.maximum(everything, 1)
    times, rest = np.divmod(np.where(everything > 0, total, 0), divisor)
    largest = float(rest.max(initial=0)) * float(np.abs(weights).max(initial=0))
    exact = weights if largest < _LARGEST_PRODUCT else weights.astype(object)
    shares = exact * rest
    parts = (shares // divisor).astype(np.int64) + times * weights
    remainders = (shares % divisor).astype(np.int64)
    left = np.where(everything > 0, total - parts.sum(axis=0), 0)
    return np.where(everything > 0, parts + _largest(remainders, left), 0)


def _largest(values: IntArray, count: IntArray) -> BoolArray:
    """Which are the ``count`` (...) largest of ``values`` (values, ...); of equal ones the first.

    ``count`` is smaller than the number of values. Sorting their places in a stable order would take nine
    times as long as sorting the values, of which one says what is above it.
    """
    descending = np.sort(values, axis=0)[::-1]
    left_out = np.take_along_axis(descending, count[None], axis=0)
    above, equal = values > left_out, values == left_out
    largest: BoolArray = above | equal & (np.cumsum(equal, axis=0) <= count - above.sum(axis=0))
    return largest


def money_balance(amounts: IntArray, time: Balance) -> Balance:
    """What each part of ``time`` costs, when ``amounts`` (cells,) are the cost of the capacity, or of all use
    where there is none."""
    leaves = np.vstack((time.direct, time.idle, time.unknown, np.where(time.capacity > 0, -time.over, 0)))
    *direct, idle, unknown, over = apportioned(amounts, leaves)
    is_there = time.capacity > 0
    return Balance(
        np.array(direct, dtype=np.int64).reshape(time.direct.shape),
        idle,
        unknown,
        np.where(is_there, -over, amounts),
        np.where(is_there, amounts, 0),
    )


def scaled(direct: IntArray, capacity: IntArray, shared: BoolArray) -> IntArray:
    """``direct`` scaled down to the capacity in the ``shared`` cells in which it is above it.

    A device without capacity is not scaled, for that would make its use free.
    """
    if not len(direct):
        return direct
    above = shared & (direct.sum(axis=0) > capacity) & (capacity > 0)
    return np.where(above, apportioned(capacity, direct), direct)


def idle_shares(idle: IntArray, direct: IntArray, present: BoolArray, policy: IdlePolicy) -> IntArray:
    """What each identity takes of ``idle``: in proportion to its use, or the same for each that was present,
    whether it was called or not. Where nobody has a weight idle stays idle."""
    if policy == "keep" or not len(direct):
        return np.zeros_like(direct)
    return apportioned(idle, direct if policy == "proportional" else present.astype(np.int64))
