"""Prometheus' remote write protocol, version 1, for many samples of the same series.

A request's bytes are laid out once for its series; only values and times are filled in for each request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import requests
from numpy.typing import NDArray

_HEADERS = {
    "Content-Encoding": "snappy",
    "Content-Type": "application/x-protobuf",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}
_TIME_BYTES = 6  # of a varint that holds milliseconds from 2004 to 2109
# Sample: field 1, a double; field 2, a varint.
_SAMPLE = b"\x09" + bytes(8) + b"\x10" + bytes(_TIME_BYTES)
_VALUE_AT = 3  # after the tag and length of the sample itself
_TIME_AT = _VALUE_AT + 9


class Request:
    """A WriteRequest of some series with the same number of samples each."""

    def __init__(self, series: Sequence[Mapping[str, str]], samples: int) -> None:
        """``series`` are labels with ``__name__``."""
        field = _field(2, _SAMPLE)
        bodies = [_labels(labels) + field * samples for labels in series]
        self._bytes = np.frombuffer(b"".join(_field(1, body) for body in bodies), dtype=np.uint8).copy()
        ends = np.cumsum([len(_field(1, body)) for body in bodies])
        first = ends[:, None] - len(field) * np.arange(samples, 0, -1)
        self._values_at = (first + _VALUE_AT)[..., None] + np.arange(8)
        self._times_at = (first + _TIME_AT)[..., None] + np.arange(_TIME_BYTES)

    def body(self, values: NDArray[np.float64], times: NDArray[np.int64]) -> bytes:
        """The request with ``values`` of shape (series, samples) at ``times`` in milliseconds."""
        self._bytes[self._values_at] = values.astype("<f8")[..., None].view(np.uint8)
        shifts = 7 * np.arange(_TIME_BYTES)
        times_bytes = (times[:, None] >> shifts & 0x7F).astype(np.uint8)
        times_bytes[:, :-1] |= 0x80
        self._bytes[self._times_at] = times_bytes
        return self._bytes.tobytes()


def send(session: requests.Session, url: str, body: bytes) -> None:
    """Write one request; requests.HTTPError when it is refused."""
    answer = session.post(url, _snappy(body), headers=_HEADERS, timeout=120)
    answer.raise_for_status()


def _labels(labels: Mapping[str, str]) -> bytes:
    return b"".join(
        _field(1, _field(1, name.encode()) + _field(2, value.encode()))
        for name, value in sorted(labels.items())
    )


def _field(number: int, value: bytes) -> bytes:
    return bytes((number << 3 | 2,)) + _varint(len(value)) + value


def _varint(number: int) -> bytes:
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*parts, number))


def _snappy(data: bytes) -> bytes:
    """Snappy's block format without compression: one literal, its length in four bytes."""
    return _varint(len(data)) + b"\xfc" + (len(data) - 1).to_bytes(4, "little") + data
