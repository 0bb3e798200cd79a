"""What Prometheus' HTTP API answers, read from the bytes of a body."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, Generic, Literal, NamedTuple, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from modelplane_datasource.columns import Column
from modelplane_datasource.errors import ApiError
from modelplane_datasource.grid import Grid

# A point of a range is at least this long as JSON: only answers with many gaps have more than fit.
SHORTEST_POINT = len('[1698400740,"0"],')
# What answers take in memory, measured with tracemalloc on CPython 3.11.
_VALUE_BYTES, _LABEL_BYTES, _SERIES_BYTES = 32, 60, 350
_PARTIAL = "The answer is partial: not all of Prometheus' stores answered."

UNREACHABLE, TIMEOUT = "upstream_unreachable", "upstream_timeout"
INVALID, REJECTED = "upstream_invalid", "query_rejected"
_STATUS = {UNREACHABLE: 503, TIMEOUT: 504, INVALID: 502, REJECTED: 422}
_PROMETHEUS_ERRORS = {
    "bad_data": REJECTED,
    "execution": REJECTED,
    "timeout": TIMEOUT,
    "canceled": UNREACHABLE,
    "unavailable": UNREACHABLE,
    # Mimir
    "too_large_entry": REJECTED,
    "too_many_requests": UNREACHABLE,
    # VictoriaMetrics gives the status.
    "400": REJECTED,
    "422": REJECTED,
    "429": UNREACHABLE,
    "503": UNREACHABLE,
}

FloatArray = npt.NDArray[np.float64]
Data = TypeVar("Data")


class UpstreamError(ApiError):
    """Prometheus did not give a usable answer; ``error`` is the kind."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(_STATUS[kind], kind, message)


@dataclass(frozen=True, slots=True)
class RangeSeries:
    """One series of a range query; ``values`` lie on the grid, None where there is no finite number."""

    labels: Mapping[str, str]
    values: Column


@dataclass(frozen=True, slots=True)
class RangeResult:
    series: tuple[RangeSeries, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class RangeTable:
    """A range query's series as one array of shape (series, times), NaN where there is no finite number."""

    labels: tuple[Mapping[str, str], ...]
    values: FloatArray
    warnings: tuple[str, ...]

    @property
    def bytes(self) -> int:
        """About what it takes in memory."""
        return self.values.nbytes + sum(map(_labels_bytes, self.labels))


@dataclass(frozen=True, slots=True)
class InstantSample:
    """One series of an instant query; its value may be infinite or NaN."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class InstantResult:
    samples: tuple[InstantSample, ...]
    warnings: tuple[str, ...]

    @property
    def bytes(self) -> int:
        """About what it takes in memory."""
        return sum(_labels_bytes(one.labels) + _VALUE_BYTES for one in self.samples)


@dataclass(frozen=True, slots=True, eq=False)
class RawSeries:
    """Samples as they were scraped: ``times`` in milliseconds, finite ``values``.

    ``metric`` is the JSON of its labels: those of a series in many pieces need not be read each time.
    """

    metric: bytes
    times: npt.NDArray[np.int64]
    values: FloatArray

    @property
    def labels(self) -> dict[str, str]:
        """Its labels, read anew; UpstreamError."""
        try:
            return _LABELS.decode(self.metric)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UpstreamError(INVALID, f"Prometheus' answer is not {SAMPLES.what}.") from error


class _Envelope(msgspec.Struct, Generic[Data]):
    """What every answer is wrapped in; errors have no ``data``."""

    status: str
    data: Data | msgspec.UnsetType = msgspec.UNSET
    error_type: str | None = msgspec.field(name="errorType", default=None)
    error: str | None = None
    warnings: list[str] | None = None
    is_partial: bool | None = msgspec.field(name="isPartial", default=None)

    def all_warnings(self) -> tuple[str, ...]:
        """Warnings, and that the answer is partial."""
        return (*(self.warnings or ()), *((_PARTIAL,) if self.is_partial else ()))


class _Range(msgspec.Struct):
    metric: dict[str, str]
    values: msgspec.Raw


class Matrix(msgspec.Struct):
    """Series with several points each."""

    result_type: Literal["matrix"] = msgspec.field(name="resultType")
    result: list[_Range]


class _Raw(msgspec.Struct):
    metric: msgspec.Raw
    values: msgspec.Raw


class RawMatrix(msgspec.Struct):
    """Series with several points each, whose labels are not yet read."""

    result_type: Literal["matrix"] = msgspec.field(name="resultType")
    result: list[_Raw]


class _Instant(msgspec.Struct):
    metric: dict[str, str]
    value: tuple[float, str]


class Vector(msgspec.Struct):
    """Series with one point each."""

    result_type: Literal["vector"] = msgspec.field(name="resultType")
    result: list[_Instant]


class AnswerType(NamedTuple, Generic[Data]):
    """What is expected, in words for people, and how the whole body is read in one pass."""

    what: str
    decoder: msgspec.json.Decoder[_Envelope[Data]]


class Answered(NamedTuple, Generic[Data]):
    """The data of a successful answer, and what Prometheus warned of."""

    data: Data
    warnings: tuple[str, ...]


RANGE = AnswerType("a range result", msgspec.json.Decoder(_Envelope[Matrix]))
SAMPLES = AnswerType("a list of samples", msgspec.json.Decoder(_Envelope[RawMatrix]))
VECTOR = AnswerType("an instant result", msgspec.json.Decoder(_Envelope[Vector]))
TEXTS = AnswerType("a list of label values", msgspec.json.Decoder(_Envelope[list[str]]))
ANYTHING = AnswerType("an answer", msgspec.json.Decoder(_Envelope[msgspec.Raw]))
_LABELS = msgspec.json.Decoder(dict[str, str])
_PAIRS = msgspec.json.Decoder(list[tuple[float, str]])
_NUMBERS = msgspec.json.Decoder(list[float])
_PAIR = struct.Struct("2d")
_VALID = msgspec.json.Decoder(msgspec.Raw)  # checks JSON and makes nothing of it
_KEPT_MARKS = 4  # the panels of a board ask for the same times; those of 11,000 points take 0.6 MB


def read_answer(status: int, body: bytes, expected: AnswerType[Data]) -> Answered[Data]:
    """The data of a success; UpstreamError for every other answer."""
    try:
        envelope = expected.decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        _check_success(status, _envelope_alone(status, body))
        raise UpstreamError(INVALID, f"Prometheus' answer is not {expected.what}.") from error
    _check_success(status, envelope)
    if isinstance(envelope.data, msgspec.UnsetType):
        raise UpstreamError(INVALID, f"Prometheus' answer is not {expected.what}.")
    return Answered(envelope.data, envelope.all_warnings())


def _envelope_alone(status: int, body: bytes) -> _Envelope[msgspec.Raw]:
    """The envelope around data of any type; UpstreamError when it is none."""
    try:
        return ANYTHING.decoder.decode(body)
    except msgspec.ValidationError as error:
        raise UpstreamError(
            INVALID, f"Prometheus answered with status {status} and unexpected JSON: {error}."
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UpstreamError(INVALID, f"Prometheus answered with status {status} and no JSON.") from error


def _check_success(status: int, envelope: _Envelope[Any]) -> None:
    if envelope.status == "error":
        kind = _PROMETHEUS_ERRORS.get(envelope.error_type or "", INVALID)
        raise UpstreamError(kind, f"Prometheus refused the query: {envelope.error}")
    if status != 200 or envelope.status != "success":
        raise UpstreamError(INVALID, f"Prometheus answered with status {status}, which is not a success.")


def read_range(answered: Answered[Matrix], grid: Grid, most_values: int) -> RangeResult:
    """The series of a range query on ``grid``; UpstreamError when they are more than ``most_values``."""
    found = _checked(answered.data, grid, most_values)
    try:
        series = tuple(RangeSeries(entry.metric, _on_grid(bytes(entry.values), grid)) for entry in found)
    except (TypeError, ValueError, OverflowError) as error:
        raise UpstreamError(INVALID, f"Prometheus' answer is not {RANGE.what}.") from error
    return RangeResult(series, answered.warnings)


def read_table(answered: Answered[Matrix], grid: Grid, most_values: int) -> RangeTable:
    """As ``read_range``, for those who count with the values."""
    found = _checked(answered.data, grid, most_values)
    try:
        values = _table([_packed(bytes(entry.values)) for entry in found], grid)
    except (TypeError, ValueError, OverflowError) as error:
        raise UpstreamError(INVALID, f"Prometheus' answer is not {RANGE.what}.") from error
    return RangeTable(tuple(entry.metric for entry in found), values, answered.warnings)


def _checked(matrix: Matrix, grid: Grid, most_values: int) -> Sequence[_Range]:
    """The series of an answer; UpstreamError when they are too many, or one of them is there twice."""
    found = matrix.result
    if len(found) * len(grid) > most_values:
        raise UpstreamError(
            REJECTED,
            f"Prometheus' answer has {len(found)} series of {len(grid)} points, and at most "
            f"{most_values} values are allowed: ask for fewer series, a larger step or a shorter range.",
        )
    if len({frozenset(entry.metric.items()) for entry in found}) < len(found):
        raise UpstreamError(INVALID, "Prometheus' answer has the same series twice.")
    return found


def read_instant(answered: Answered[Vector]) -> InstantResult:
    """The samples of an instant query; UpstreamError."""
    found = answered.data.result
    try:
        samples = tuple(InstantSample(entry.metric, float(entry.value[1])) for entry in found)
    except ValueError as error:
        raise UpstreamError(INVALID, f"Prometheus' answer is not {VECTOR.what}.") from error
    return InstantResult(samples, answered.warnings)


def read_samples(matrix: RawMatrix) -> tuple[RawSeries, ...]:
    """The samples that a range selector found; UpstreamError."""
    try:
        packed = [_packed(bytes(entry.values)) for entry in matrix.result]
    except (TypeError, ValueError, OverflowError) as error:
        raise UpstreamError(INVALID, f"Prometheus' answer is not {SAMPLES.what}.") from error
    seconds, values = np.frombuffer(b"".join(packed)).reshape(-1, 2).T
    finite = np.isfinite(values)
    times = np.rint(seconds[finite] * 1000).astype(np.int64)
    values = values[finite]
    counted = np.concatenate(([0], np.cumsum(finite)))
    bounds = counted[np.cumsum([0, *map(len, packed)]) // _PAIR.size].tolist()
    return tuple(
        RawSeries(bytes(entry.metric), times[first:last], values[first:last])
        for entry, (first, last) in zip(matrix.result, pairwise(bounds), strict=True)
    )


def _packed(text: bytes) -> bytes:
    """``[[1698400740,"0.5"],...]`` as float64: a time, its value, the next time; ValueError.

    Without brackets and quotes it is one list of numbers, which is read in a third of the time of pairs of a
    number and a text; NumPy would take as long again to make an array of it.
    """
    marks = text.translate(None, b"0123456789.+-eE")
    points = b'[,""],' * (len(marks) // 6)
    if marks == b"[%b]" % points[:-1]:  # NaN and +Inf are no JSON, null and true no numbers
        numbers = _NUMBERS.decode(b"[%b]" % text.translate(None, b'[]"'))
        return struct.pack(f"{len(numbers)}d", *numbers)
    return b"".join(_PAIR.pack(instant, float(value)) for instant, value in _PAIRS.decode(text))


def _table(packed: Sequence[bytes], grid: Grid) -> FloatArray:
    """The values of packed series at the times of ``grid``; ValueError for other times."""
    seconds, values = np.frombuffer(b"".join(packed)).reshape(-1, 2).T
    known = np.where(np.isfinite(values), values, np.nan)
    is_whole = {len(one) for one in packed} == {len(grid) * _PAIR.size}
    if is_whole and (seconds.reshape(-1, len(grid)) == np.array(grid.times) / 1000).all():
        table = known.reshape(-1, len(grid))
    else:
        table = _placed(packed, seconds, known, grid)
    table.setflags(write=False)  # it is kept, and shared by all who ask for it
    return table


def _placed(packed: Sequence[bytes], seconds: FloatArray, known: FloatArray, grid: Grid) -> FloatArray:
    """The ``known`` values of packed series that do not have one at each time of ``grid``; ValueError."""
    rows = np.repeat(np.arange(len(packed)), [len(one) // _PAIR.size for one in packed])
    with np.errstate(all="ignore"):  # of times that are too large for a float
        places, beside = np.divmod(np.rint(seconds * 1000) - grid.start, grid.step)
    if beside.any() or not ((places >= 0) & (places < len(grid))).all():
        raise ValueError("values are at other times than those asked for")
    places = places.astype(np.int64)
    table = np.full((len(packed), len(grid)), np.nan)
    table[rows, places] = known
    if not np.array_equal(table[rows, places], known, equal_nan=True):
        raise ValueError("two values are at one time")
    return table


def _on_grid(text: bytes, grid: Grid) -> Column:
    """The values of ``[[1698400740,"0.5"],...]`` at the times of ``grid``; ValueError for other times."""
    quick = _as_written(text, grid)
    return Column.of(_by_time(text, grid)) if quick is None else quick


def _as_written(text: bytes, grid: Grid) -> Column | None:
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


def _by_time(text: bytes, grid: Grid) -> list[float | None]:
    """A value for each time of ``grid``, None where there is no finite one; ValueError for other times."""
    times, found = grid.times, dict[int, float | None]()
    for instant, number in _PAIRS.decode(text):
        time, value = round(instant * 1000), float(number)
        known = value if math.isfinite(value) else None
        if time not in times or found.setdefault(time, known) != known:
            raise ValueError("values are at other times than those asked for, or two at one time")
    return [found.get(time) for time in times]


def _labels_bytes(labels: Mapping[str, str]) -> int:
    texts = sum(len(name) + len(value) for name, value in labels.items())
    return _SERIES_BYTES + _LABEL_BYTES * len(labels) + texts
