"""What waits is written together, and each thread learns how its own item fared."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from modelplane_datasource.alerts.database import StoreError
from modelplane_datasource.alerts.group_commit import GroupCommit
from modelplane_provisioning.processes import wait_until


class Disk:
    """Writes when it may; refuses groups that have a bad item."""

    def __init__(self) -> None:
        self.groups: list[list[str]] = []
        self.bad: dict[str, Exception] = {}
        self.may_write = threading.Event()
        self.is_writing = threading.Event()

    def write(self, items: Sequence[str]) -> None:
        self.is_writing.set()
        self.may_write.wait()
        self.groups.append([*items])
        for item in items:
            if item in self.bad:
                raise self.bad[item]


@pytest.fixture
def disk() -> Disk:
    return Disk()


class Writers:
    """Threads that write an item each."""

    def __init__(self, disk: Disk, pool: ThreadPoolExecutor) -> None:
        self.commits = GroupCommit(disk.write, len)
        self._disk = disk
        self._pool = pool

    def waiting(self, items: Sequence[str]) -> list[Future[None]]:
        """The writes of a first item, which is being written, and of others, which wait for that."""
        first = self._pool.submit(self.commits.write, "first")
        self._disk.is_writing.wait()
        others = [self._pool.submit(self.commits.write, item) for item in items]
        assert wait_until(lambda: len(self.commits._waiting) == len(items))
        return [first, *others]


@pytest.fixture
def writers(disk: Disk) -> Iterator[Writers]:
    with ThreadPoolExecutor(300) as pool:
        writers = Writers(disk, pool)
        yield writers
        disk.may_write.set()
    writers.commits.close()


def test_what_waits_is_written_at_once(disk: Disk, writers: Writers) -> None:
    items = [f"{number}" for number in range(250)]
    outcomes = writers.waiting(items)
    assert not any(outcome.done() for outcome in outcomes)
    disk.may_write.set()
    for outcome in outcomes:
        outcome.result()
    assert [sorted(group) for group in disk.groups] == [["first"], sorted(items)]


def test_a_group_is_no_larger_than_a_transaction_should_be(disk: Disk, writers: Writers) -> None:
    outcomes = writers.waiting([letter * (7 * 2**20) for letter in "abc"])
    disk.may_write.set()
    for outcome in outcomes:
        outcome.result()
    assert [len(group) for group in disk.groups] == [1, 2, 1]


def test_an_item_that_cannot_be_written_fails_alone(disk: Disk, writers: Writers) -> None:
    disk.bad = {"bad": ValueError("bad"), "odd": StoreError("odd", concerns_all=False)}
    good, bad, odd, fine = writers.waiting(["bad", "odd", "fine"])
    disk.may_write.set()
    for outcome in (good, fine):
        outcome.result()
    with pytest.raises(ValueError, match="bad"):
        bad.result()
    with pytest.raises(StoreError, match="odd"):
        odd.result()


def test_a_database_that_cannot_be_written_fails_all_at_once(disk: Disk, writers: Writers) -> None:
    disk.bad = {"a": StoreError("locked")}
    first, *others = writers.waiting(["a", "b"])
    disk.may_write.set()
    first.result()
    for outcome in others:
        with pytest.raises(StoreError, match="locked"):
            outcome.result()
    assert len(disk.groups) == 2


def test_what_waits_when_it_is_closed_is_written_and_nothing_after(disk: Disk) -> None:
    commits = GroupCommit(disk.write, len)
    with ThreadPoolExecutor(2) as pool:
        outcome = pool.submit(commits.write, "a")
        disk.is_writing.wait()
        closing = pool.submit(commits.close)
        disk.may_write.set()
        closing.result()
        outcome.result()
    with pytest.raises(StoreError, match="closed"):
        commits.write("b")
