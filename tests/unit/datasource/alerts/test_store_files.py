"""Nothing is acknowledged, and nobody is told that all is well, when the database is not where it was."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from datasource_support.alert_bodies import alert, payload
from modelplane_datasource.alerts.payloads import parse_payload
from modelplane_datasource.alerts.store import AlertFilter, AlertStore, StoreError


@pytest.fixture
def store(tmp_path: Path) -> Iterator[AlertStore]:
    with closing(AlertStore(f"sqlite:///{tmp_path}/store.db", 10)) as store:
        yield store


def deliver(store: AlertStore, fingerprint: str) -> None:
    body = payload(alert(fingerprint))
    store.record(body, parse_payload(body), 1)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
@pytest.mark.parametrize("remove", [os.remove, lambda path: os.rename(path, f"{path}.away")])
def test_nothing_is_acknowledged_when_a_file_of_the_database_has_gone(
    store: AlertStore, tmp_path: Path, suffix: str, remove: Callable[[str], None]
) -> None:
    deliver(store, "before")
    store.check_ready()
    remove(f"{tmp_path}/store.db{suffix}")
    for call in (store.check_ready, lambda: deliver(store, "after")):
        with pytest.raises(StoreError, match="moved, deleted or replaced"):
            call()


def test_a_database_that_has_gone_is_not_replaced_by_an_empty_one(store: AlertStore, tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    (tmp_path / "elsewhere").mkdir()
    path.rename(tmp_path / "elsewhere" / "store.db")
    store._database._writer.dispose()
    with pytest.raises(StoreError, match="unable to open"):
        store.check_ready()
    assert not path.exists()


def test_a_database_in_the_place_of_the_one_that_was_opened_is_another(
    store: AlertStore, tmp_path: Path
) -> None:
    store.back_up(str(tmp_path / "copy.db"))
    (tmp_path / "copy.db").rename(tmp_path / "store.db")
    with pytest.raises(StoreError, match="replaced"):
        store.check_ready()


def test_files_that_are_back_in_place_are_used_again(store: AlertStore, tmp_path: Path) -> None:
    folder = tmp_path.with_name(f"{tmp_path.name}-away")
    tmp_path.rename(folder)
    with pytest.raises(StoreError, match="moved"):
        store.check_ready()
    folder.rename(tmp_path)
    store.check_ready()
    deliver(store, "after")
    assert [episode.fingerprint for episode in store.alerts(AlertFilter())] == ["after"]


def test_readiness_is_a_write(store: AlertStore, tmp_path: Path) -> None:
    for _ in range(3):
        store.check_ready()
    with closing(sqlite3.connect(tmp_path / "store.db")) as connection, connection:
        assert connection.execute("SELECT beats FROM heartbeat").fetchall() == [(3,)]
        connection.execute("DELETE FROM heartbeat")
    store.check_ready()
    with closing(sqlite3.connect(tmp_path / "store.db")) as connection:
        assert connection.execute("SELECT beats FROM heartbeat").fetchall() == [(1,)]
