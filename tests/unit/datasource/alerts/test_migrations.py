"""A database of the first version becomes one of this version, with its data."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from modelplane_datasource.alerts.payloads import parse_payload
from modelplane_datasource.alerts.store import AlertFilter, AlertStore, StoreError
from modelplane_datasource.alerts.tables import SCHEMA

FIRST = """
CREATE TABLE deliveries (
    id INTEGER NOT NULL, received_at BIGINT NOT NULL, last_received_at BIGINT NOT NULL,
    count INTEGER NOT NULL, sha256 VARCHAR(64) NOT NULL, body BLOB NOT NULL, parsed BOOLEAN NOT NULL,
    PRIMARY KEY (id), UNIQUE (sha256)
);
CREATE INDEX deliveries_unparsed ON deliveries (parsed, last_received_at);
CREATE TABLE alerts (
    fingerprint TEXT NOT NULL, starts_at BIGINT NOT NULL, status TEXT NOT NULL, ends_at BIGINT,
    alertname TEXT NOT NULL, severity TEXT NOT NULL, tenant_id TEXT NOT NULL, model_name TEXT NOT NULL,
    model_version TEXT NOT NULL, labels TEXT NOT NULL, annotations TEXT NOT NULL, generator_url TEXT NOT NULL,
    PRIMARY KEY (fingerprint, starts_at)
);
CREATE INDEX alerts_by_start ON alerts (starts_at);
"""
BODY = b"""{"version": "4", "alerts": [{"status": "firing", "startsAt": "1970-01-01T00:00:01Z",
    "labels": {"alertname": "Down", "tenant_id": "t\\u0007\\u00e9\\"\\\\"}, "fingerprint": "f1"}]}"""
LABELS = '{"alertname":"Down","tenant_id":"t\\u0007\u00e9\\"\\\\"}'
TENANT = 't\x07\u00e9"\\'


def first_version(path: Path) -> None:
    texts = ("Down", "", TENANT, "", "", LABELS, "{}", "")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(FIRST)
        connection.executemany(
            "INSERT INTO deliveries VALUES (?, 5, 6, 2, ?, ?, ?)", [(1, "a", BODY, 1), (9, "b", b"raw", 0)]
        )
        connection.executemany(
            "INSERT INTO alerts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                ("f1", 1000, "firing", None, *texts),
                ("f2", 1000, "resolved", 3000, *texts),
                ("f2", 2000, "resolved", 4000, *texts),
            ],
        )


def test_alerts_and_payloads_are_kept(tmp_path: Path) -> None:
    first_version(tmp_path / "m.db")
    store = AlertStore(f"sqlite:///{tmp_path}/m.db", 10)
    result = [
        (episode.fingerprint, episode.starts_at, episode.ends_at, episode.tenant_id)
        for episode in store.alerts(AlertFilter())
    ]
    assert result == [("f1", 1000, None, TENANT), ("f2", 1000, 4000, TENANT)]
    # The same notification again is known, and the alert it speaks of is the same.
    store.record(BODY, parse_payload(BODY), 7)
    assert len(store.alerts(AlertFilter())) == 2
    store.close()
    with closing(sqlite3.connect(tmp_path / "m.db")) as connection:
        payloads = connection.execute("SELECT id, kind, count, body FROM payloads ORDER BY id").fetchall()
        assert payloads == [(1, "webhook", 3, BODY), (9, "raw", 2, b"raw")]
        assert connection.execute("SELECT count(*) FROM observations").fetchone() == (3,)
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    assert not {("deliveries",), ("alerts",)} & set(names)


def test_replay_of_what_was_migrated_finds_the_alerts_of_the_payloads(tmp_path: Path) -> None:
    first_version(tmp_path / "m.db")
    store = AlertStore(f"sqlite:///{tmp_path}/m.db", 10)
    before = [episode for episode in store.alerts(AlertFilter()) if episode.fingerprint == "f1"]
    store.replay(lambda done, total: None)
    assert store.alerts(AlertFilter()) == before
    store.close()


@pytest.mark.slow
def test_the_tables_are_those_that_the_code_declares(tmp_path: Path) -> None:
    for name in ("old.db", "new.db"):
        if name == "old.db":
            first_version(tmp_path / name)
        AlertStore(f"sqlite:///{tmp_path}/{name}", 10).close()
        engine = sa.create_engine(f"sqlite:///{tmp_path}/{name}")
        with engine.connect() as connection:
            assert compare_metadata(MigrationContext.configure(connection), SCHEMA) == []
        engine.dispose()


def test_stores_that_start_at_once_migrate_once(tmp_path: Path) -> None:
    first_version(tmp_path / "m.db")
    with ThreadPoolExecutor(6) as pool:
        stores = list(pool.map(lambda _: AlertStore(f"sqlite:///{tmp_path}/m.db", 10), range(6)))
    for store in stores:
        assert len(store.alerts(AlertFilter())) == 2
        store.close()


def test_a_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    first_version(tmp_path / "m.db")
    with closing(sqlite3.connect(tmp_path / "m.db")) as connection, connection:
        connection.execute("UPDATE alerts SET labels = 'no json'")
    with pytest.raises(ValueError, match="invalid literal"):
        AlertStore(f"sqlite:///{tmp_path}/m.db", 10)
    with closing(sqlite3.connect(tmp_path / "m.db")) as connection:
        assert connection.execute("SELECT count(*) FROM deliveries").fetchone() == (2,)
        assert connection.execute("SELECT count(*) FROM alerts").fetchone() == (3,)


def test_a_database_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    AlertStore(f"sqlite:///{tmp_path}/m.db", 10).close()
    with closing(sqlite3.connect(tmp_path / "m.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreError, match="another version"):
        AlertStore(f"sqlite:///{tmp_path}/m.db", 10)
