"""The data of Prometheus' answers, by call: what is not of these types is no answer.

What is read here and written anew has no other keys than these, and each label once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import chain
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from modelplane_datasource.prometheus.decoding import Envelope, ResponseType, packed_points
from modelplane_datasource.prometheus.native_histograms import HistogramPoint

Number = int | float  # a time stays as it is written
Labels = dict[str, str]
Point = tuple[Number, str]


class Sample(msgspec.Struct, kw_only=True):
    """A series at one time."""

    metric: Labels
    value: Point | UnsetType = UNSET
    histogram: HistogramPoint | UnsetType = UNSET

    def numbers(self) -> Iterator[str]:
        """The texts that have to be numbers."""
        if not isinstance(self.value, UnsetType):
            yield self.value[1]
        if not isinstance(self.histogram, UnsetType):
            yield from self.histogram[1].texts


class Samples(msgspec.Struct, kw_only=True):
    """A series at several times.

    ``values`` stay the JSON of a list of points: to read and write each takes four times as long.
    """

    metric: Labels
    values: msgspec.Raw | UnsetType = UNSET
    histograms: list[HistogramPoint] | UnsetType = UNSET

    def numbers(self) -> Iterator[str]:
        """The texts that have to be numbers, those of ``values`` aside."""
        if not isinstance(self.histograms, UnsetType):
            for _, histogram in self.histograms:
                yield from histogram.texts


class VectorResult(msgspec.Struct, tag_field="resultType", tag="vector"):
    result: list[Sample]

    def numbers(self) -> Iterator[str]:
        """The texts that have to be numbers."""
        return chain.from_iterable(series.numbers() for series in self.result)


class MatrixResult(msgspec.Struct, tag_field="resultType", tag="matrix"):
    result: list[Samples]

    @property
    def points(self) -> bytes:
        """The JSON of the values of all series as one list."""
        texts = [bytes(series.values) for series in self.result if not isinstance(series.values, UnsetType)]
        if not all(text.startswith(b"[") for text in texts):
            raise ValueError("values are no list")
        return b"[%b]" % b",".join([points for text in texts if (points := text[1:-1].strip())])

    def numbers(self) -> Iterator[str]:
        """The texts that have to be numbers, those of ``points`` aside."""
        return chain.from_iterable(series.numbers() for series in self.result)


class ScalarResult(msgspec.Struct, tag_field="resultType", tag="scalar"):
    result: Point

    def numbers(self) -> Iterator[str]:
        """The texts that have to be numbers."""
        return iter(self.result[1:])


class StringResult(msgspec.Struct, tag_field="resultType", tag="string"):
    """Any text: a query that is nothing but a string literal."""

    result: Point

    def numbers(self) -> Iterator[str]:
        """No text has to be a number."""
        return iter(())


QueryResult = VectorResult | MatrixResult | ScalarResult | StringResult


class Exemplar(msgspec.Struct):
    labels: Labels
    value: Number | str
    timestamp: Number | UnsetType = UNSET


class ExemplarSeries(msgspec.Struct, rename="camel"):
    series_labels: Labels
    exemplars: list[Exemplar]


Texts = list[str]
Object = dict[str, Any]

QUERY_RESULT = ResponseType("the result of a query", msgspec.json.Decoder(Envelope[QueryResult]))
EXEMPLARS = ResponseType("a list of exemplars", msgspec.json.Decoder(Envelope[list[ExemplarSeries]]))
OBJECT = ResponseType("an object", msgspec.json.Decoder(Envelope[Object]))


def has_numbers(result: QueryResult) -> bool:
    """Whether each value of a result is a number, NaN and infinity included."""
    try:
        deque(map(float, result.numbers()), maxlen=0)
        if isinstance(result, MatrixResult):
            packed_points(result.points)
    except ValueError:
        return False
    return True
