"""The values of one series, as JSON and as numbers.

Prometheus writes numbers as JSON does, so most of them reach the reader of an answer as the text that they
came as. To make floats of them and texts of these takes more than half of a short answer's time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload

import msgspec
import numpy as np
import numpy.typing as npt
import orjson

Numbers = tuple[float | None, ...]

_NUMBERS = msgspec.json.Decoder(tuple[float | None, ...])


class Column(Sequence[float | None]):
    """Finite numbers, None where there is none; equal to any sequence of the same values."""

    __slots__ = ("_joined", "_numbers", "_texts")

    def __init__(self, joined: bytes | None) -> None:
        """``joined`` are JSON numbers that a float can hold, or null, with commas between them."""
        self._joined = joined
        self._texts: Sequence[bytes] | None = None
        self._numbers: Numbers | None = None

    @classmethod
    def of_texts(cls, texts: Sequence[bytes]) -> Column:
        """The column of JSON numbers that a float can hold, or null."""
        column = cls(None)
        column._texts = texts
        return column

    @classmethod
    def of(cls, numbers: Sequence[float | None]) -> Column:
        """The column of ``numbers``; what is not finite becomes None."""
        return cls(orjson.dumps(numbers)[1:-1])

    @property
    def texts(self) -> Sequence[bytes]:
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

    def __iter__(self) -> Iterator[float | None]:
        return iter(self.numbers)

    @overload
    def __getitem__(self, place: int) -> float | None: ...
    @overload
    def __getitem__(self, place: slice) -> Numbers: ...
    def __getitem__(self, place: int | slice) -> float | Numbers | None:
        return self.numbers[place]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self.numbers == tuple(other)

    def __hash__(self) -> int:
        return hash(self.numbers)

    def __repr__(self) -> str:
        return f"Column.of({self.numbers!r})"


def columns_of(rows: npt.NDArray[np.float64]) -> list[Column]:
    """The column of each row; what is not finite becomes None."""
    text = orjson.dumps(np.ascontiguousarray(rows), option=orjson.OPT_SERIALIZE_NUMPY)
    return [Column(joined) for joined in text[2:-2].split(b"],[")] if len(rows) else []


def texts_of(values: Sequence[float | None]) -> Sequence[bytes]:
    """Each of the ``values`` as JSON."""
    return (values if isinstance(values, Column) else Column.of(values)).texts
