"""Sampling: one call in n, exactly, without a pattern; a budget per second; a ratio that tells."""

from __future__ import annotations

import threading
from collections import Counter

import pytest

from modelplane_exporter.signals.sampling import Sampler


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("every", [1, 2, 3, 7, 100])
def test_one_call_of_each_block_is_taken(every: int) -> None:
    sampler = Sampler(every)
    for _ in range(50):
        assert sum(sampler.take() for _ in range(every)) == 1
    assert sampler.ratio() == 1 / every


def test_which_one_does_not_follow_the_order_of_tenants() -> None:
    sampler = Sampler(2)
    taken = Counter(tenant for tenant in [0, 1] * 500 if sampler.take())
    assert taken.total() == 500
    assert min(taken.values()) > 150


def test_threads_share_the_blocks() -> None:
    sampler, taken = Sampler(10), []

    def work() -> None:
        taken.append(sum(sampler.take() for _ in range(2500)))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(taken) == 1000


def test_a_budget_per_second() -> None:
    clock = Clock()
    sampler = Sampler(per_second=5, clock=clock)
    assert sum(sampler.take() for _ in range(100)) == 5
    clock.now += 0.4
    assert sum(sampler.take() for _ in range(100)) == 2
    clock.now += 10
    assert sum(sampler.take() for _ in range(100)) == 5
    assert sampler.ratio() == 12 / 300


def test_a_budget_below_one_per_second() -> None:
    clock = Clock()
    sampler = Sampler(per_second=0.1, clock=clock)
    taken = 0
    for _ in range(100):
        taken += sampler.take()
        clock.now += 1
    assert 10 <= taken <= 11


def test_the_ratio_of_a_budget_is_that_of_the_last_minutes() -> None:
    clock = Clock()
    sampler = Sampler(per_second=1, clock=clock)
    assert sampler.ratio() == 1
    for _ in range(59):
        for _ in range(10):
            sampler.take()
        clock.now += 1
    assert sampler.ratio() == pytest.approx(0.1, abs=0.01)
    clock.now += 60
    assert sampler.ratio() == pytest.approx(0.1, abs=0.01)
    clock.now += 61
    assert sampler.ratio() == 1


def test_both_at_once() -> None:
    clock = Clock()
    sampler = Sampler(4, 10, clock)
    assert sum(sampler.take() for _ in range(400)) == 10
    assert sampler.ratio() == 10 / 400


@pytest.mark.parametrize("every", [0, -1, 1.5, "2", None])
def test_every_must_be_a_whole_number(every: object) -> None:
    with pytest.raises(ValueError, match="signals_every must be a whole number from 1 on"):
        Sampler(every)  # type: ignore[arg-type]


@pytest.mark.parametrize("per_second", [0, -1.0, float("inf"), float("nan")])
def test_per_second_must_be_a_number(per_second: float) -> None:
    with pytest.raises(ValueError, match="signals_per_second must be a number above 0"):
        Sampler(per_second=per_second)
