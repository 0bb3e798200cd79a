"""Responses of Prometheus' HTTP API, decoded from the bytes of a body."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Generic, Literal, NamedTuple, TypeVar

import msgspec
import numpy as np

from modelplane_datasource.prometheus.errors import (
    BUSY,
    INVALID,
    REJECTED,
    TIMEOUT,
    UNREACHABLE,
    UpstreamError,
    public_reason,
)
from modelplane_datasource.prometheus.native_histograms import HistogramPoint
from modelplane_datasource.tenancy.notices import Notice
from modelplane_datasource.timeline.arrays import FloatArray, IntArray
from modelplane_datasource.timeline.json_columns import POINTS

# A point of a range is at least this long as JSON: only answers with many gaps have more than fit.
SHORTEST_POINT = len('[1698400740,"0"],')
# What answers take in memory, measured with tracemalloc on CPython 3.11.
_VALUE_BYTES, _LABEL_BYTES, _SERIES_BYTES = 32, 60, 350
_PARTIAL = Notice.for_everyone("The answer is partial: not all of Prometheus' stores answered.")
INCOMPLETE = "Prometheus warned of something while it answered, so that the answer may be incomplete."

_PROMETHEUS_ERRORS = {
    "bad_data": REJECTED,
    "execution": REJECTED,
    "timeout": TIMEOUT,
    "canceled": UNREACHABLE,
    "unavailable": UNREACHABLE,
    # Mimir
    "too_large_entry": REJECTED,
    "too_many_requests": BUSY,
    # VictoriaMetrics gives the status.
    "400": REJECTED,
    "422": REJECTED,
    "429": BUSY,
    "503": UNREACHABLE,
}

_NO_VALUES = msgspec.Raw(b"[]")

Data = TypeVar("Data")


@dataclass(frozen=True, slots=True)
class InstantSample:
    """One series of an instant query; its value may be infinite or NaN."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True, eq=False)
class RawSeries:
    """Samples as they were scraped: ``times`` in milliseconds, finite ``values``.

    ``metric`` is the JSON of its labels: those of a series in many answers need not be decoded each time.
    """

    metric: bytes
    times: IntArray
    values: FloatArray

    @property
    def labels(self) -> dict[str, str]:
        """Its labels, decoded anew; UpstreamError."""
        try:
            return _LABELS.decode(self.metric)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UpstreamError(INVALID, f"Prometheus' answer is not {SAMPLES.name}.") from error


class Envelope(msgspec.Struct, Generic[Data]):
    """What every answer is wrapped in; errors have no ``data``."""

    status: str
    data: Data | msgspec.UnsetType = msgspec.UNSET
    error_type: str | None = msgspec.field(name="errorType", default=None)
    error: str | None = None
    warnings: list[str] | None = None
    is_partial: bool | None = msgspec.field(name="isPartial", default=None)

    def notices(self) -> tuple[Notice, ...]:
        """Warnings, which name stores, metrics and labels of anybody, and that the answer is partial."""
        warnings = (Notice(text, otherwise=INCOMPLETE) for text in self.warnings or ())
        return (*warnings, *((_PARTIAL,) if self.is_partial else ()))


class RangeEntry(msgspec.Struct):
    """One series; a native histogram has ``histograms``, and ``values`` at other times if any."""

    metric: dict[str, str]
    values: msgspec.Raw = _NO_VALUES
    histograms: list[HistogramPoint] = []


class Matrix(msgspec.Struct):
    """Series with several points each."""

    result_type: Literal["matrix"] = msgspec.field(name="resultType")
    result: list[RangeEntry]


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


class ResponseType(NamedTuple, Generic[Data]):
    """A kind of response: its name for people, and what decodes the whole body in one pass."""

    name: str
    decoder: msgspec.json.Decoder[Envelope[Data]]


class Decoded(NamedTuple, Generic[Data]):
    """The data of a successful response, and what Prometheus warned of."""

    data: Data
    notices: tuple[Notice, ...]


RANGE = ResponseType("a range result", msgspec.json.Decoder(Envelope[Matrix]))
SAMPLES = ResponseType("a list of samples", msgspec.json.Decoder(Envelope[RawMatrix]))
VECTOR = ResponseType("an instant result", msgspec.json.Decoder(Envelope[Vector]))
SERIES = ResponseType("a list of series", msgspec.json.Decoder(Envelope[list[dict[str, str]]]))
TEXTS = ResponseType("a list of label values", msgspec.json.Decoder(Envelope[list[str]]))
ANYTHING = ResponseType("an answer", msgspec.json.Decoder(Envelope[msgspec.Raw]))
_LABELS = msgspec.json.Decoder(dict[str, str])
_NUMBERS = msgspec.json.Decoder(list[float])
_POINT = struct.Struct("2d")
POINT_BYTES = _POINT.size


def decode(status: int, body: bytes, expected: ResponseType[Data]) -> Decoded[Data]:
    """The data of a success; UpstreamError for every other response."""
    try:
        envelope = expected.decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        _check_success(status, _envelope_alone(status, body))
        raise UpstreamError(INVALID, f"Prometheus' answer is not {expected.name}.") from error
    _check_success(status, envelope)
    if isinstance(envelope.data, msgspec.UnsetType):
        raise UpstreamError(INVALID, f"Prometheus' answer is not {expected.name}.")
    return Decoded(envelope.data, envelope.notices())


def _envelope_alone(status: int, body: bytes) -> Envelope[msgspec.Raw]:
    """The envelope around data of any type; UpstreamError when it is none."""
    try:
        return ANYTHING.decoder.decode(body)
    except msgspec.ValidationError as error:
        raise UpstreamError(
            INVALID, f"Prometheus answered with status {status} and unexpected JSON: {error}."
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UpstreamError(INVALID, f"Prometheus answered with status {status} and no JSON.") from error


def _check_success(status: int, envelope: Envelope[Any]) -> None:
    if envelope.status == "error":
        kind = _PROMETHEUS_ERRORS.get(envelope.error_type or "", INVALID)
        reason = str(envelope.error)
        refused = "Prometheus refused the query: "
        raise UpstreamError(kind, f"{refused}{public_reason(reason)}", f"{refused}{reason}")
    if status != 200 or envelope.status != "success":
        raise UpstreamError(INVALID, f"Prometheus answered with status {status}, which is not a success.")


def instant_samples(vector: Vector) -> tuple[InstantSample, ...]:
    """The samples of an instant query; UpstreamError."""
    try:
        return tuple(InstantSample(entry.metric, float(entry.value[1])) for entry in vector.result)
    except ValueError as error:
        raise UpstreamError(INVALID, f"Prometheus' answer is not {VECTOR.name}.") from error


def samples_bytes(samples: Iterable[InstantSample]) -> int:
    """About what the samples of an instant query take in memory."""
    return sum(labels_bytes(sample.labels) + _VALUE_BYTES for sample in samples)


def raw_series(matrix: RawMatrix) -> tuple[RawSeries, ...]:
    """The samples that a range selector selects; UpstreamError."""
    try:
        packed = [packed_points(bytes(entry.values)) for entry in matrix.result]
    except (TypeError, ValueError, OverflowError) as error:
        raise UpstreamError(INVALID, f"Prometheus' answer is not {SAMPLES.name}.") from error
    seconds, values = np.frombuffer(b"".join(packed)).reshape(-1, 2).T
    finite = np.isfinite(values)
    times = np.rint(seconds[finite] * 1000).astype(np.int64)
    values = values[finite]
    finite_before = np.concatenate(([0], np.cumsum(finite)))
    bounds = finite_before[np.cumsum([0, *map(len, packed)]) // POINT_BYTES].tolist()
    return tuple(
        RawSeries(bytes(entry.metric), times[first:last], values[first:last])
        for entry, (first, last) in zip(matrix.result, pairwise(bounds), strict=True)
    )


def packed_points(text: bytes) -> bytes:
    """``[[1698400740,"0.5"],...]`` as float64: a time, its value, the next time; ValueError.

    Without brackets and quotes it is one list of numbers, which is read in a third of the time of pairs of a
    number and a text; NumPy would take as long again to make an array of it.
    """
    marks = text.translate(None, b"0123456789.+-eE")
    expected = b'[,""],' * (len(marks) // 6)
    if marks == b"[%b]" % expected[:-1]:  # NaN and +Inf are no JSON, null and true no numbers
        numbers = _NUMBERS.decode(b"[%b]" % text.translate(None, b'[]"'))
        return struct.pack(f"{len(numbers)}d", *numbers)
    return b"".join(_POINT.pack(instant, float(value)) for instant, value in POINTS.decode(text))


def labels_bytes(labels: Mapping[str, str]) -> int:
    """About what the labels of a series take in memory."""
    texts = sum(len(name) + len(value) for name, value in labels.items())
    return _SERIES_BYTES + _LABEL_BYTES * len(labels) + texts
