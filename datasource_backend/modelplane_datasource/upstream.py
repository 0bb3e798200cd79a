"""Client of Prometheus' HTTP API (also Thanos, Mimir and VictoriaMetrics)."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import orjson
import requests
import urllib3
from requests.adapters import HTTPAdapter

from modelplane_datasource.cache import AnswerCache
from modelplane_datasource.errors import ApiError
from modelplane_datasource.grid import Grid
from modelplane_datasource.notices import note
from modelplane_datasource.settings import Settings
from modelplane_schema.promql import selector

T = TypeVar("T")
Form = Mapping[str, str | Sequence[str]]

_LOG = logging.getLogger(__name__)
_RETRY_PAUSES = (0.1, 0.3)
_RETRIED_STATUSES = (502, 503, 504)
_CHUNK = 64 * 1024
# A point of a range is at least this long as JSON: only answers with many gaps have more than fit.
_SHORTEST_POINT = len('[1698400740,"0"],')
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


@dataclass(frozen=True, slots=True)
class InstantSample:
    """One series of an instant query; its value may be infinite or NaN."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class _InstantResult:
    samples: tuple[InstantSample, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class RawSeries:
    """Samples as they were scraped: ``times`` in milliseconds, finite ``values``."""

    labels: Mapping[str, str]
    times: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]


class PrometheusClient:
    """Queries with pooled connections.

    An answer is kept for ``settings.cache_seconds`` and at most for the step of its grid: so long a
    sample that arrives late may stay unseen. It is known by its query and times; the query holds the
    tenants asked for, and ``org_id`` is the same for the whole process.
    """

    def __init__(
        self,
        settings: Settings,
        on_error: Callable[[str], None],
        on_lookup: Callable[[str], None] = lambda _outcome: None,
    ) -> None:
        """``on_error`` is told the kind of every failed call, ``on_lookup`` how the cache answered."""
        self._base = settings.prometheus_url.rstrip("/")
        self._timeout = settings.prometheus_timeout_seconds
        self._max_bytes = settings.max_upstream_bytes
        self._cache_seconds = settings.cache_seconds
        self._on_error = on_error
        self.cache = AnswerCache(settings.max_cache_bytes, on_lookup)
        self._session = requests.Session()
        self._session.trust_env = False  # Prometheus lies inside the organisation: no proxy, no netrc
        adapter = HTTPAdapter(pool_maxsize=settings.threads, max_retries=0)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)
        if settings.org_id is not None:
            self._session.headers["X-Scope-OrgID"] = settings.org_id

    def query_range(self, promql: str, grid: Grid) -> RangeResult:
        """Evaluate ``promql`` at the times of ``grid``; UpstreamError."""
        form = {
            "query": promql,
            "start": _seconds(grid.times[0]),
            "end": _seconds(grid.times[-1]),
            "step": _seconds(grid.step),
        }
        most = self._max_bytes // _SHORTEST_POINT
        answer = self._kept(
            promql,
            grid.times,
            min(self._cache_seconds, grid.step / 1000),
            lambda: _range_result(self._api("query_range", form), grid, most),
            _range_bytes,
        )
        note(answer.warnings)
        return answer

    def query(self, promql: str, instant: int) -> tuple[InstantSample, ...]:
        """Evaluate ``promql`` at ``instant``, in milliseconds; UpstreamError."""
        form = {"query": promql, "time": _seconds(instant)}
        answer = self._kept(
            promql,
            instant,
            self._cache_seconds,
            lambda: _instant_result(self._api("query", form)),
            _instant_bytes,
        )
        note(answer.warnings)
        return answer.samples

    def samples(self, name: str, length: int, end: int) -> tuple[RawSeries, ...]:
        """Every sample of a metric in the ``length`` milliseconds before ``end``; UpstreamError."""
        form = {"query": f"{selector(name)}[{length}ms]", "time": _seconds(end)}
        return self._reported(lambda: _raw_result(_noted(self._api("query", form))))

    def label_values(self, label: str, selectors: Sequence[str], start: int, end: int) -> tuple[str, ...]:
        """Values of ``label`` in the series that a selector matches between two times in milliseconds,
        sorted; UpstreamError."""
        form = {"match[]": list(selectors), "start": _seconds(start), "end": _seconds(end)}
        return self._reported(lambda: _label_values(_noted(self._api(f"label/{label}/values", form, "GET"))))

    def check_ready(self) -> None:
        """UpstreamError unless Prometheus can answer queries."""
        self._reported(self._check_ready)

    def close(self) -> None:
        """Close the pooled connections."""
        self._session.close()

    def _kept(
        self,
        promql: str,
        when: int | range,
        seconds: float,
        call: Callable[[], T],
        size_of: Callable[[T], int],
    ) -> T:
        """The answer of ``call``, or one kept for the same query and times."""
        key = (promql, when)
        return self.cache.get(
            key, seconds, lambda: self._reported(call), lambda answer: len(promql) + size_of(answer)
        )

    def _reported(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except UpstreamError as error:
            _LOG.warning("%s %s", error.message, error.__cause__ or "")
            self._on_error(error.error)
            raise

    def _check_ready(self) -> None:
        status, _ = self._send("GET", "/-/ready", {}, time.monotonic() + self._timeout)
        if status == 404:  # Mimir and VictoriaMetrics have no such path
            self._api("query", {"query": "1"})
        elif status != 200:
            raise UpstreamError(UNREACHABLE, f"Prometheus is not ready: it answers with status {status}.")

    def _api(self, path: str, form: Form, method: str = "POST") -> dict[str, Any]:
        """The whole envelope of a successful call of ``/api/v1/<path>``."""
        deadline = time.monotonic() + self._timeout
        full_form = {**form, "timeout": f"{max(1, int(self._timeout * 1000))}ms"}
        pauses = iter(_RETRY_PAUSES)
        while True:
            pause = next(pauses, math.inf)
            try:
                status, body = self._send(method, f"/api/v1/{path}", full_form, deadline)
            except UpstreamError as error:
                if error.error != UNREACHABLE or not _can_wait(pause, deadline):
                    raise
            else:
                if status not in _RETRIED_STATUSES or not _can_wait(pause, deadline):
                    return _envelope(status, body)
            time.sleep(pause)

    def _send(self, method: str, path: str, form: Form, deadline: float) -> tuple[int, bytes]:
        remaining = max(0.001, deadline - time.monotonic())
        params, data = (form, None) if method == "GET" else (None, form)
        try:
            with self._session.request(
                method, self._base + path, params, data, timeout=remaining, allow_redirects=False, stream=True
            ) as response:
                return response.status_code, self._read(response, deadline)
        except (requests.Timeout, urllib3.exceptions.TimeoutError) as error:
            raise self._timed_out() from error
        except requests.ConnectionError as error:
            raise UpstreamError(UNREACHABLE, "Prometheus cannot be reached.") from error
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise UpstreamError(INVALID, "Prometheus' answer broke off or cannot be decoded.") from error

    def _read(self, response: requests.Response, deadline: float) -> bytes:
        """The body, piece by piece, so that a trickle cannot outlast the deadline."""
        body = bytearray()
        while piece := response.raw.read1(_CHUNK, decode_content=True):
            body += piece
            if len(body) > self._max_bytes:
                raise UpstreamError(
                    REJECTED,
                    f"Prometheus' answer is larger than {self._max_bytes} bytes: ask for fewer series, "
                    "a larger step or a shorter range.",
                )
            if time.monotonic() > deadline:
                raise self._timed_out()
        return bytes(body)

    def _timed_out(self) -> UpstreamError:
        return UpstreamError(TIMEOUT, f"Prometheus did not answer within {self._timeout:g} s.")


def _can_wait(pause: float, deadline: float) -> bool:
    return time.monotonic() + pause < deadline


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds // 1000}.{milliseconds % 1000:03d}"


def _envelope(status: int, body: bytes) -> dict[str, Any]:
    try:
        envelope = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise UpstreamError(INVALID, f"Prometheus answered with status {status} and no JSON.") from error
    if not isinstance(envelope, dict):
        raise UpstreamError(INVALID, f"Prometheus answered with status {status} and unexpected JSON.")
    if envelope.get("status") == "error":
        kind = _PROMETHEUS_ERRORS.get(str(envelope.get("errorType")), INVALID)
        raise UpstreamError(kind, f"Prometheus refused the query: {envelope.get('error')}")
    if status != 200 or envelope.get("status") != "success":
        raise UpstreamError(INVALID, f"Prometheus answered with status {status}, which is not a success.")
    return envelope


def _range_result(envelope: Mapping[str, Any], grid: Grid, most_values: int) -> RangeResult:
    try:
        data = envelope["data"]
        if data["resultType"] != "matrix":
            raise ValueError(f"resultType is {data['resultType']!r}")
        _check_size(len(data["result"]), grid, most_values)
        seconds = [instant / 1000 for instant in grid.times]
        series = tuple(_range_series(entry, grid, seconds) for entry in data["result"])
        warnings = _warnings(envelope)
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise UpstreamError(INVALID, "Prometheus' answer is not a range result.") from error
    return RangeResult(series, warnings)


def _check_size(series: int, grid: Grid, most_values: int) -> None:
    if series * len(grid) > most_values:
        raise UpstreamError(
            REJECTED,
            f"Prometheus' answer has {series} series of {len(grid)} points, and at most {most_values} values "
            "are allowed: ask for fewer series, a larger step or a shorter range.",
        )


def _warnings(envelope: Mapping[str, Any]) -> tuple[str, ...]:
    told = envelope.get("warnings") or []
    if not isinstance(told, list):
        raise UpstreamError(INVALID, "Prometheus' answer has warnings that are no list.")
    partial = (_PARTIAL,) if envelope.get("isPartial") is True else ()
    return (*map(str, told), *partial)


def _noted(envelope: dict[str, Any]) -> dict[str, Any]:
    """The envelope of an answer that is not kept, after its warnings went to the request."""
    note(_warnings(envelope))
    return envelope


def _range_bytes(result: RangeResult) -> int:
    return sum(_labels_bytes(one.labels) + _VALUE_BYTES * len(one.values) for one in result.series)


def _instant_bytes(result: _InstantResult) -> int:
    return sum(_labels_bytes(one.labels) + _VALUE_BYTES for one in result.samples)


def _labels_bytes(labels: Mapping[str, str]) -> int:
    texts = sum(len(name) + len(value) for name, value in labels.items())
    return _SERIES_BYTES + _LABEL_BYTES * len(labels) + texts


def _instant_result(envelope: Mapping[str, Any]) -> _InstantResult:
    try:
        data = envelope["data"]
        if data["resultType"] != "vector":
            raise ValueError(f"resultType is {data['resultType']!r}")
        samples = tuple(
            InstantSample(
                {str(name): str(value) for name, value in entry["metric"].items()}, float(entry["value"][1])
            )
            for entry in data["result"]
        )
        return _InstantResult(samples, _warnings(envelope))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise UpstreamError(INVALID, "Prometheus' answer is not an instant result.") from error


def _raw_result(envelope: Mapping[str, Any]) -> tuple[RawSeries, ...]:
    try:
        data = envelope["data"]
        if data["resultType"] != "matrix":
            raise ValueError(f"resultType is {data['resultType']!r}")
        return tuple(_raw_series(entry) for entry in data["result"])
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise UpstreamError(INVALID, "Prometheus' answer is not a list of samples.") from error


def _raw_series(entry: Mapping[str, Any]) -> RawSeries:
    labels = {str(name): str(value) for name, value in entry["metric"].items()}
    times = np.array([round(seconds * 1000) for seconds, _ in entry["values"]], dtype=np.int64)
    values = np.array([text for _, text in entry["values"]], dtype=np.float64)
    finite = np.isfinite(values)
    return RawSeries(labels, times[finite], values[finite])


def _label_values(envelope: Mapping[str, Any]) -> tuple[str, ...]:
    values = envelope.get("data")
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise UpstreamError(INVALID, "Prometheus' answer is not a list of label values.")
    return tuple(sorted(values))


def _range_series(entry: Mapping[str, Any], grid: Grid, seconds: list[float]) -> RangeSeries:
    """One series; ``seconds`` are the times of ``grid``."""
    labels = {str(name): str(value) for name, value in entry["metric"].items()}
    instants = [instant for instant, _ in entry["values"]]
    numbers = [float(text) for _, text in entry["values"]]
    values = [number if math.isfinite(number) else None for number in numbers]
    if instants == seconds:
        return RangeSeries(labels, tuple(values))
    found = {round(instant * 1000): value for instant, value in zip(instants, values, strict=True)}
    if not all(instant in grid.times for instant in found):
        raise ValueError("values are at other times than those asked for")
    return RangeSeries(labels, tuple(found.get(instant) for instant in grid.times))
