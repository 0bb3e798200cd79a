"""The text of a series of a range query, passed on as it was written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import msgspec

from modelplane_datasource.timeline.columns import Column
from modelplane_datasource.timeline.grid import Grid

_KEPT_MARKS = 4  # the panels of a board ask for the same times; those of 11,000 points take 0.6 MB
_NUMBERS = msgspec.json.Decoder(list[float])
_VALID = msgspec.json.Decoder(msgspec.Raw)  # checks JSON and makes nothing of it


def column_as_written(text: bytes, grid: Grid) -> Column | None:
    """The texts of finite numbers and NaN that stand at successive times of ``grid``, else None.

    The text is cut at its quotes: what lies between the values has to be the times that were asked for.
    """
    pieces = text.split(b'"')
    marks, values = pieces[::2], pieces[1::2]
    numbers = [value for value in values if value != b"NaN"] if b"NaN" in text else values
    expected, start = _marks(grid.times), b"]," + marks[0][1:]
    if start not in expected or not _are_finite(numbers):
        return None
    first = expected.index(start)
    last = first + len(values)
    if marks[1:-1] != expected[first + 1 : last] or marks[-1] != b"]]":
        return None
    texts = values if numbers is values else [b"null" if value == b"NaN" else value for value in values]
    return Column.of_texts([b"null"] * first + texts + [b"null"] * (len(grid) - last))


def _are_finite(numbers: Sequence[bytes]) -> bool:
    """Whether each is the text of a finite number as JSON has it."""
    joined = b",".join(numbers)
    # Without quotes, brackets and words, valid JSON is nothing but numbers, with commas between them.
    if joined.translate(None, b"0123456789.-+e") != b"," * (len(numbers) - 1) or numbers == [b""]:
        return False
    try:
        if b"e" in joined:  # an exponent may be too large for a float
            return math.isfinite(sum(_NUMBERS.decode(b"[%b]" % joined)))
        _VALID.decode(b"[%b]" % joined)
    except msgspec.DecodeError:
        return False
    return True


@lru_cache(maxsize=_KEPT_MARKS)
def _marks(times: range) -> list[bytes]:
    """What Prometheus writes before a value at each of the ``times``, in milliseconds."""
    return [
        b"],[%d," % (time // 1000) if time % 1000 == 0 else b"],[%d.%03d," % divmod(time, 1000)
        for time in times
    ]
