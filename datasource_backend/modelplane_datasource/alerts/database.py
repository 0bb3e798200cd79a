"""The database of the alert store: SQLite or PostgreSQL, its transactions and its migrations."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from urllib.parse import quote

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from modelplane_datasource.alerts.sqlite_files import SqliteFiles

_PATIENCE_SECONDS = 10
_MIGRATIONS = Path(__file__).parent / "migrations"
_FIRST_REVISION, _FIRST_TABLE = "0001", "deliveries"
# Any number that no other program is likely to lock on the same server.
_ADVISORY_LOCK = 0x6D6F64656C706C
_POSTGRESQL_CONNECTION = {
    "connect_timeout": 5, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}  # fmt: skip
_POSTGRESQL_WRITER = (
    "SET LOCAL synchronous_commit TO on",
    f"SET LOCAL lock_timeout TO '{_PATIENCE_SECONDS}s'",
    f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})",
)


OnCall = Callable[[str, bool, float], None]


def not_observed(_operation: str, _succeeded: bool, _seconds: float) -> None:
    """Nobody observes the calls."""


class StoreError(RuntimeError):
    """The database cannot be opened, read or written now.

    ``concerns_all``: whatever had been written then would have failed in the same way.
    """

    def __init__(self, message: str, concerns_all: bool = True) -> None:
        super().__init__(message)
        self.concerns_all = concerns_all


class Database:
    """Transactions of one database. Writers of all processes take turns, so that none misses another's rows;
    none waits for longer than 10 s."""

    def __init__(self, url: str, connections: int, on_call: OnCall = not_observed) -> None:
        """``on_call`` gets each transaction: ``read`` or ``write``, whether it succeeded, seconds."""
        self._on_call = on_call
        self._turn = threading.Lock()
        with _as_store_error("opened"):
            self._files = _open_files(url)
            self._writer = _engine(url, connections)
        self._reader = self._writer.execution_options(read_only=True)

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is a file of SQLite."""
        return self._writer.dialect.name == "sqlite"

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A transaction that only reads. StoreError."""
        with self._observed("read"), _as_store_error("read"), self._reader.connect() as connection:
            yield connection

    @contextmanager
    def writing(self, purpose: str = "written") -> Iterator[sa.Connection]:
        """The one transaction that writes; what it wrote is durable on leaving. StoreError."""
        with self._observed("write"):
            with self._turn_to_write(), _as_store_error(purpose), self._writer.begin() as connection:
                yield connection
            if self._files is not None and not self._files.are_in_place:
                raise StoreError(
                    "the database cannot be written: its file was moved, deleted or replaced; "
                    "put it back, or restart the backend"
                )

    def back_up(self, target: str) -> None:
        """Copy a database of SQLite to a new file, as one transaction sees it. StoreError."""
        with _as_store_error("backed up"), closing(self._writer.raw_connection()) as connection:
            connection.cursor().execute("VACUUM INTO ?", (target,))

    def close(self) -> None:
        """Close all connections."""
        self._writer.dispose()
        if self._files is not None:
            self._files.close()

    @contextmanager
    def _observed(self, operation: str) -> Iterator[None]:
        started, succeeded = time.perf_counter(), False
        try:
            yield
            succeeded = True
        finally:
            self._on_call(operation, succeeded, time.perf_counter() - started)

    @contextmanager
    def _turn_to_write(self) -> Iterator[None]:
        if not self._turn.acquire(timeout=_PATIENCE_SECONDS):
            raise StoreError("the database cannot be written: another writer takes too long")
        try:
            yield
        finally:
            self._turn.release()


def migrate(connection: sa.Connection) -> bool:
    """Bring the tables up to date inside the transaction of ``connection``; whether anything was done.

    StoreError when the database belongs to a newer version of modelplane.
    """
    config = _migrations()
    config.attributes["connection"] = connection
    try:
        current = MigrationContext.configure(connection).get_current_revision()
        if current is None and sa.inspect(connection).has_table(_FIRST_TABLE):
            command.stamp(config, _FIRST_REVISION)
        if current == _newest_revision():
            return False
        command.upgrade(config, "head")
    except CommandError as error:
        raise StoreError(f"the database is of another version of modelplane: {error}") from error
    return True


def _migrations() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


@cache
def _newest_revision() -> str | None:
    return ScriptDirectory.from_config(_migrations()).get_current_head()


def _sqlite_path(url: str) -> str | None:
    """The absolute path of a database of SQLite, None for another."""
    parsed = sa.make_url(url)
    return os.path.abspath(parsed.database or "") if parsed.get_backend_name() == "sqlite" else None


def _open_files(url: str) -> SqliteFiles | None:
    path = _sqlite_path(url)
    return None if path is None else SqliteFiles(path, _prepare_sqlite)


def _engine(url: str, connections: int) -> sa.Engine:
    pool = {"pool_size": connections, "pool_timeout": _PATIENCE_SECONDS}
    path = _sqlite_path(url)
    if path is not None:
        # A database that has gone must not be replaced by an empty one.
        address = f"file:{quote(os.fsencode(path))}?mode=rw"
        engine = sa.create_engine(
            "sqlite://",
            poolclass=sa.QueuePool,
            creator=lambda: sqlite3.connect(address, uri=True, check_same_thread=False),
            **pool,
        )
        sa.event.listen(engine, "connect", lambda connection, _record: _prepare_sqlite(connection))
        sa.event.listen(engine, "begin", _begin_sqlite)
        return engine
    # A connection that the server closed, for example by a restart, is replaced before it is used.
    engine = sa.create_engine(url, pool_pre_ping=True, connect_args=_POSTGRESQL_CONNECTION, **pool)
    sa.event.listen(engine, "begin", _begin_postgresql)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection) -> None:
    connection.isolation_level = None  # transactions begin in _begin_sqlite, not in the driver
    for pragma in (f"busy_timeout={_PATIENCE_SECONDS * 1000}", "synchronous=FULL"):
        connection.execute(f"PRAGMA {pragma}")
    _switch_to_wal(connection)


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    """SQLite does not wait for other connections here, as it does elsewhere: so this does."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _begin_sqlite(connection: sa.Connection) -> None:
    """A writer takes the lock at once: upgrading a read lock later fails without waiting."""
    connection.exec_driver_sql("BEGIN" if _only_reads(connection) else "BEGIN IMMEDIATE")


def _begin_postgresql(connection: sa.Connection) -> None:
    """A writer waits for its turn here, and its commit for the disk whatever the server's default is."""
    if not _only_reads(connection):
        for statement in _POSTGRESQL_WRITER:
            connection.exec_driver_sql(statement)


def _only_reads(connection: sa.Connection) -> bool:
    return bool(connection.get_execution_options().get("read_only", False))


@contextmanager
def _as_store_error(purpose: str) -> Iterator[None]:
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error) as error:
        concerns_all = isinstance(error, OperationalError | PoolTimeout)
        raise StoreError(f"the database cannot be {purpose}: {_reason(error)}", concerns_all) from error


def _reason(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error)
