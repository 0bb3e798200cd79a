"""Client of Prometheus' HTTP API (also Thanos, Mimir and VictoriaMetrics)."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar
from urllib.parse import urlencode

import urllib3
from urllib3.exceptions import HTTPError, NewConnectionError
from urllib3.exceptions import TimeoutError as PoolTimeout
from urllib3.util import make_headers, parse_url

from modelplane_datasource.access import for_caller
from modelplane_datasource.cache import AnswerCache
from modelplane_datasource.grid import Grid
from modelplane_datasource.notices import note, with_notices
from modelplane_datasource.restriction import OF_MODELS
from modelplane_datasource.settings import Settings
from modelplane_datasource.upstream_answers import (
    ANYTHING,
    INVALID,
    RANGE,
    REJECTED,
    SAMPLES,
    SHORTEST_POINT,
    TEXTS,
    TIMEOUT,
    UNREACHABLE,
    VECTOR,
    Answered,
    AnswerType,
    InstantResult,
    InstantSample,
    RangeResult,
    RawSeries,
    UpstreamError,
    read_answer,
    read_instant,
    read_range,
    read_samples,
)
from modelplane_schema.promql import selector

T = TypeVar("T")
Kept = TypeVar("Kept", RangeResult, InstantResult)
Restrict = Callable[[str, Collection[str]], str]
Form = Mapping[str, str | Sequence[str]]

_LOG = logging.getLogger(__name__)
_RETRY_PAUSES = (0.1, 0.3)
_RETRIED_STATUSES = (502, 503, 504)
_CHUNK = 64 * 1024


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
        restrict: Restrict = lambda promql, _unowned: promql,
    ) -> None:
        """``on_error`` is told the kind of every failed call, ``on_lookup`` how the cache answered.

        ``restrict`` turns each query into one that finds nothing but what the caller may see, and some
        metrics that belong to no tenant.
        """
        self._timeout = settings.prometheus_timeout_seconds
        self._max_bytes = settings.max_upstream_bytes
        self._cache_seconds = settings.cache_seconds
        self._on_error = on_error
        self._restrict = restrict
        self.cache = AnswerCache(settings.max_cache_bytes, on_lookup)
        self._workers = ThreadPoolExecutor(settings.threads, "queries")
        url = parse_url(settings.prometheus_url)
        self._prefix = (url.path or "").rstrip("/")
        # requests, which lies above urllib3, would add 0.8 ms to the 0.5 ms of a query.
        self._pool = urllib3.connection_from_url(
            settings.prometheus_url,
            maxsize=2 * settings.threads,
            retries=False,
            headers=_headers(url.auth, settings.org_id),
        )

    def query_range(self, promql: str, grid: Grid) -> RangeResult:
        """Evaluate ``promql`` at the times of ``grid``; UpstreamError."""
        promql = self._restrict(promql, OF_MODELS)
        form = {
            "query": promql,
            "start": _seconds(grid.times[0]),
            "end": _seconds(grid.times[-1]),
            "step": _seconds(grid.step),
        }
        most = self._max_bytes // SHORTEST_POINT
        answer = self._kept(
            promql,
            grid.times,
            min(self._cache_seconds, grid.step / 1000),
            lambda: read_range(self._api("query_range", form, RANGE), grid, most),
        )
        note(answer.warnings)
        return answer

    def query(self, promql: str, instant: int) -> tuple[InstantSample, ...]:
        """Evaluate ``promql`` at ``instant``, in milliseconds; UpstreamError."""
        promql = self._restrict(promql, OF_MODELS)
        # VictoriaMetrics, when it may cache, takes the moment -search.latencyOffset ago for a later one.
        form = {"query": promql, "time": _seconds(instant), "nocache": "1"}
        answer = self._kept(
            promql,
            instant,
            self._cache_seconds,
            lambda: read_instant(self._api("query", form, VECTOR)),
        )
        note(answer.warnings)
        return answer.samples

    def at_once(self, *calls: Callable[[], T]) -> list[T]:
        """What each of the ``calls`` gives, the first made by this thread and the others meanwhile.

        None of them may call ``at_once`` itself: it could wait for threads that wait for it.
        """
        first, *others = calls
        pending = [self._workers.submit(for_caller(partial(with_notices, call))) for call in others]
        results = [first()]
        for future in pending:
            result, warnings = future.result()
            note(warnings)
            results.append(result)
        return results

    def samples(self, name: str, length: int, end: int) -> tuple[RawSeries, ...]:
        """Every sample of a metric in the ``length`` milliseconds before ``end``; UpstreamError.

        This is not restricted to what the caller may see: shares of a device need everyone's use of it.
        """
        form = {"query": f"{selector(name)}[{length}ms]", "time": _seconds(end)}
        return self._reported(lambda: read_samples(_noted(self._api("query", form, SAMPLES))))

    def label_values(self, label: str, selectors: Sequence[str], start: int, end: int) -> tuple[str, ...]:
        """Values of ``label`` in the series that a selector matches between two times in milliseconds,
        sorted; UpstreamError."""
        own = [self._restrict(one, ()) for one in selectors]
        form = {"match[]": own, "start": _seconds(start), "end": _seconds(end)}
        path = f"label/{label}/values"
        texts = self._reported(lambda: _noted(self._api(path, form, TEXTS, "GET")))
        return tuple(sorted(texts))

    def forward(self, path: str, form: Form, method: str = "POST") -> tuple[int, bytes]:
        """Status and body of any answer of ``/api/v1/<path>``, unread and not restricted; UpstreamError."""
        deadline = time.monotonic() + self._timeout
        return self._reported(lambda: self._send(method, f"/api/v1/{path}", form, deadline))

    def check_ready(self) -> None:
        """UpstreamError unless Prometheus can answer queries."""
        self._reported(self._check_ready)

    def close(self) -> None:
        """Close the pooled connections."""
        self._workers.shutdown(cancel_futures=True)
        self._pool.close()

    def _kept(
        self,
        promql: str,
        when: int | range,
        seconds: float,
        call: Callable[[], Kept],
    ) -> Kept:
        """The answer of ``call``, or one kept for the same query and times."""
        key = (promql, when)
        return self.cache.get(
            key, seconds, lambda: self._reported(call), lambda answer: len(promql) + answer.bytes
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
        if status in (400, 404):  # Mimir has no such path; VictoriaMetrics has it, but not below a prefix
            self._api("query", {"query": "1"}, ANYTHING)
        elif status != 200:
            raise UpstreamError(UNREACHABLE, f"Prometheus is not ready: it answers with status {status}.")

    def _api(self, path: str, form: Form, expected: AnswerType[T], method: str = "POST") -> Answered[T]:
        """The answer of a successful call of ``/api/v1/<path>``."""
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
                    return read_answer(status, body, expected)
            time.sleep(pause)

    def _send(self, method: str, path: str, form: Form, deadline: float) -> tuple[int, bytes]:
        fields = urlencode(form, doseq=True)
        target, headers = self._prefix + path, dict(self._pool.headers)
        if method == "POST":
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        elif fields:
            target += f"?{fields}"
        try:
            response = self._pool.urlopen(
                method,
                target,
                fields if method == "POST" else None,
                headers,
                timeout=max(0.001, deadline - time.monotonic()),
                redirect=False,
                preload_content=False,
            )
        except HTTPError as error:
            if isinstance(error, PoolTimeout) and not isinstance(error, NewConnectionError):
                raise self._timed_out() from error
            raise UpstreamError(UNREACHABLE, "Prometheus cannot be reached.") from error
        try:
            return response.status, self._read(response, deadline)
        except PoolTimeout as error:
            raise self._timed_out() from error
        except HTTPError as error:
            raise UpstreamError(INVALID, "Prometheus' answer broke off or cannot be decoded.") from error
        finally:
            response.close()  # what was read to its end went back to the pool before

    def _read(self, response: urllib3.BaseHTTPResponse, deadline: float) -> bytes:
        """The body, piece by piece, so that a trickle cannot outlast the deadline."""
        pieces, size = [], 0
        while piece := response.read1(_CHUNK, decode_content=True):
            pieces.append(piece)
            size += len(piece)
            if size > self._max_bytes:
                raise UpstreamError(
                    REJECTED,
                    f"Prometheus' answer is larger than {self._max_bytes} bytes: ask for fewer series, "
                    "a larger step or a shorter range.",
                )
            if time.monotonic() > deadline:
                raise self._timed_out()
        return b"".join(pieces)

    def _timed_out(self) -> UpstreamError:
        return UpstreamError(TIMEOUT, f"Prometheus did not answer within {self._timeout:g} s.")


def _can_wait(pause: float, deadline: float) -> bool:
    return time.monotonic() + pause < deadline


def _headers(auth: str | None, org_id: str | None) -> dict[str, str]:
    # Prometheus lies near: it would compress an answer for longer than the network takes to carry it.
    headers = {"Accept-Encoding": "identity", **make_headers(basic_auth=auth)}
    return headers if org_id is None else {**headers, "X-Scope-OrgID": org_id}


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds // 1000}.{milliseconds % 1000:03d}"


def _noted(answered: Answered[T]) -> T:
    """The data of an answer that is not kept, after its warnings went to the request."""
    note(answered.warnings)
    return answered.data
