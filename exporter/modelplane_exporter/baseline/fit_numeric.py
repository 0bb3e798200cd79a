"""Fitting one numeric signal in two passes over its values: moments and a sample, then exact bins.

The sample says where to cut; what lies on each side of a cut is counted over all values, so shares and means
of the bins are exact whatever the sample was. Needs NumPy.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from modelplane_exporter.baseline.model import MAX_BINS, BaselineError, NumericSignal

Numbers = NDArray[np.float64]

# Sums of squares of larger values overflow.
LARGEST = 1e140
# A fixed seed, so that the same data gives the same baseline.
_SEED = 20
# How far a guard edge is from the only value of an outer bin: beyond the rounding of 32-bit floats.
_GUARD = 1e-6
_GUARD_OF_ZERO = 1e-12


class Times(NamedTuple):
    """Times as seconds since 1970, NaN where missing."""

    seconds: Numbers


class Moments:
    """Count, mean and standard deviation of all values so far.

    Parallel update of Chan, Golub and LeVeque (1983). The mean is stored as an offset from the first value:
    where it is a million times the spread, its own rounding and that of the sum would show.
    """

    def __init__(self) -> None:
        self.count = 0
        self._origin = self._offset = self._squares = 0.0

    @property
    def mean(self) -> float:
        """Mean of the values."""
        return self._origin + self._offset

    @property
    def stddev(self) -> float:
        """Population standard deviation of the values."""
        return math.sqrt(self._squares / self.count)

    def add(self, values: Numbers) -> None:
        """Add finite values, at least one."""
        if not self.count:
            self._origin = float(values[0])
        offsets = values - self._origin
        offset = float(offsets.mean())
        deviations = offsets - offset
        rest = float(deviations.mean())  # what rounding left in the first mean
        squares = max(0.0, float(np.square(deviations).sum()) - len(values) * rest**2)
        total = self.count + len(values)
        gap = offset + rest - self._offset
        self._squares += squares + gap**2 * self.count * (len(values) / total)
        self._offset += gap * (len(values) / total)
        self.count = total


class Sample:
    """All values while they are at most ``2 * size``, else ``size`` of them, each with the same chance.

    Every value draws a random key and the smallest keys stay: which they are does not depend on how the
    values came in chunks.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._random = np.random.default_rng(_SEED)
        self._limit = 1.0  # keys are below 1
        self._values: list[Numbers] = []
        self._keys: list[Numbers] = []
        self._count = 0

    def add(self, values: Numbers) -> None:
        """Offer values to the sample."""
        keys = self._random.random(len(values))
        if self._limit < 1:
            chosen = keys < self._limit
            values, keys = values[chosen], keys[chosen]
        self._values.append(values)
        self._keys.append(keys)
        self._count += len(values)
        if self._count > 2 * self._size:
            self._shrink()

    def sorted(self) -> Numbers:
        """The sampled values, ascending."""
        if self._limit < 1 and self._count > self._size:
            self._shrink()
        return np.sort(np.concatenate(self._values))

    def _shrink(self) -> None:
        keys = np.concatenate(self._keys)
        chosen = np.argpartition(keys, self._size - 1)[: self._size]
        self._values = [np.concatenate(self._values)[chosen]]
        self._keys = [keys[chosen]]
        self._limit = float(self._keys[0].max())
        self._count = self._size


class _Bin(NamedTuple):
    """What training data one bin holds; ``offsets`` is the sum of value minus mean."""

    size: int = 0
    offsets: float = 0.0
    lowest: float = math.inf
    highest: float = -math.inf

    def plus(self, values: Numbers, mean: float) -> _Bin:
        """The bin with more values, which are ascending."""
        if not len(values):
            return self
        return _Bin(
            self.size + len(values),
            self.offsets + float((values - mean).sum()),
            min(self.lowest, float(values[0])),
            max(self.highest, float(values[-1])),
        )

    def center(self, mean: float) -> float:
        """Mean of the bin's values; rounding must not carry it out of their range."""
        return min(max(mean + self.offsets / self.size, self.lowest), self.highest)


class NumericFit:
    """The fit of one signal: ``survey`` all values, ``settle``, ``count`` them all again, take ``signal``.

    Values are numbers or times; those that are not finite are missing. BaselineError when no value is finite
    or one is too large.
    """

    def __init__(self, kind: str, name: str, sample_size: int) -> None:
        self._kind, self._name = kind, name
        self._observations = 0
        self._is_time = False
        self._moments = Moments()
        self._sample = Sample(sample_size)
        self._cuts: Numbers = np.empty(0)
        self._bins: list[_Bin] = []

    @property
    def is_empty(self) -> bool:
        """Whether there was no value in the first pass."""
        return not self._moments.count

    def survey(self, values: Numbers | Times) -> None:
        """Take values in the first pass."""
        if isinstance(values, Times):
            self._is_time, values = True, values.seconds
        finite = values[np.isfinite(values)]
        self._observations += len(values)
        if not len(finite):
            return
        largest = float(np.abs(finite).max())
        if largest > LARGEST:
            raise BaselineError(
                f"{self._kind} {self._name!r}: values must be between -{LARGEST:g} and {LARGEST:g} "
                f"(got {largest:g})"
            )
        self._moments.add(finite)
        self._sample.add(finite)

    def settle(self) -> None:
        """Decide between which values to cut, after the first pass."""
        if self.is_empty:
            raise BaselineError(
                f"{self._kind} {self._name!r}: has no finite number in {self._observations:,} rows; "
                "leave it out"
            )
        self._cuts = decile_cuts(self._sample.sorted())
        self._bins = [_Bin()] * (len(self._cuts) + 1)
        del self._sample  # it may be large, and other signals need memory too

    def count(self, values: Numbers | Times) -> None:
        """Take values in the second pass."""
        numbers = values.seconds if isinstance(values, Times) else values
        ascending = np.sort(numbers[np.isfinite(numbers)])
        stops = [0, *np.searchsorted(ascending, self._cuts).tolist(), len(ascending)]
        self._bins = [
            bin_.plus(ascending[start:stop], self._moments.mean)
            for bin_, (start, stop) in zip(self._bins, pairwise(stops), strict=True)
        ]

    def signal(self) -> NumericSignal:
        """The signal, after the second pass."""
        counts = [bin_.size for bin_ in self._bins]
        if sum(counts) != self._moments.count or not all(counts):
            raise BaselineError(f"{self._kind} {self._name!r}: the data changed while it was read")
        edges = [midpoint(below.highest, above.lowest) for below, above in pairwise(self._bins)]
        centers: list[float | None] = [bin_.center(self._moments.mean) for bin_ in self._bins]
        first, last = self._bins[0], self._bins[-1]
        if len(counts) < MAX_BINS and first.lowest == first.highest:
            edges.insert(0, first.lowest - _margin(first.lowest))
            centers.insert(0, None)
            counts.insert(0, 0)
        if len(counts) < MAX_BINS and last.lowest == last.highest:
            edges.append(last.highest + _margin(last.highest))
            centers.append(None)
            counts.append(0)
        counts.append(self._observations - self._moments.count)
        return NumericSignal(
            kind=self._kind,
            name=self._name,
            edges=tuple(edges),
            centers=tuple(centers),
            ratios=tuple(count / self._observations for count in counts),
            mean=self._moments.mean,
            stddev=self._moments.stddev,
            observations=self._observations,
            is_time=self._is_time,
        )


def decile_cuts(ascending: Numbers) -> Numbers:
    """The smallest value above each cut, ascending.

    For each decile the cut between distinct values below which the share of values is nearest to the
    decile, the lower of two that are equally near. There are fewer than 9 when deciles fall together.
    """
    distinct, counts = np.unique(ascending, return_counts=True)
    if len(distinct) == 1:
        return np.empty(0)
    # In tenths of a value, to compare whole numbers.
    below = np.cumsum(counts)[:-1] * MAX_BINS
    deciles = len(ascending) * np.arange(1, MAX_BINS)
    right = np.searchsorted(below, deciles).clip(max=len(below) - 1)
    left = (right - 1).clip(min=0)
    nearest = np.where(abs(deciles - below[left]) <= abs(below[right] - deciles), left, right)
    cuts: Numbers = distinct[np.unique(nearest) + 1]
    return cuts


def midpoint(below: float, above: float) -> float:
    """The number half way between two others; of neighbouring floats the upper one."""
    middle = below + (above - below) / 2
    return middle if below < middle else above


def _margin(value: float) -> float:
    # The product is 0 for the smallest floats too.
    return _GUARD * abs(value) or _GUARD_OF_ZERO
