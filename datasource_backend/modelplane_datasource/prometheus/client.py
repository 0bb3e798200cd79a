"""Client of Prometheus' HTTP API (also Thanos, Mimir and VictoriaMetrics)."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar
from urllib.parse import urlencode

from modelplane_datasource.cache import SingleFlightCache
from modelplane_datasource.prometheus.decoding import (
    ANYTHING,
    RANGE,
    SAMPLES,
    SERIES,
    SHORTEST_POINT,
    TEXTS,
    VECTOR,
    InstantSample,
    Matrix,
    RawSeries,
    ResponseType,
    decode,
    instant_samples,
    raw_series,
    samples_bytes,
)
from modelplane_datasource.prometheus.errors import INVALID, UNREACHABLE, UpstreamError
from modelplane_datasource.prometheus.native_histograms import ClassicBuckets
from modelplane_datasource.prometheus.ranges import RangeSeries, RangeTable, range_series, range_table
from modelplane_datasource.prometheus.transport import Transport
from modelplane_datasource.settings import Settings
from modelplane_datasource.tenancy.caller import for_caller
from modelplane_datasource.tenancy.notices import collected, note
from modelplane_datasource.tenancy.query_restriction import NOTHING, UNRESTRICTED, Restriction
from modelplane_datasource.timeline.grid import Grid
from modelplane_schema.metrics import TENANT_ID

T = TypeVar("T")
Form = Mapping[str, str | Sequence[str]]

_LOG = logging.getLogger(__name__)
_RETRY_PAUSES = (0.1, 0.3)
_STORE_SECONDS = 300.0  # another store may stand behind the URL after that
_RETRIED_STATUSES = (502, 503, 504)


class PrometheusClient:
    """Queries with pooled connections; what Prometheus warns of is noted for the request being answered.

    Results are cached for ``settings.cache_seconds`` and at most for the step of their grid: so long a
    sample that arrives late may stay unseen. Their key is query and times; the query holds the
    tenants, and ``org_id`` is the same for the whole process.
    """

    def __init__(
        self,
        settings: Settings,
        cache: SingleFlightCache,
        on_error: Callable[[str], None],
        restriction: Restriction = UNRESTRICTED,
    ) -> None:
        """``on_error`` gets the kind of every failed call; queries are sent as ``restriction`` makes them."""
        self._timeout = settings.prometheus_timeout_seconds
        self._max_values = settings.max_upstream_bytes // SHORTEST_POINT
        self._cache_seconds = settings.cache_seconds
        self._cache = cache
        self._on_error = on_error
        self._restriction = restriction
        self._workers = ThreadPoolExecutor(settings.threads, "queries")
        self._transport = Transport(
            settings.prometheus_url,
            {} if settings.org_id is None else {"X-Scope-OrgID": settings.org_id},
            settings.max_upstream_bytes,
            max_idle=2 * settings.threads,
        )

    def query_range(self, promql: str, grid: Grid, *, reads_means: bool = False) -> tuple[RangeSeries, ...]:
        """Evaluate ``promql`` at the times of ``grid``; UpstreamError.

        Native histograms are an error as well, unless their means are read.
        The result is not cached: it is for those who serve its texts, and cache what they serve.
        """
        restricted = self._restriction.query(promql)
        series = self._reported(
            lambda: range_series(*self._matrix(restricted, grid), reads_means=reads_means)
        )
        self._check_owners(restricted, (of_series.labels for of_series in series))
        return series

    def query_table(self, promql: str, grid: Grid, buckets: ClassicBuckets | None = None) -> RangeTable:
        """As ``query_range``, for those who compute with the values; the result is cached.

        Native histograms become the series of ``buckets``.
        """
        restricted = self._restriction.query(promql)
        table = self._cache.get_or_make(
            (restricted, grid, buckets),
            min(self._cache_seconds, grid.step / 1000),
            lambda: self._reported(lambda: range_table(*self._matrix(restricted, grid), buckets)),
            lambda table: len(restricted) + table.bytes,
        )
        self._check_owners(restricted, table.labels)
        return table

    def query(self, promql: str, instant: int) -> tuple[InstantSample, ...]:
        """Evaluate ``promql`` at ``instant``, in milliseconds; UpstreamError. The result is cached."""
        restricted = self._restriction.query(promql)
        # VictoriaMetrics, when it may cache, takes the moment -search.latencyOffset ago for a later one.
        form = {"query": restricted, "time": _seconds(instant), "nocache": "1"}
        samples = self._cache.get_or_make(
            (restricted, instant),
            self._cache_seconds,
            lambda: self._reported(lambda: instant_samples(self._api("query", form, VECTOR))),
            lambda samples: len(restricted) + samples_bytes(samples),
        )
        self._check_owners(restricted, (sample.labels for sample in samples))
        return samples

    def extrapolates(self) -> bool:
        """Whether ``increase`` stretches what it saw in a window to its edges, as Prometheus' does.

        That of VictoriaMetrics counts from the last sample before the window. The store is known by 0 / 0,
        which is a value in PromQL and none in MetricsQL. UpstreamError. The result is cached for minutes.
        """
        form = {"query": "vector(0) / vector(0)"}
        return self._cache.get_or_make(
            ("extrapolates",),
            _STORE_SECONDS,
            lambda: bool(self._reported(lambda: self._api("query", form, VECTOR).result)),
            lambda _extrapolates: len(form),
        )

    def at_once(self, *calls: Callable[[], T]) -> list[T]:
        """What each of the ``calls`` gives, the first made by this thread and the others meanwhile.

        None of the others may call ``at_once`` itself: it could wait for threads that wait for it.
        """
        first, *others = calls
        pending = [self._workers.submit(for_caller(partial(collected, call))) for call in others]
        results = [first()]
        for future in pending:
            result, notices = future.result()
            note(notices)
            results.append(result)
        return results

    def unrestricted_samples(self, selector: str, start: int, end: int) -> tuple[RawSeries, ...]:
        """Every sample of what a selector selects between two times in milliseconds; UpstreamError.

        It may belong to others than the caller: shares of a device need everyone's use of it.
        """
        form = {"query": f"{selector}[{end - start}ms]", "time": _seconds(end)}
        return self._reported(lambda: raw_series(self._api("query", form, SAMPLES)))

    def unrestricted_samples_on(self, promql: str, grid: Grid) -> tuple[RawSeries, ...]:
        """``promql`` at the times of ``grid``, where it has a value, as ``unrestricted_samples``."""
        form = _range_form(promql, grid)
        return self._reported(lambda: raw_series(self._api("query_range", form, SAMPLES)))

    def label_values(self, label: str, selectors: Sequence[str], start: int, end: int) -> tuple[str, ...]:
        """Values of ``label`` in the series that a selector selects between two times in milliseconds,
        sorted; UpstreamError."""
        form = self._selecting(selectors, start, end)
        path = f"label/{label}/values"
        values = self._reported(lambda: self._api(path, form, TEXTS, "GET"))
        self._check_owners(TENANT_ID, ({label: value} for value in values))
        if self._restriction.is_limited() and self._ignores_selectors(path):
            raise _not_yours()
        return tuple(sorted(values))

    def series(self, selectors: Sequence[str], start: int, end: int) -> tuple[Mapping[str, str], ...]:
        """Labels of the series that a selector selects between two times in milliseconds; UpstreamError."""
        form = self._selecting(selectors, start, end)
        labels = self._reported(lambda: self._api("series", form, SERIES))
        self._check_owners(TENANT_ID, labels)
        return tuple(labels)

    def unrestricted_series(
        self, selectors: Sequence[str], start: int, end: int
    ) -> tuple[Mapping[str, str], ...]:
        """As ``series``, of everybody: it is for those of whose samples the caller gets none."""
        form = {"match[]": selectors, "start": _seconds(start), "end": _seconds(end)}
        return tuple(self._reported(lambda: self._api("series", form, SERIES)))

    def forward_unrestricted(self, path: str, form: Form, method: str = "POST") -> tuple[int, bytes]:
        """Status and body of any response of ``/api/v1/<path>``, unread; UpstreamError."""
        deadline = time.monotonic() + self._timeout
        bounded = self._bounded(form)
        return self._reported(lambda: self._send(method, f"/api/v1/{path}", bounded, deadline))

    def check_ready(self) -> None:
        """UpstreamError unless Prometheus can answer queries."""
        self._reported(self._check_ready)

    def close(self) -> None:
        """Close the pooled connections."""
        self._workers.shutdown(cancel_futures=True)
        self._transport.close()

    def _selecting(self, selectors: Sequence[str], start: int, end: int) -> Form:
        restricted = [self._restriction.selector(selector) for selector in selectors]
        return {"match[]": restricted, "start": _seconds(start), "end": _seconds(end)}

    def _ignores_selectors(self, path: str) -> bool:
        """Whether Prometheus finds values of a label in no series, as old stores do; cached."""
        return self._cache.get_or_make(
            ("ignores selectors", path),
            self._cache_seconds,
            lambda: bool(self._reported(lambda: self._api(path, {"match[]": [NOTHING]}, TEXTS, "GET"))),
            lambda _ignores: len(path),
        )

    def _check_owners(self, restricted: str, labels: Iterable[Mapping[str, str]]) -> None:
        """UpstreamError when series that a ``restricted`` query selects are not the caller's.

        One that names no tenant is about metrics of models alone.
        """
        if TENANT_ID in restricted and not self._restriction.admits(labels):
            raise _not_yours()

    def _matrix(self, promql: str, grid: Grid) -> tuple[Matrix, Grid, int]:
        """The series of a range query, with what reading them needs."""
        return self._api("query_range", _range_form(promql, grid), RANGE), grid, self._max_values

    def _reported(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except UpstreamError as error:
            message, _ = error.shown_to(None)
            _LOG.warning("%s %s", message, error.__cause__ or "")
            self._on_error(error.error)
            raise

    def _check_ready(self) -> None:
        status, _ = self._send("GET", "/-/ready", {}, time.monotonic() + self._timeout)
        if status in (400, 404):  # Mimir has no such path; VictoriaMetrics has it, but not below a prefix
            self._api("query", {"query": "1"}, ANYTHING)
        elif status != 200:
            raise UpstreamError(UNREACHABLE, f"Prometheus is not ready: it answers with status {status}.")

    def _api(self, path: str, form: Form, expected: ResponseType[T], method: str = "POST") -> T:
        """The data of a successful call of ``/api/v1/<path>``."""
        data, notices = decode(*self._send_with_retries(method, f"/api/v1/{path}", form), expected)
        note(notices)
        return data

    def _send_with_retries(self, method: str, path: str, form: Form) -> tuple[int, bytes]:
        deadline = time.monotonic() + self._timeout
        bounded = self._bounded(form)
        pauses = iter(_RETRY_PAUSES)
        while True:
            pause = next(pauses, math.inf)
            try:
                status, body = self._send(method, path, bounded, deadline)
            except UpstreamError as error:
                if error.error != UNREACHABLE or not _can_wait(pause, deadline):
                    raise
            else:
                if status not in _RETRIED_STATUSES or not _can_wait(pause, deadline):
                    return status, body
            time.sleep(pause)

    def _bounded(self, form: Form) -> Form:
        """``form`` with the time after which Prometheus need not work on, because nobody waits."""
        return {**form, "timeout": f"{max(1, int(self._timeout * 1000))}ms"}

    def _send(self, method: str, path: str, form: Form, deadline: float) -> tuple[int, bytes]:
        fields, seconds = urlencode(form, doseq=True), deadline - time.monotonic()
        if method == "POST":
            return self._transport.request(path, fields, seconds)
        return self._transport.request(f"{path}?{fields}" if fields else path, None, seconds)


def _not_yours() -> UpstreamError:
    return UpstreamError(INVALID, "Prometheus' answer held what is not yours and was dropped.")


def _can_wait(pause: float, deadline: float) -> bool:
    return time.monotonic() + pause < deadline


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds // 1000}.{milliseconds % 1000:03d}"


def _range_form(promql: str, grid: Grid) -> Form:
    start, end, step = map(_seconds, (grid.times[0], grid.times[-1], grid.step))
    return {"query": promql, "start": start, "end": end, "step": step}
