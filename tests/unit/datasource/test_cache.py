"""Kept answers and shared calls: never too old, never another's, never too many."""

from __future__ import annotations

import dataclasses
import gc
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

import modelplane_datasource
from datasource_support.fake_prometheus import FakePrometheus, matrix_reply, vector_reply
from modelplane_datasource.app import close_app, create_app
from modelplane_datasource.cache import COALESCED, ENTRY_BYTES, HIT, MISS, SingleFlightCache
from modelplane_datasource.prometheus.client import PrometheusClient
from modelplane_datasource.prometheus.errors import UpstreamError
from modelplane_datasource.settings import Settings
from modelplane_datasource.timeline.grid import Grid
from modelplane_provisioning.processes import PATIENCE_SECONDS

NOW = 1_698_400_800
HOUR = 3600
WHO = {"model-name": "resnet50", "tenant-id": "user-A"}
LABELS = {"model_name": "resnet50", "model_version": "v1", "tenant_id": "user-A"}
LATENCY = "/api/v1/metrics/latency"
# What the threads of the test's own server hold is not the cache's.
PACKAGE_ONLY = tuple(
    tracemalloc.Filter(True, str(Path(str(package.__file__)).parent / "*"))
    for package in (modelplane_datasource, np)
)


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def outcomes() -> list[str]:
    return []


@pytest.fixture
def cache(clock: Clock, outcomes: list[str]) -> SingleFlightCache:
    return SingleFlightCache(3 * ENTRY_BYTES, outcomes.append, clock)


def wait_until_long(seen: list[str], length: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(seen) < length:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def ask(cache: SingleFlightCache, key: str, answer: str, seconds: float = 10.0, size: int = 0) -> str:
    return cache.get_or_make(key, seconds, lambda: answer, lambda _: size)


def test_an_answer_is_kept_for_its_seconds(
    cache: SingleFlightCache, clock: Clock, outcomes: list[str]
) -> None:
    assert ask(cache, "a", "old") == "old"
    clock.seconds = 9.9
    assert ask(cache, "a", "new") == "old"
    assert ask(cache, "b", "other") == "other"
    clock.seconds = 10.0
    assert ask(cache, "a", "new") == "new"
    assert outcomes == [MISS, HIT, MISS, MISS]


def test_age_counts_from_the_question_not_from_the_answer(cache: SingleFlightCache, clock: Clock) -> None:
    def slowly() -> str:
        clock.seconds += 6
        return "old"

    assert cache.get_or_make("a", 10, slowly, lambda _: 0) == "old"
    clock.seconds = 10.0
    assert ask(cache, "a", "new") == "new"


@pytest.mark.parametrize(("seconds", "size"), [(0.0, 0), (10.0, 3 * ENTRY_BYTES)])
def test_what_may_not_be_kept_or_is_too_large_is_asked_again(
    cache: SingleFlightCache, seconds: float, size: int
) -> None:
    assert ask(cache, "a", "old", seconds, size) == "old"
    assert cache.entries == 0
    assert ask(cache, "a", "new", seconds, size) == "new"


def test_the_least_recently_used_answer_goes_first(cache: SingleFlightCache) -> None:
    for key in "abc":
        ask(cache, key, "old")
    ask(cache, "a", "new")
    ask(cache, "d", "old")
    assert cache.entries == 3
    assert [ask(cache, key, "new") for key in "acdb"] == ["old", "old", "old", "new"]


def test_an_error_is_not_kept(cache: SingleFlightCache) -> None:
    def fail() -> str:
        raise ZeroDivisionError

    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            cache.get_or_make("a", 10, fail, lambda _: 0)
    assert ask(cache, "a", "new") == "new"


def pair(key: str, when: float) -> tuple[str, float]:
    return key, when


def count(size: int, _answer: object) -> int:
    return size


@pytest.mark.slow
@given(
    st.lists(
        st.tuples(st.sampled_from("abcdefg"), st.integers(0, 5), st.integers(0, 12), st.integers(0, 3000)),
        max_size=60,
    )
)
def test_whatever_is_asked_no_answer_is_too_old_and_the_bytes_are_bounded(
    steps: list[tuple[str, int, int, int]],
) -> None:
    clock, seen = Clock(), list[str]()
    cache = SingleFlightCache(3 * ENTRY_BYTES, seen.append, clock)
    for key, passed, seconds, size in steps:
        clock.seconds += passed
        requested_at = clock.seconds
        answered_for, when = cache.get_or_make(
            key, seconds, partial(pair, key, requested_at), partial(count, size)
        )
        assert answered_for == key
        assert when == requested_at or requested_at - when < 12
        assert cache.bytes <= 3 * ENTRY_BYTES
        assert cache.entries <= 3
    assert len(seen) == len(steps)


@pytest.mark.parametrize("fails", [False, True])
def test_all_who_ask_at_once_wait_for_one_call_and_share_its_end(
    cache: SingleFlightCache, outcomes: list[str], fails: bool
) -> None:
    release, calls = threading.Event(), list[int]()

    def slowly() -> str:
        calls.append(1)
        assert release.wait(PATIENCE_SECONDS)
        if fails:
            raise ZeroDivisionError("shared")
        return "answer"

    def fetch() -> str:
        try:
            return cache.get_or_make("a", 10, slowly, lambda _: 0)
        except ZeroDivisionError as error:
            return str(error)

    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(fetch) for _ in range(8)]
        wait_until_long(outcomes, 8)
        release.set()
        assert {answer.result() for answer in answers} == {"shared" if fails else "answer"}
    assert len(calls) == 1
    assert sorted(outcomes) == sorted([MISS, *[COALESCED] * 7])


def lookups(client: FlaskClient) -> dict[str, float]:
    families = text_string_to_metric_families(client.get("/metrics").get_data(as_text=True))
    return {
        sample.labels["result"]: sample.value
        for family in families
        for sample in family.samples
        if sample.name == "modelplane_datasource_cache_lookups_total"
    }


@pytest.fixture
def wall() -> Clock:
    return Clock(NOW)


@pytest.fixture
def later_client(settings: Settings, wall: Clock) -> Iterator[FlaskClient]:
    app = create_app(settings, clock=wall)
    yield app.test_client()
    close_app(app)


def test_identical_panels_within_a_step_share_one_query(
    upstream: FakePrometheus, later_client: FlaskClient, wall: Clock
) -> None:
    upstream.reply = lambda *_: matrix_reply((LABELS, [(NOW, str(len(upstream.calls)))]))
    query = {**WHO, "from": "now-1h", "step": "15s"}
    first = later_client.get(LATENCY, query_string=query).json
    wall.seconds = NOW + 14.9
    second = later_client.get(LATENCY, query_string=query).json
    assert first is not None
    assert second is not None
    assert len(upstream.calls) == 1
    assert second["data"] == first["data"]
    assert second["data"][0]["data"][-1]["y"] == 1.0
    assert second["query_time"] > first["query_time"]
    wall.seconds = NOW + 15
    upstream.reply = lambda *_: matrix_reply((LABELS, [(NOW + 15, "2")]))
    third = later_client.get(LATENCY, query_string=query).json
    assert third is not None
    last = third["data"][0]["data"][-1]
    assert (last["x"], last["y"]) == ((NOW + 15) * 1000, 2.0)
    assert lookups(later_client)[HIT] == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        {"tenant-id": "user-B"},
        {"model-name": "bert"},
        {"from": "now-50m"},
        {"step": "30s"},
        {"quantile": "0.5"},
    ],
)
def test_another_question_is_never_answered_from_the_cache(
    upstream: FakePrometheus, client: FlaskClient, change: dict[str, str]
) -> None:
    query = {**WHO, "from": "now-1h", "step": "15s"}
    for requested in (query, {**query, **change}):
        assert client.get(LATENCY, query_string=requested).status_code == 200
    assert len(upstream.calls) == 2


def test_a_failed_answer_is_asked_for_again(upstream: FakePrometheus, client: FlaskClient) -> None:
    upstream.reply = lambda *_: (500, {}, b"<html>")
    assert client.get(LATENCY, query_string=WHO).status_code == 502
    upstream.reply = lambda *_: matrix_reply()
    assert client.get(LATENCY, query_string=WHO).status_code == 200


def test_warnings_are_kept_with_the_answer(upstream: FakePrometheus, client: FlaskClient) -> None:
    upstream.reply = lambda *_: matrix_reply(warnings=["one store is down"])
    for _ in range(2):
        body = client.get(LATENCY, query_string=WHO).json
        assert body is not None
        assert body["warnings"] == ["one store is down"]
    assert len(upstream.calls) == 1


def test_drift_at_one_moment_is_shared_within_a_scrape(
    upstream: FakePrometheus, later_client: FlaskClient, wall: Clock
) -> None:
    upstream.reply = lambda path, _: vector_reply() if path.endswith("/query") else matrix_reply()
    calls = []
    for seconds in (NOW, NOW + 14.9):
        wall.seconds = seconds
        assert later_client.get("/api/v1/drift/top?model-name=churn").status_code == 200
        calls.append(len(upstream.calls))
    assert calls == [4, 4]
    # The rows, of which the second request gets what is kept, the signals, and the answers they are made of.
    assert lookups(later_client) == {HIT: 1, MISS: 2 + calls[0], COALESCED: 0}


def test_parallel_requests_make_one_call(upstream: FakePrometheus, settings: Settings) -> None:
    requested, release, seen = 8, threading.Event(), list[str]()

    def reply(*_: object) -> Any:
        assert release.wait(PATIENCE_SECONDS)
        return matrix_reply((LABELS, [(1, "1")]))

    upstream.reply = reply
    cache = SingleFlightCache(settings.max_cache_bytes, seen.append)
    prometheus = PrometheusClient(settings, cache, lambda _: None)
    with ThreadPoolExecutor(requested) as pool:
        answers = [
            pool.submit(prometheus.query_table, "up", Grid(1000, 1000, 1000)) for _ in range(requested)
        ]
        wait_until_long(seen, requested)
        release.set()
        assert len({id(answer.result()) for answer in answers}) == 1
    prometheus.close()
    assert len(upstream.calls) == 1


def test_a_shared_failure_is_reported_once(upstream: FakePrometheus, settings: Settings) -> None:
    requested, release, seen, kinds = 4, threading.Event(), list[str](), list[str]()

    def reply(*_: object) -> Any:
        assert release.wait(PATIENCE_SECONDS)
        return 200, {}, b"<html>"

    def status(prometheus: PrometheusClient) -> int:
        with pytest.raises(UpstreamError) as caught:
            prometheus.query("up", 1000)
        return caught.value.status

    upstream.reply = reply
    cache = SingleFlightCache(settings.max_cache_bytes, seen.append)
    prometheus = PrometheusClient(settings, cache, kinds.append)
    with ThreadPoolExecutor(requested) as pool:
        answers = [pool.submit(status, prometheus) for _ in range(requested)]
        wait_until_long(seen, requested)
        release.set()
        assert [answer.result() for answer in answers] == [502] * requested
    prometheus.close()
    assert kinds == ["upstream_invalid"]


@pytest.mark.slow
@pytest.mark.parametrize(("series", "points"), [(1, 5000), (100, 60), (1000, 1)])
def test_the_bytes_counted_are_at_least_those_used(
    upstream: FakePrometheus, settings: Settings, series: int, points: int
) -> None:
    times = [(HOUR * number, f"0.{number:09d}1") for number in range(1, points + 1)]
    owners = [{**LABELS, "tenant_id": f"tenant-{number}"} for number in range(series)]

    def reply(_path: str, form: dict[str, str]) -> Any:
        first, last = (round(float(form[name])) // HOUR - 1 for name in ("start", "end"))
        return matrix_reply(*((owner, times[first : last + 1]) for owner in owners))

    upstream.reply = reply
    grid = Grid(1000 * HOUR, 1000 * HOUR * points, 1000 * HOUR)
    cache = SingleFlightCache(settings.max_cache_bytes)
    prometheus = PrometheusClient(dataclasses.replace(settings, cache_seconds=HOUR), cache, lambda _: None)
    prometheus.query_table("warm", grid)
    counted = cache.bytes
    tracemalloc.start()
    prometheus.query_table("up", grid)
    gc.collect()
    traces = tracemalloc.take_snapshot().filter_traces(PACKAGE_ONLY)
    tracemalloc.stop()
    prometheus.close()
    used = sum(trace.size for trace in traces.traces)
    assert 0.9 * used <= cache.bytes - counted <= 3 * used


def test_the_cache_can_be_off(
    upstream: FakePrometheus, settings: Settings, make_client: Callable[[Settings], FlaskClient]
) -> None:
    client = make_client(dataclasses.replace(settings, cache_seconds=0))
    for _ in range(2):
        client.get(LATENCY, query_string=WHO)
    assert len(upstream.calls) == 2
