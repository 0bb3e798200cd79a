"""How one business value of one identity is laid out as integers; see ``layout``.

A sum counts ``BILLION`` to one and takes two cells, low and high, because revenue in a small currency leaves
64 bits. What is added and what is taken off, refunds for example, have a sum each: a counter must not fall.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from modelplane_exporter.layout.calls import BILLION
from modelplane_exporter.layout.signals import split_sums
from modelplane_exporter.layout.state import MetricSample
from modelplane_schema.identity import Identity
from modelplane_schema.metrics import (
    BUSINESS_VALUE_COUNT,
    BUSINESS_VALUE_NEGATIVE_SUM,
    BUSINESS_VALUE_SUM,
)

VALUE_METRICS = (BUSINESS_VALUE_COUNT, BUSINESS_VALUE_SUM, BUSINESS_VALUE_NEGATIVE_SUM)
VALUE_CELLS = 5


class ValueKey(NamedTuple):
    """Which business value of whom."""

    name: str
    identity: Identity


class ValueSnapshot(NamedTuple):
    """A copy of the state of one key; ``cells`` has ``VALUE_CELLS`` entries."""

    key: ValueKey
    cells: Sequence[int]


def value_cells(count: int, positive: int, negative: int) -> tuple[int, ...]:
    """The cells of a count, and of the sums of what is above and what is below 0 (without its sign)."""
    return (count, *split_sums((positive, negative)))


def value_samples(snapshot: ValueSnapshot) -> Iterator[MetricSample]:
    """What is exposed of one business value."""
    name, identity = snapshot.key
    count, *halves = snapshot.cells
    sums = [(low + (high << 64)) / BILLION for low, high in zip(halves[::2], halves[1::2], strict=True)]
    for metric, value in zip(VALUE_METRICS, (count, *sums), strict=True):
        yield MetricSample(metric, (*identity, name), value)
