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

    Parts are differences of the rounded running total, so none is negative and none is more than one
    micro-unit away from its exact share. Where all weights are 0 all parts are 0.
    """
    running = np.cumsum(weights, axis=0)
    everything = running[-1:].astype(np.float64)
    reached = np.divide(running, everything, out=np.zeros(weights.shape), where=everything > 0)
    parts = np.rint(reached * total).astype(np.int64)
    parts[1:] -= parts[:-1].copy()
    return parts


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
