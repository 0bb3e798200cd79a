"""Values of series as JSON: the way from the bytes of Prometheus to the bytes of a response.

Prometheus writes numbers as JSON does, so most of them reach the reader of a response as the text that they
came as. To make floats of them and texts of these takes more than half of a short answer's time, and a
mapping for each point ten times as long as the templates here. Only this module knows of the texts: for
others a column is a sequence of numbers, and an array of points is a piece of JSON.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import overload

import msgspec
import numpy as np
import orjson

from modelplane_datasource.timeline.arrays import FloatArray
from modelplane_datasource.timeline.grid import Grid

Number = float | None
Numbers = tuple[Number, ...]
Texts = Sequence[bytes]  # one for each point

# The panels of a board have the same times. The marks of 11,000 points take 0.6 MB, a template 0.4 MB.
_CACHED_MARKS, _CACHED_TEMPLATES = 4, 8

POINTS = msgspec.json.Decoder(list[tuple[float, str]])
_NUMBERS = msgspec.json.Decoder(Numbers)
_FLOATS = msgspec.json.Decoder(list[float])
_VALID = msgspec.json.Decoder(msgspec.Raw)  # checks JSON and makes nothing of it


class JsonColumn(Sequence[Number]):
    """Finite numbers, None where there is none; equal to any sequence of the same values."""

    __slots__ = ("_joined", "_numbers", "_texts")

    def __init__(self, joined: bytes | None) -> None:
        """``joined`` are JSON numbers that a float can hold, or null, with commas between them."""
        self._joined = joined
        self._texts: Texts | None = None
        self._numbers: Numbers | None = None

    @classmethod
    def of_texts(cls, texts: Texts) -> JsonColumn:
        """The column of JSON numbers that a float can hold, or null."""
        column = cls(None)
        column._texts = texts
        return column

    @classmethod
    def of(cls, numbers: Sequence[Number]) -> JsonColumn:
        """The column of ``numbers``; what is not finite becomes None."""
        return cls(orjson.dumps(numbers)[1:-1])

    @property
    def texts(self) -> Texts:
        """Each value as JSON."""
        if self._texts is None:
            self._texts = self._joined.split(b",") if self._joined else ()
        return self._texts

    @property
    def numbers(self) -> Numbers:
        """The values; they are read once."""
        if self._numbers is None:
            joined = b",".join(self.texts) if self._joined is None else self._joined
            self._numbers = _NUMBERS.decode(b"[%b]" % joined)
        return self._numbers

    def __len__(self) -> int:
        return len(self.texts)

    def __iter__(self) -> Iterator[Number]:
        return iter(self.numbers)

    @overload
    def __getitem__(self, place: int) -> Number: ...
    @overload
    def __getitem__(self, place: slice) -> Numbers: ...
    def __getitem__(self, place: int | slice) -> Number | Numbers:
        return self.numbers[place]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self.numbers == tuple(other)

    def __hash__(self) -> int:
        return hash(self.numbers)

    def __repr__(self) -> str:
        return f"JsonColumn.of({self.numbers!r})"


def columns_of(rows: FloatArray) -> list[JsonColumn]:
    """The column of each row; what is not finite becomes None."""
    text = orjson.dumps(np.ascontiguousarray(rows), option=orjson.OPT_SERIALIZE_NUMPY)
    return [JsonColumn(joined) for joined in text[2:-2].split(b"],[")] if len(rows) else []


def read_column(points: bytes, grid: Grid) -> JsonColumn:
    """The values of ``[[1698400740,"0.5"],...]`` at the times of ``grid``; ValueError for other times."""
    column = _column_as_written(points, grid)
    return JsonColumn.of(_numbers_by_time(points, grid)) if column is None else column


def array_of(values: Sequence[Number]) -> orjson.Fragment:
    """``values`` as a JSON array."""
    return orjson.Fragment(b"[%b]" % b",".join(texts_of(values)))


def array_of_points(times: range, before: bytes, after: bytes, columns: Sequence[Texts]) -> orjson.Fragment:
    """A JSON array of points: ``before``, a time, ``after``.

    ``%b`` in ``before`` and ``after`` stand for the point's text in each of the ``columns``; what is a
    percent sign there is doubled.
    """
    return orjson.Fragment(_template(times, before, after) % tuple(_point_by_point(columns)))


def array_of_texts(columns: Sequence[Texts]) -> orjson.Fragment:
    """A JSON array of points, each of them its texts in all ``columns``; the last text ends with a comma."""
    return orjson.Fragment(b"[" + b"".join(_point_by_point(columns))[:-1] + b"]")


def texts_of(values: Sequence[Number]) -> Texts:
    """Each of the ``values`` as JSON."""
    return (values if isinstance(values, JsonColumn) else JsonColumn.of(values)).texts


def _column_as_written(points: bytes, grid: Grid) -> JsonColumn | None:
    """The texts of finite numbers and NaN that stand at successive times of ``grid``, else None.

    The text is cut at its quotes: what lies between the values has to be the times of the grid.
    """
    parts = points.split(b'"')
    marks, values = parts[::2], parts[1::2]
    numbers = [value for value in values if value != b"NaN"] if b"NaN" in points else values
    expected, start = _marks(grid.times), b"]," + marks[0][1:]
    if start not in expected or not _are_finite(numbers):
        return None
    first = expected.index(start)
    last = first + len(values)
    if marks[1:-1] != expected[first + 1 : last] or marks[-1] != b"]]":
        return None
    texts = values if numbers is values else [b"null" if value == b"NaN" else value for value in values]
    return JsonColumn.of_texts([b"null"] * first + texts + [b"null"] * (len(grid) - last))


def _are_finite(numbers: Texts) -> bool:
    """Whether each is the text of a finite number as JSON has it."""
    joined = b",".join(numbers)
    # Without quotes, brackets and words, valid JSON is nothing but numbers, with commas between them.
    if joined.translate(None, b"0123456789.-+e") != b"," * (len(numbers) - 1) or numbers == [b""]:
        return False
    try:
        if b"e" in joined:  # an exponent may be too large for a float
            return math.isfinite(sum(_FLOATS.decode(b"[%b]" % joined)))
        _VALID.decode(b"[%b]" % joined)
    except msgspec.DecodeError:
        return False
    return True


@lru_cache(maxsize=_CACHED_MARKS)
def _marks(times: range) -> list[bytes]:
    """What Prometheus writes before a value at each of the ``times``, in milliseconds."""
    return [
        b"],[%d," % (time // 1000) if time % 1000 == 0 else b"],[%d.%03d," % divmod(time, 1000)
        for time in times
    ]


def _numbers_by_time(points: bytes, grid: Grid) -> list[Number]:
    """A value for each time of ``grid``, None where there is no finite one; ValueError for other times."""
    times, values = grid.times, dict[int, Number]()
    for seconds, text in POINTS.decode(points):
        time, number = round(seconds * 1000), float(text)
        value = number if math.isfinite(number) else None
        if time not in times or values.setdefault(time, value) != value:
            raise ValueError("values are at other times than those requested, or two at one time")
    return [values.get(time) for time in times]


@lru_cache(maxsize=_CACHED_TEMPLATES)
def _template(times: range, before: bytes, after: bytes) -> bytes:
    """A JSON array of each of the ``times`` between two texts, in which ``%b`` is the place of a number."""
    texts = orjson.dumps(list(times))[1:-1].replace(b",", after + b"," + before)
    return b"[" + before + texts + after + b"]"


def _point_by_point(columns: Sequence[Texts]) -> Texts:
    """The first text of each column, then the second of each, and so on; slices are quicker than zip."""
    if len(columns) == 1:
        return columns[0]
    length = max(map(len, columns), default=0)
    texts = [b""] * (len(columns) * length)
    for number, column in enumerate(columns):
        texts[number :: len(columns)] = column
    return texts
