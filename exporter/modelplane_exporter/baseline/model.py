"""Signals in training data: frozen data that is checked. Needs nothing but Python."""

from __future__ import annotations

import math
import re
import sys
from dataclasses import dataclass
from typing import Any

from modelplane_schema.errors import UserError
from modelplane_schema.metrics import MAX_LABEL_LENGTH, MISSING_BIN, OTHER_BIN, SIGNAL_KINDS

MAX_BINS = 10
MAX_CATEGORIES = 20

_SURROGATE = re.compile("[\ud800-\udfff]")


class BaselineError(UserError, ValueError):
    """A baseline cannot be used; the text names the file or field and what is allowed."""


@dataclass(frozen=True, slots=True)
class NumericSignal:
    """A numeric signal in training data.

    ``edges`` are the inner edges of its bins, ascending: bin i holds ``edges[i-1] <= x < edges[i]``, the
    outer bins are open. ``ratios`` has the share of each bin and last that of missing values; ``centers`` the
    mean of each bin, None where it is empty. ``observations`` counts missing values too, ``mean`` and
    ``stddev`` (population) do not know them. ``is_time`` says that the values are seconds since 1970.
    """

    kind: str
    name: str
    edges: tuple[float, ...]
    centers: tuple[float | None, ...]
    ratios: tuple[float, ...]
    mean: float
    stddev: float
    observations: int
    is_time: bool = False

    @property
    def bins(self) -> tuple[str, ...]:
        """Values of the label ``bin``, in the order of ``ratios``."""
        return (*(f"{index:02d}" for index in range(len(self.edges) + 1)), MISSING_BIN)

    @property
    def upper_bounds(self) -> tuple[float, ...]:
        """The upper edge of each bin but the missing one; that of the last is infinite."""
        return (*self.edges, math.inf)

    @property
    def has_deviation(self) -> bool:
        """Whether a deviation from the mean can be given in standard deviations."""
        return self.stddev > 0


@dataclass(frozen=True, slots=True)
class CategoricalSignal:
    """A categorical signal in training data.

    ``categories`` are its most frequent values as texts; ``ratios`` has the share of each, then of all
    others, last of missing values. With ``hashed`` the categories are digests of the values.
    """

    kind: str
    name: str
    categories: tuple[str, ...]
    ratios: tuple[float, ...]
    observations: int
    hashed: bool = False

    @property
    def bins(self) -> tuple[str, ...]:
        """Values of the label ``bin``, in the order of ``ratios``."""
        return (*self.categories, OTHER_BIN, MISSING_BIN)


Signal = NumericSignal | CategoricalSignal


def check_signal(signal: Signal, place: str) -> None:
    """BaselineError unless the fields have their types and lengths."""
    place = f"{place} ({signal.name!r})"
    if signal.kind not in SIGNAL_KINDS:
        raise BaselineError(f"{place}: kind must be one of {', '.join(SIGNAL_KINDS)} (got {signal.kind!r})")
    if not is_text(signal.name):
        raise BaselineError(
            f"{place}: name must be a non-empty text of at most {MAX_LABEL_LENGTH} characters"
        )
    if type(signal.observations) is not int or not 1 <= signal.observations < 2**53:
        raise BaselineError(f"{place}: observations must be a whole number from 1 on")
    if isinstance(signal, NumericSignal):
        _check_numeric(signal, place)
    else:
        _check_categorical(signal, place)
    ratios = signal.ratios
    if not _are_numbers(ratios) or len(ratios) != len(signal.bins):
        raise BaselineError(f"{place}: ratios must have {len(signal.bins)} numbers, one for each bin")
    if min(ratios) < 0 or max(ratios) > 1 or abs(math.fsum(ratios) - 1) > 1e-9:
        raise BaselineError(f"{place}: ratios must be shares that add up to 1")


def _check_numeric(signal: NumericSignal, place: str) -> None:
    edges, centers = signal.edges, signal.centers
    if not _are_numbers(edges) or len(edges) >= MAX_BINS or list(edges) != sorted(set(edges)):
        raise BaselineError(f"{place}: edges must be up to {MAX_BINS - 1} ascending numbers")
    present = tuple(center for center in centers if center is not None) if type(centers) is tuple else None
    if not _are_numbers(present) or len(centers) != len(edges) + 1:
        raise BaselineError(f"{place}: centers must have {len(edges) + 1} numbers or nulls")
    if not _are_numbers((signal.mean, signal.stddev)) or signal.stddev < 0:
        raise BaselineError(f"{place}: mean and stddev must be numbers, stddev not negative")
    if type(signal.is_time) is not bool:
        raise BaselineError(f"{place}: is_time must be true or false")


def _check_categorical(signal: CategoricalSignal, place: str) -> None:
    categories = signal.categories
    are_texts = type(categories) is tuple and all(value == "" or is_text(value) for value in categories)
    if not are_texts or len(set(signal.bins)) < len(signal.bins) or len(categories) > MAX_CATEGORIES:
        raise BaselineError(
            f"{place}: categories must be up to {MAX_CATEGORIES} distinct texts other than {OTHER_BIN} and "
            f"{MISSING_BIN}, of at most {MAX_LABEL_LENGTH} characters"
        )
    if type(signal.hashed) is not bool:
        raise BaselineError(f"{place}: hashed must be true or false")


def _are_numbers(values: Any) -> bool:
    """Whether ``values`` is a tuple of numbers that are finite as floats."""
    largest = sys.float_info.max
    return type(values) is tuple and all(
        type(value) in (float, int) and -largest <= value <= largest for value in values
    )


def is_text(value: Any) -> bool:
    """Whether ``value`` can be that of a label: not empty, not too long, and without surrogates."""
    return isinstance(value, str) and 0 < len(value) <= MAX_LABEL_LENGTH and not _SURROGATE.search(value)
