"""Client of Prometheus' HTTP API (also Thanos, Mimir and VictoriaMetrics)."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import partial
from typing import Generic, NamedTuple, TypeVar
from urllib.parse import urlencode

from modelplane_datasource.cache import AnswerCache
from modelplane_datasource.observability.query_warnings import note, with_notices
from modelplane_datasource.prometheus.decoding import (
    ANYTHING,
    RANGE,
    SAMPLES,
    SHORTEST_POINT,
    TEXTS,
    UNREACHABLE,
    VECTOR,
    Answered,
    AnswerType,
    InstantResult,
    InstantSample,
    Matrix,
    RawSeries,
    UpstreamError,
    read_answer,
    read_instant,
    read_samples,
)
from modelplane_datasource.prometheus.ranges import (
    RangeResult,
    RangeTable,
    joined_ranges,
    joined_tables,
    read_range,
    read_table,
)
from modelplane_datasource.prometheus.transport import Connections
from modelplane_datasource.settings import Settings
from modelplane_datasource.tenancy.caller import for_caller
from modelplane_datasource.tenancy.query_restriction import OF_MODELS
from modelplane_datasource.timeline.grid import Grid

T = TypeVar("T")
Kept = TypeVar("Kept", RangeTable, InstantResult)
Ranged = TypeVar("Ranged", RangeResult, RangeTable)
Restrict = Callable[[str, Collection[str]], str]
Form = Mapping[str, str | Sequence[str]]

# Below, a second query costs more than it saves.
_HALVED_POINTS = 250
_LOOKBACK = 300_000  # milliseconds; how far Prometheus looks for the last sample of a series

_LOG = logging.getLogger(__name__)
_RETRY_PAUSES = (0.1, 0.3)
_RETRIED_STATUSES = (502, 503, 504)


class _Reading(NamedTuple, Generic[Ranged]):
    """How the answer of a range query is read, and those of its halves made one."""

    read: Callable[[Answered[Matrix], Grid, int], Ranged]
    joined: Callable[[Sequence[Ranged], Sequence[Grid], int], Ranged]


_AS_TEXTS = _Reading(read_range, joined_ranges)
_AS_TABLE = _Reading(read_table, joined_tables)


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
        self._most_values = settings.max_upstream_bytes // SHORTEST_POINT
        self._cache_seconds = settings.cache_seconds
        self._on_error = on_error
        self._restrict = restrict
        self.cache = AnswerCache(settings.max_cache_bytes, on_lookup)
        self._workers = ThreadPoolExecutor(settings.threads, "queries")
        # Of their own, because a query that waits for its half may itself be made by one of the others.
        self._half_workers = ThreadPoolExecutor(settings.threads, "halves")
        self._lock = threading.Lock()
        self._ranges_asked = 0  # range queries that are not answered yet
        self._connections = Connections(
            settings.prometheus_url,
            {} if settings.org_id is None else {"X-Scope-OrgID": settings.org_id},
            settings.max_upstream_bytes,
            most_idle=2 * settings.threads,
        )

    def query_range(self, promql: str, grid: Grid, reach: int = _LOOKBACK) -> RangeResult:
        """Evaluate ``promql`` at the times of ``grid``; UpstreamError.

        ``reach`` is how many milliseconds before a time the query looks. The answer is not kept: it is for
        those who serve its texts, and keep what they serve.
        """
        promql = self._restrict(promql, OF_MODELS)
        answer = self._reported(lambda: self._range(promql, grid, reach, _AS_TEXTS))
        note(answer.warnings)
        return answer

    def query_table(self, promql: str, grid: Grid, reach: int = _LOOKBACK) -> RangeTable:
        """As ``query_range``, for those who count with the values; the answer is kept."""
        promql = self._restrict(promql, OF_MODELS)
        seconds = min(self._cache_seconds, grid.step / 1000)
        answer = self._kept(promql, grid, seconds, lambda: self._range(promql, grid, reach, _AS_TABLE))
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

    def samples(self, selected: str, start: int, end: int) -> tuple[RawSeries, ...]:
        """Every sample of what a selector matches between two times in milliseconds; UpstreamError.

        This is not restricted to what the caller may see: shares of a device need everyone's use of it.
        """
        form = {"query": f"{selected}[{end - start}ms]", "time": _seconds(end)}
        return self._reported(lambda: read_samples(_noted(self._api("query", form, SAMPLES))))

    def samples_on(self, promql: str, grid: Grid) -> tuple[RawSeries, ...]:
        """``promql`` at the times of ``grid``, where it has a value, as unrestricted as ``samples``."""
        form = _range_form(promql, grid)
        return self._reported(lambda: read_samples(_noted(self._api("query_range", form, SAMPLES))))

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
        bounded = self._bounded(form)
        return self._reported(lambda: self._send(method, f"/api/v1/{path}", bounded, deadline))

    def check_ready(self) -> None:
        """UpstreamError unless Prometheus can answer queries."""
        self._reported(self._check_ready)

    def close(self) -> None:
        """Close the pooled connections."""
        self._workers.shutdown(cancel_futures=True)
        self._half_workers.shutdown(cancel_futures=True)
        self._connections.close()

    def _range(self, promql: str, grid: Grid, reach: int, reading: _Reading[Ranged]) -> Ranged:
        """A range query's answer; both halves of a long one are asked for at once.

        Prometheus works on a query with one core, so the halves of one that is alone come in little more than
        half of its time. Where others wait too they would only cost them more.
        """
        with self._counted() as others:
            if others or len(grid) < _HALVED_POINTS or 4 * reach > grid.end - grid.start:
                return self._range_at(promql, grid, reading)
            halves = grid.halves()
            second = self._half_workers.submit(self._range_at, promql, halves[1], reading)
            try:
                first = self._range_at(promql, halves[0], reading)
            finally:
                wait([second])  # also where the first fails: Prometheus is busy until then
            return reading.joined((first, second.result()), halves, self._most_values)

    @contextmanager
    def _counted(self) -> Iterator[int]:
        """How many other range queries are not answered yet; this one is among them meanwhile."""
        with self._lock:
            others = self._ranges_asked
            self._ranges_asked += 1
        try:
            yield others
        finally:
            with self._lock:
                self._ranges_asked -= 1

    def _range_at(self, promql: str, grid: Grid, reading: _Reading[Ranged]) -> Ranged:
        answered = self._api("query_range", _range_form(promql, grid), RANGE)
        return reading.read(answered, grid, self._most_values)

    def _kept(
        self,
        promql: str,
        when: int | Grid,
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
        full_form = self._bounded(form)
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

    def _bounded(self, form: Form) -> Form:
        """``form`` with the time after which Prometheus need not work on, because nobody waits."""
        return {**form, "timeout": f"{max(1, int(self._timeout * 1000))}ms"}

    def _send(self, method: str, path: str, form: Form, deadline: float) -> tuple[int, bytes]:
        fields, seconds = urlencode(form, doseq=True), deadline - time.monotonic()
        if method == "POST":
            return self._connections.ask(path, fields, seconds)
        return self._connections.ask(f"{path}?{fields}" if fields else path, None, seconds)


def _can_wait(pause: float, deadline: float) -> bool:
    return time.monotonic() + pause < deadline


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds // 1000}.{milliseconds % 1000:03d}"


def _range_form(promql: str, grid: Grid) -> Form:
    start, end, step = map(_seconds, (grid.times[0], grid.times[-1], grid.step))
    return {"query": promql, "start": start, "end": end, "step": step}


def _noted(answered: Answered[T]) -> T:
    """The data of an answer that is not kept, after its warnings went to the request."""
    note(answered.warnings)
    return answered.data
