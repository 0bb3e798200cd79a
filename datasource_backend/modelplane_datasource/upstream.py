"""Client of Prometheus' HTTP API (also Thanos, Mimir and VictoriaMetrics)."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson
import requests
import urllib3
from requests.adapters import HTTPAdapter

from modelplane_datasource.errors import ApiError
from modelplane_datasource.grid import Grid
from modelplane_datasource.settings import Settings

T = TypeVar("T")

_LOG = logging.getLogger(__name__)
_RETRY_PAUSES = (0.1, 0.3)
_RETRIED_STATUSES = (502, 503, 504)
_CHUNK = 64 * 1024

UNREACHABLE, TIMEOUT = "upstream_unreachable", "upstream_timeout"
INVALID, REJECTED = "upstream_invalid", "query_rejected"
_STATUS = {UNREACHABLE: 503, TIMEOUT: 504, INVALID: 502, REJECTED: 422}
_PROMETHEUS_ERRORS = {
    "bad_data": REJECTED,
    "execution": REJECTED,
    "timeout": TIMEOUT,
    "canceled": UNREACHABLE,
    "unavailable": UNREACHABLE,
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


class PrometheusClient:
    """Queries with pooled connections; ``on_error`` is told the kind of every failed call."""

    def __init__(self, settings: Settings, on_error: Callable[[str], None]) -> None:
        self._base = settings.prometheus_url.rstrip("/")
        self._timeout = settings.prometheus_timeout_seconds
        self._max_bytes = settings.max_upstream_bytes
        self._on_error = on_error
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
        return self._reported(lambda: _range_result(self._api("query_range", form), grid))

    def query(self, promql: str, instant: int) -> tuple[InstantSample, ...]:
        """Evaluate ``promql`` at ``instant``, in milliseconds; UpstreamError."""
        form = {"query": promql, "time": _seconds(instant)}
        return self._reported(lambda: _instant_result(self._api("query", form)))

    def check_ready(self) -> None:
        """UpstreamError unless Prometheus can answer queries."""
        self._reported(self._check_ready)

    def close(self) -> None:
        """Close the pooled connections."""
        self._session.close()

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

    def _api(self, path: str, form: Mapping[str, str]) -> dict[str, Any]:
        """The whole envelope of a successful call of ``/api/v1/<path>``."""
        deadline = time.monotonic() + self._timeout
        full_form = {**form, "timeout": f"{max(1, int(self._timeout * 1000))}ms"}
        pauses = iter(_RETRY_PAUSES)
        while True:
            pause = next(pauses, math.inf)
            try:
                status, body = self._send("POST", f"/api/v1/{path}", full_form, deadline)
            except UpstreamError as error:
                if error.error != UNREACHABLE or not _can_wait(pause, deadline):
                    raise
            else:
                if status not in _RETRIED_STATUSES or not _can_wait(pause, deadline):
                    return _envelope(status, body)
            time.sleep(pause)

    def _send(self, method: str, path: str, form: Mapping[str, str], deadline: float) -> tuple[int, bytes]:
        remaining = max(0.001, deadline - time.monotonic())
        try:
            with self._session.request(
                method, self._base + path, data=form, timeout=remaining, allow_redirects=False, stream=True
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


def _range_result(envelope: Mapping[str, Any], grid: Grid) -> RangeResult:
    try:
        data = envelope["data"]
        if data["resultType"] != "matrix":
            raise ValueError(f"resultType is {data['resultType']!r}")
        series = tuple(_range_series(entry, grid) for entry in data["result"])
        warnings = tuple(str(text) for text in envelope.get("warnings") or ())
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise UpstreamError(INVALID, "Prometheus' answer is not a range result.") from error
    return RangeResult(series, warnings)


def _instant_result(envelope: Mapping[str, Any]) -> tuple[InstantSample, ...]:
    try:
        data = envelope["data"]
        if data["resultType"] != "vector":
            raise ValueError(f"resultType is {data['resultType']!r}")
        return tuple(
            InstantSample(
                {str(name): str(value) for name, value in entry["metric"].items()}, float(entry["value"][1])
            )
            for entry in data["result"]
        )
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise UpstreamError(INVALID, "Prometheus' answer is not an instant result.") from error


def _range_series(entry: Mapping[str, Any], grid: Grid) -> RangeSeries:
    labels = {str(name): str(value) for name, value in entry["metric"].items()}
    found = {round(seconds * 1000): float(text) for seconds, text in entry.get("values", ())}
    return RangeSeries(labels, tuple(_finite(found.get(instant)) for instant in grid.times))


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
