"""What one finished call brings besides its times."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from numbers import Integral
from operator import add
from typing import Any

from modelplane_exporter.layout.calls import CELLS, CONFIDENCE
from modelplane_exporter.measurement import histogram
from modelplane_exporter.measurement.numbers_in import AT_ONCE, parts_of, to_float
from modelplane_schema.metrics import CONFIDENCE_TOLERANCE

MISSING, NOT_A_NUMBER = "confidence_missing", "confidence_not_a_number"
OUT_OF_RANGE, ITEMS_INVALID, TOKENS_INVALID = "confidence_out_of_range", "items_invalid", "tokens_invalid"


class Observation:
    """Everything a call observed that is more than one confidence; ``outcome`` indexes ``OUTCOMES``.

    ``items`` None means: one, or as many as there were confidences. Times are in seconds. Of a batch that is
    large, ``cells`` has the histogram of confidences already, laid out as those of a state: who settles the
    call holds up all others of its device, and must not have to sort them. ``was_paused`` says that not all
    of the call's time is to be charged, which no entry of a journal can tell.
    """

    __slots__ = (
        "cells", "confidences", "first_token", "invalid", "items", "outcome", "per_token", "tokens",
        "trace_id",
        "was_paused",
    )  # fmt: skip

    def __init__(self, outcome: int = 0) -> None:
        self.outcome = outcome
        self.confidences: Sequence[float] = ()
        self.cells: list[int] | None = None
        self.invalid: Counter[str] = Counter()
        self.items: int | None = None
        self.tokens: Mapping[str, int] = {}
        self.first_token: float | None = None
        self.per_token: float | None = None
        self.trace_id: str | None = None
        self.was_paused = False

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
            or self.cells is not None
            or self.was_paused
            or len(self.confidences) > 1
        ):
            return self
        return self.confidences[0] if self.confidences else None

    def add_confidence(self, value: object) -> None:
        """Take confidence from a number or a batch of any shape; what is not in [0, 1] counts as invalid."""
        for part in parts_of(value):
            accepted, invalid = split(part)
            self._take(accepted)
            self.invalid += invalid

    def take_from(self, other: Observation) -> None:
        """Add the confidences of another observation, and what was invalid in it."""
        self._take(other.confidences)
        if other.cells is not None:
            self.cells = list(map(add, self.cells or [0] * CELLS, other.cells))
        self.invalid += other.invalid

    @property
    def values(self) -> int:
        """How many confidences there are."""
        counted = 0 if self.cells is None else sum(self.cells[CONFIDENCE.start : CONFIDENCE.sum_cell])
        return counted + len(self.confidences)

    def _take(self, confidences: Sequence[float]) -> None:
        if len(self.confidences) + len(confidences) > AT_ONCE:
            cells = self.cells or [0] * CELLS
            histogram.count(cells, CONFIDENCE, self.confidences)
            self.cells, self.confidences = cells, confidences
        else:
            self.confidences = [*self.confidences, *confidences]

    def set_items(self, count: object) -> None:
        """Take the number of items; anything but a whole number from 0 on counts as invalid."""
        items = whole_number(count)
        if items is None:
            self.invalid[ITEMS_INVALID] += 1
        else:
            self.items = items

    def add_tokens(self, counts: Mapping[str, object]) -> None:
        """Take token counts by kind; a count that is not a whole number from 0 on counts as invalid."""
        total = dict(self.tokens)
        for kind, count in counts.items():
            tokens = whole_number(count)
            if tokens is None:
                self.invalid[TOKENS_INVALID] += 1
            else:
                total[kind] = total.get(kind, 0) + tokens
        self.tokens = total


NO_CONFIDENCE = Observation()
NO_CONFIDENCE.invalid[MISSING] = 1


def whole_number(value: object) -> int | None:
    """``value`` as an int when it is a whole number from 0 on that a float holds exactly; else None.

    A length or a sum of NumPy is one; a truth value is no number.
    """
    if type(value) is int:  # of the other types the check takes much longer
        number = value
    elif isinstance(value, Integral) and not isinstance(value, bool):
        number = int(value)
    else:
        return None
    return number if 0 <= number < 2**53 else None


def split(values: Sequence[Any]) -> tuple[Sequence[float], Counter[str]]:
    """The values that are confidences, clamped to [0, 1], and how many others there were by reason."""
    if values and set(map(type, values)) == {float}:
        total = sum(values)
        # A NaN makes the sum NaN; only without one do the extremes say something about all.
        if total == total and min(values) >= 0.0 and max(values) <= 1.0:
            return values, Counter()
    accepted, invalid = [], Counter[str]()
    for value in values:
        number = to_float(value)
        if number is None or math.isnan(number):
            invalid[NOT_A_NUMBER] += 1
        elif -CONFIDENCE_TOLERANCE <= number <= 1 + CONFIDENCE_TOLERANCE:
            accepted.append(min(max(number, 0.0), 1.0))
        else:
            invalid[OUT_OF_RANGE] += 1
    return accepted, invalid
