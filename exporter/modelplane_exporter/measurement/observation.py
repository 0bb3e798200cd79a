"""What one finished call brings besides its times."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from modelplane_schema.metrics import CONFIDENCE_TOLERANCE

MISSING, NOT_A_NUMBER = "confidence_missing", "confidence_not_a_number"
OUT_OF_RANGE, ITEMS_INVALID, TOKENS_INVALID = "confidence_out_of_range", "items_invalid", "tokens_invalid"
TOO_MANY = "confidence_too_many"

# Sorting this many takes about 2 ms, the longest that one call may hold up others.
MAX_VALUES = 10_000


class Observation:
    """Everything a call observed that is more than one confidence; ``outcome`` indexes ``OUTCOMES``.

    ``items`` None means: one, or as many as there were confidences. Times are in seconds.
    """

    __slots__ = (
        "confidences", "first_token", "invalid", "items", "outcome", "per_token", "tokens", "trace_id",
    )  # fmt: skip

    def __init__(self, outcome: int = 0) -> None:
        self.outcome = outcome
        self.confidences: Sequence[float] = ()
        self.invalid: Counter[str] = Counter()
        self.items: int | None = None
        self.tokens: Mapping[str, int] = {}
        self.first_token: float | None = None
        self.per_token: float | None = None
        self.trace_id: str | None = None

    def reduced(self) -> Observation | float | None:
        """The same without an object of its own, where nothing but one confidence, or none, was observed."""
        if (
            self.outcome
            or self.invalid
            or self.items is not None
            or self.tokens
            or self.first_token is not None
            or self.per_token is not None
            or self.trace_id is not None
            or len(self.confidences) > 1
        ):
            return self
        return self.confidences[0] if self.confidences else None

    def add_confidence(self, value: object) -> None:
        """Take confidence from a number or a batch of any shape; what is not in [0, 1] counts as invalid."""
        try:
            leaves = numbers(value)
        except TooManyValuesError:
            self.invalid[TOO_MANY] += 1
            return
        accepted, invalid = split(leaves)
        self.confidences = [*self.confidences, *accepted]
        self.invalid += invalid

    def take_from(self, other: Observation) -> None:
        """Add the confidences of another observation, and what was invalid in it."""
        self.confidences = [*self.confidences, *other.confidences]
        self.invalid += other.invalid

    def set_items(self, count: object) -> None:
        """Take the number of items; anything but a whole number from 0 on counts as invalid."""
        if is_count(count):
            self.items = count
        else:
            self.invalid[ITEMS_INVALID] += 1

    def add_tokens(self, counts: Mapping[str, object]) -> None:
        """Take token counts by kind; a count that is not a whole number from 0 on counts as invalid."""
        total = dict(self.tokens)
        for kind, count in counts.items():
            if is_count(count):
                total[kind] = total.get(kind, 0) + count
            else:
                self.invalid[TOKENS_INVALID] += 1
        self.tokens = total


NO_CONFIDENCE = Observation()
NO_CONFIDENCE.invalid[MISSING] = 1


def is_count(value: object) -> TypeGuard[int]:
    """Whether ``value`` is a whole number from 0 on that a float holds exactly."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53


class TooManyValuesError(ValueError):
    """A batch holds more than ``MAX_VALUES`` values."""


def numbers(value: Any) -> Sequence[Any]:
    """The leaves of a number or a nested batch, without walking arrays and tensors one by one.

    TooManyValuesError before much time is spent on them.
    """
    if hasattr(value, "detach"):  # PyTorch: a tensor that is on a device or has a gradient
        value = value.detach().cpu()
    if hasattr(value, "numpy") and not hasattr(value, "tolist"):  # TensorFlow
        value = value.numpy()
    if hasattr(value, "tolist"):  # NumPy, PyTorch, JAX, array.array, pandas
        _check(math.prod(getattr(value, "shape", ())) if hasattr(value, "shape") else len(value))
        value = value.reshape(-1).tolist() if hasattr(value, "reshape") else value.tolist()
    if not isinstance(value, list | tuple):
        return (value,)
    _check(len(value))
    if any(isinstance(item, list | tuple) or hasattr(item, "tolist") for item in value):
        leaves: list[Any] = []
        for item in value:
            leaves += numbers(item)
            _check(len(leaves))
        return leaves
    return value


def _check(count: int) -> None:
    if count > MAX_VALUES:
        raise TooManyValuesError(f"more than {MAX_VALUES} values in one call")


def split(values: Sequence[Any]) -> tuple[Sequence[float], Counter[str]]:
    """The values that are confidences, clamped to [0, 1], and how many others there were by reason."""
    if values and set(map(type, values)) == {float}:
        total = sum(values)
        # A NaN makes the sum NaN; only without one do the extremes say something about all.
        if total == total and min(values) >= 0.0 and max(values) <= 1.0:
            return values, Counter()
    accepted, invalid = [], Counter[str]()
    for value in values:
        reason = _problem(value)
        if reason is None:
            accepted.append(min(max(float(value), 0.0), 1.0))
        else:
            invalid[reason] += 1
    return accepted, invalid


def _problem(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        return NOT_A_NUMBER
    if not -CONFIDENCE_TOLERANCE <= value <= 1 + CONFIDENCE_TOLERANCE:
        return OUT_OF_RANGE
    return None
