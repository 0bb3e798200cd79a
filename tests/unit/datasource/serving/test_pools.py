"""Requests of one kind neither wait for those of another nor without a bound."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from modelplane_datasource.serving.bulkheads import (
    DELIVERIES,
    HEALTH,
    HISTORY,
    METRICS,
    QUERIES,
    READINESS,
    SILENCES,
    Bulkhead,
    bulkheads,
    kind_of,
)
from modelplane_datasource.serving.pools import BulkheadPools, is_refused
from modelplane_datasource.settings import Settings
from modelplane_provisioning.processes import PATIENCE_SECONDS, wait_until


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("GET", "/healthz", HEALTH), ("HEAD", "/healthz", HEALTH), ("GET", "/healthz/", HEALTH),
        ("GET", "//healthz", HEALTH), ("GET", "/metrics", METRICS), ("GET", "/readyz", READINESS),
        ("POST", "/api/v1/alerts", DELIVERIES), ("POST", "/api/v1/alerts/", DELIVERIES),
        ("GET", "/api/v1/alerts", HISTORY), ("GET", "/api/v1/incidents/7", HISTORY),
        ("POST", "/api/v1/incidents/7/acknowledge", HISTORY), ("GET", "/api/v1/metrics/latency", QUERIES),
        ("POST", "/grafana/query", QUERIES), ("GET", "/", QUERIES), ("GET", "/healthz/x", QUERIES),
        ("POST", "/prometheus/api/v1/query", QUERIES), ("GET", "", QUERIES),
        ("GET", "/api/v1/silences", SILENCES), ("POST", "/api/v1/silences/7/expire", SILENCES),
        ("GET", "/api/v1/watchdog", HISTORY),
    ],
)  # fmt: skip
def test_the_kind_of_a_request(method: str, path: str, kind: str) -> None:
    assert kind_of(method, path) == kind


def test_every_kind_has_a_bounded_pool() -> None:
    settings = Settings(threads=3, max_waiting_requests=5, max_waiting_deliveries=7)
    pools = {pool.name: pool for pool in bulkheads(settings)}
    assert set(pools) == {HEALTH, READINESS, METRICS, DELIVERIES, HISTORY, SILENCES, QUERIES}
    assert pools[QUERIES] == Bulkhead(QUERIES, 3, 5)
    assert pools[DELIVERIES].max_waiting == 7
    assert all(pool.threads > 0 and pool.max_waiting > 0 for pool in pools.values())


def test_the_page_has_the_pools_of_the_code() -> None:
    page = (Path(__file__).parents[4] / "docs" / "deploy.md").read_text(encoding="utf-8")
    section = page.partition("## The server, and what may stand in front")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (\w+) \| .* \| (\d+|`threads` \(8\)) \| ([^|]*) \|$", section, re.MULTILINE)
    table = [(name, *(int(re.sub(r"\D", "", text)) for text in numbers)) for name, *numbers in rows]
    assert table == [tuple(pool) for pool in bulkheads(Settings())]


class Parsed:
    """A request that waitress has parsed."""

    command = "GET"

    def __init__(self, path: str, error: object) -> None:
        self.path = path
        self.error = error


class Channel:
    """What the pools see of a connection: it is answered when it may be, or at once when it is refused."""

    def __init__(self, path: str, may_answer: threading.Event, error: object = None) -> None:
        self.requests = [Parsed(path, error)]
        self._may_answer = may_answer
        self.is_answered = threading.Event()
        self.is_cancelled = False

    @property
    def is_refused(self) -> bool:
        return is_refused(self.requests[0])

    def service(self) -> None:
        if not self.is_refused and not self.requests[0].error:
            self._may_answer.wait(PATIENCE_SECONDS)
        self.is_answered.set()

    def cancel(self) -> None:
        self.is_cancelled = True


SLOW, QUICK = "/api/v1/metrics/latency", "/healthz"
Pools = Callable[..., BulkheadPools]


@pytest.fixture
def may_answer() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def refusals() -> list[str]:
    return []


@pytest.fixture
def make_pools(refusals: list[str], may_answer: threading.Event) -> Iterator[Pools]:
    made: list[BulkheadPools] = []

    def make(max_waiting: int = 1000, max_wait_seconds: float = 3600) -> BulkheadPools:
        kinds = (Bulkhead(QUERIES, 2, max_waiting), Bulkhead(HEALTH, 1, 10))
        made.append(BulkheadPools(kinds, max_wait_seconds, refusals.append))
        return made[-1]

    yield make
    may_answer.set()
    for pools in made:
        pools.shutdown()


def fill(pools: BulkheadPools, may_answer: threading.Event, count: int) -> list[Channel]:
    """Slow requests, two of which are being answered."""
    channels = [Channel(SLOW, may_answer) for _ in range(2)]
    for channel in channels:
        pools.add_task(channel)
    assert wait_until(lambda: pools.waiting[QUERIES] == 0)
    for _ in range(count - 2):
        channels.append(Channel(SLOW, may_answer))
        pools.add_task(channels[-1])
    return channels


def test_a_kind_does_not_wait_for_another(make_pools: Pools, may_answer: threading.Event) -> None:
    pools = make_pools()
    slow = fill(pools, may_answer, 200)
    assert pools.waiting == {QUERIES: 198, HEALTH: 0}
    quick = Channel(QUICK, may_answer=threading.Event())
    quick._may_answer.set()
    pools.add_task(quick)
    assert quick.is_answered.wait(PATIENCE_SECONDS)
    assert not any(channel.is_answered.is_set() for channel in slow)
    may_answer.set()
    assert all(channel.is_answered.wait(PATIENCE_SECONDS) for channel in slow)


def test_more_than_may_wait_are_refused_at_once(
    make_pools: Pools, may_answer: threading.Event, refusals: list[str]
) -> None:
    channels = fill(make_pools(max_waiting=3), may_answer, 10)
    assert [channel.is_refused for channel in channels] == [False] * 5 + [True] * 5
    assert all(channel.is_answered.wait(PATIENCE_SECONDS) for channel in channels[5:])
    assert not any(channel.is_answered.is_set() for channel in channels[:5])
    assert refusals == [QUERIES] * 5


def test_who_has_waited_too_long_is_refused_though_no_thread_is_free(
    make_pools: Pools, may_answer: threading.Event, refusals: list[str]
) -> None:
    pools = make_pools(max_wait_seconds=0.01)
    channels = fill(pools, may_answer, 2)
    late = Channel(SLOW, may_answer)
    pools.add_task(late)
    assert late.is_answered.wait(PATIENCE_SECONDS)
    assert late.is_refused
    assert refusals == [QUERIES]
    assert not any(channel.is_refused for channel in channels)


def test_a_broken_request_waits_for_nobody(make_pools: Pools, may_answer: threading.Event) -> None:
    pools = make_pools()
    fill(pools, may_answer, 5)
    broken = Channel(SLOW, may_answer, error="broken")
    pools.add_task(broken)
    assert broken.is_answered.wait(PATIENCE_SECONDS)


def test_a_stop_answers_what_is_begun_and_cancels_what_waits(
    make_pools: Pools, may_answer: threading.Event
) -> None:
    pools = make_pools()
    channels = fill(pools, may_answer, 4)
    stopping = threading.Thread(target=pools.shutdown)
    stopping.start()
    may_answer.set()
    stopping.join(PATIENCE_SECONDS)
    assert not stopping.is_alive()
    assert all(channel.is_answered.is_set() for channel in channels[:2])
    assert all(channel.is_answered.is_set() != channel.is_cancelled for channel in channels)
