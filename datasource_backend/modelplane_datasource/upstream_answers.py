"""What Prometheus' HTTP API answers, read from the bytes of a body."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt
import orjson

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

Data = TypeVar("Data")
Times = Sequence[float]


class UpstreamError(ApiError):
    """Prometheus did not give a usable answer; ``error`` is the kind."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(_STATUS[kind], kind, message)


@dataclass(frozen=True, slots=True)
class RangeSeries:
    """One series of a range query; ``values`` lie on the grid, None where there is no finite number."""

    labels: Mapping[str, str]
    values: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class RangeResult:
    series: tuple[RangeSeries, ...]
    warnings: tuple[str, ...]

    @property
    def bytes(self) -> int:
        """About what it takes in memory."""
        return sum(_labels_bytes(one.labels) + _VALUE_BYTES * len(one.values) for one in self.series)


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
    """Samples as they were scraped: ``times`` in milliseconds, finite ``values``."""

    labels: Mapping[str, str]
    times: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]


class Envelope(msgspec.Struct):
    """What every answer is wrapped in; ``data`` is not read yet."""

    status: str
    data: msgspec.Raw = msgspec.Raw()
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


class _Matrix(msgspec.Struct):
    result_type: Literal["matrix"] = msgspec.field(name="resultType")
    result: list[_Range]


class _Instant(msgspec.Struct):
    metric: dict[str, str]
    value: tuple[float, str]


class _Vector(msgspec.Struct):
    result_type: Literal["vector"] = msgspec.field(name="resultType")
    result: list[_Instant]


_ENVELOPE, _MATRIX = msgspec.json.Decoder(Envelope), msgspec.json.Decoder(_Matrix)
_VECTOR, _TEXTS = msgspec.json.Decoder(_Vector), msgspec.json.Decoder(list[str])
_PAIRS = msgspec.json.Decoder(list[tuple[float, str]])


def read_envelope(status: int, body: bytes) -> Envelope:
    """The envelope of a success; UpstreamError for every other answer."""
    try:
        envelope = _ENVELOPE.decode(body)
    except msgspec.ValidationError as error:
        raise UpstreamError(
            INVALID, f"Prometheus answered with status {status} and unexpected JSON: {error}."
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UpstreamError(INVALID, f"Prometheus answered with status {status} and no JSON.") from error
    if envelope.status == "error":
        kind = _PROMETHEUS_ERRORS.get(envelope.error_type or "", INVALID)
        raise UpstreamError(kind, f"Prometheus refused the query: {envelope.error}")
    if status != 200 or envelope.status != "success":
        raise UpstreamError(INVALID, f"Prometheus answered with status {status}, which is not a success.")
    return envelope


def read_range(envelope: Envelope, grid: Grid, most_values: int) -> RangeResult:
    """The series of a range query on ``grid``; UpstreamError when they are more than ``most_values``."""
    matrix = _read(_MATRIX, envelope, "a range result")
    if len(matrix.result) * len(grid) > most_values:
        raise UpstreamError(
            REJECTED,
            f"Prometheus' answer has {len(matrix.result)} series of {len(grid)} points, and at most "
            f"{most_values} values are allowed: ask for fewer series, a larger step or a shorter range.",
        )
    if len({frozenset(entry.metric.items()) for entry in matrix.result}) < len(matrix.result):
        raise UpstreamError(INVALID, "Prometheus' answer has the same series twice.")
    # Whole seconds are integers in JSON, too; comparing them with floats takes three times as long.
    seconds = [instant / 1000 if instant % 1000 else instant // 1000 for instant in grid.times]
    try:
        series = tuple(
            RangeSeries(entry.metric, _on_grid(*_points(entry.values), grid, seconds))
            for entry in matrix.result
        )
    except (TypeError, ValueError, OverflowError) as error:
        raise UpstreamError(INVALID, "Prometheus' answer is not a range result.") from error
    return RangeResult(series, envelope.all_warnings())


def read_instant(envelope: Envelope) -> InstantResult:
    """The samples of an instant query; UpstreamError."""
    vector = _read(_VECTOR, envelope, "an instant result")
    try:
        samples = tuple(InstantSample(entry.metric, float(entry.value[1])) for entry in vector.result)
    except ValueError as error:
        raise UpstreamError(INVALID, "Prometheus' answer is not an instant result.") from error
    return InstantResult(samples, envelope.all_warnings())


def read_samples(envelope: Envelope) -> tuple[RawSeries, ...]:
    """The samples that a range selector found; UpstreamError."""
    matrix = _read(_MATRIX, envelope, "a list of samples")
    try:
        return tuple(_raw_series(entry) for entry in matrix.result)
    except (TypeError, ValueError, OverflowError) as error:
        raise UpstreamError(INVALID, "Prometheus' answer is not a list of samples.") from error


def read_texts(envelope: Envelope) -> tuple[str, ...]:
    """A list of label values, sorted; UpstreamError."""
    texts: list[str] = _read(_TEXTS, envelope, "a list of label values")
    return tuple(sorted(texts))


def _read(decoder: msgspec.json.Decoder[Data], envelope: Envelope, what: str) -> Data:
    try:
        return decoder.decode(envelope.data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UpstreamError(INVALID, f"Prometheus' answer is not {what}.") from error


def _points(values: msgspec.Raw) -> tuple[Times, Sequence[float]]:
    """Times in seconds and values of ``[[1698400740,"0.5"],...]``; ValueError.

    Without its brackets and quotes that is one flat list of numbers, which is read in a fifth of the time of
    a list of pairs of a number and a text.
    """
    text = bytes(values)
    if b"u" not in text and b"s" not in text:  # true, false and null are no values
        try:
            flat = orjson.loads(b"[" + text.translate(None, b'[]"') + b"]")
        except orjson.JSONDecodeError:  # NaN and +Inf are no JSON
            flat = []
        if flat and len(flat) == 2 * (text.count(b"[") - 1):
            return flat[::2], tuple(map(float, flat[1::2]))
    pairs = _PAIRS.decode(text)
    return [instant for instant, _ in pairs], tuple(float(number) for _, number in pairs)


def _on_grid(
    instants: Times, numbers: Sequence[float], grid: Grid, seconds: Times
) -> tuple[float | None, ...]:
    """A value for each time of ``grid``, None where there is no finite one; ValueError for other times."""
    values: tuple[float | None, ...] = tuple(numbers)
    # A sum is finite only if all its terms are, and costs a tenth of asking each of them.
    if not math.isfinite(sum(numbers)):
        values = tuple(number if math.isfinite(number) else None for number in numbers)
    before = (round(instants[0] * 1000) - grid.start) // grid.step if instants else 0
    after = len(seconds) - before - len(values)
    if min(before, after) >= 0 and instants == seconds[before : before + len(values)]:
        return (None,) * before + values + (None,) * after
    times, found = grid.times, dict[int, float | None]()
    for instant, value in zip(instants, values, strict=True):
        time = round(instant * 1000)
        if time not in times or found.setdefault(time, value) != value:
            raise ValueError("values are at other times than those asked for, or two at one time")
    return tuple(found.get(time) for time in times)


def _raw_series(entry: _Range) -> RawSeries:
    instants, numbers = _points(entry.values)
    values = np.array(numbers, dtype=np.float64)
    finite = np.isfinite(values)
    times = np.rint(np.array(instants, dtype=np.float64) * 1000).astype(np.int64)
    return RawSeries(entry.metric, times[finite], values[finite])


def _labels_bytes(labels: Mapping[str, str]) -> int:
    texts = sum(len(name) + len(value) for name, value in labels.items())
    return _SERIES_BYTES + _LABEL_BYTES * len(labels) + texts
