"""Durable store of alert deliveries and of the alerts that they add up to."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import SQLAlchemyError

from modelplane_datasource.alert_payload import AlertRecord

_BUSY_TIMEOUT_MS = 10_000
_BEFORE_ANY_END = -(2**62)

_SCHEMA = sa.MetaData()
_DELIVERIES = sa.Table(
    "deliveries", _SCHEMA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("received_at", sa.BigInteger, nullable=False),
    sa.Column("last_received_at", sa.BigInteger, nullable=False),
    sa.Column("count", sa.Integer, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False, unique=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("parsed", sa.Boolean, nullable=False),
    sa.Index("deliveries_unparsed", "parsed", "last_received_at"),
)  # fmt: skip
_ALERTS = sa.Table(
    "alerts", _SCHEMA,
    sa.Column("fingerprint", sa.Text, primary_key=True),
    sa.Column("starts_at", sa.BigInteger, primary_key=True),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("ends_at", sa.BigInteger),
    sa.Column("alertname", sa.Text, nullable=False),
    sa.Column("severity", sa.Text, nullable=False),
    sa.Column("tenant_id", sa.Text, nullable=False),
    sa.Column("model_name", sa.Text, nullable=False),
    sa.Column("model_version", sa.Text, nullable=False),
    sa.Column("labels", sa.Text, nullable=False),
    sa.Column("annotations", sa.Text, nullable=False),
    sa.Column("generator_url", sa.Text, nullable=False),
    sa.Index("alerts_by_start", "starts_at"),
)  # fmt: skip


class StoreError(RuntimeError):
    """The database cannot be opened, read or written."""


@dataclass(frozen=True, slots=True)
class AlertFilter:
    """Which alerts to list. Empty tuples select all; times in milliseconds select what overlaps them."""

    tenant_ids: tuple[str, ...] = ()
    model_names: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    alertnames: tuple[str, ...] = ()
    start: int | None = None
    end: int | None = None
    limit: int = 100


class AlertStore:
    """Alerts in SQLite. A row is the greatest of all payloads received about its alert, so their order,
    their number and their repetition do not matter."""

    def __init__(self, database_url: str, max_raw_bodies: int, connections: int = 8) -> None:
        self._max_raw_bodies = max_raw_bodies
        self._writer = sa.create_engine(database_url, pool_size=connections)
        sa.event.listen(self._writer, "connect", _prepare)
        sa.event.listen(self._writer, "begin", _begin)
        self._reader = self._writer.execution_options(read_only=True)
        try:
            _SCHEMA.create_all(self._writer)
        except SQLAlchemyError as error:
            self.close()
            raise StoreError(f"the database cannot be opened: {_reason(error)}") from error

    def record(self, body: bytes, alerts: Sequence[AlertRecord] | None, received_at: int) -> None:
        """Store a delivery; durable on return. ``alerts`` is None for a body that cannot be parsed."""
        try:
            with self._writer.begin() as connection:
                connection.execute(_ADD_DELIVERY, _delivery(body, alerts is not None, received_at))
                if alerts is None:
                    connection.execute(_drop_raw_beyond(self._max_raw_bodies))
                elif alerts:
                    connection.execute(_MERGE_ALERT, [dataclasses.asdict(alert) for alert in alerts])
        except SQLAlchemyError as error:
            raise StoreError(f"the database cannot be written: {_reason(error)}") from error

    def alerts(self, wanted: AlertFilter) -> list[AlertRecord]:
        """The alerts that match, newest start first. StoreError."""
        return [AlertRecord(**row) for row in self._read(_select_alerts(wanted))]

    def check_ready(self) -> None:
        """StoreError unless the database can be read."""
        self._read(sa.select(_DELIVERIES.c.id).limit(1))

    def close(self) -> None:
        """Close all connections."""
        self._writer.dispose()

    def _read(self, query: sa.Select[Any]) -> list[dict[str, Any]]:
        try:
            with self._reader.connect() as connection:
                return [dict(row) for row in connection.execute(query).mappings()]
        except SQLAlchemyError as error:
            raise StoreError(f"the database cannot be read: {_reason(error)}") from error


def _prepare(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions begin in _begin, not in the driver
    for pragma in (f"busy_timeout={_BUSY_TIMEOUT_MS}", "journal_mode=WAL", "synchronous=FULL"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: sa.Connection) -> None:
    """A writer takes the lock at once: upgrading a read lock later fails without waiting."""
    read_only = connection.get_execution_options().get("read_only", False)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


def _reason(error: SQLAlchemyError) -> str:
    return str(getattr(error, "orig", None) or error)


def _delivery(body: bytes, parsed: bool, received_at: int) -> dict[str, object]:
    return {
        "received_at": received_at,
        "last_received_at": received_at,
        "count": 1,
        "sha256": hashlib.sha256(body).hexdigest(),
        "body": body,
        "parsed": parsed,
    }


def _add_delivery() -> Any:
    statement = insert(_DELIVERIES)
    return statement.on_conflict_do_update(
        index_elements=[_DELIVERIES.c.sha256],
        set_={
            "count": _DELIVERIES.c.count + 1,
            "last_received_at": statement.excluded.last_received_at,
            "parsed": statement.excluded.parsed,
        },
    )


def _rank(row: Any) -> sa.Tuple:
    """The total order of payloads about one alert: resolved is greater than firing, then the later end."""
    ends_at = sa.func.coalesce(row.ends_at, _BEFORE_ANY_END)
    return sa.tuple_(row.status, ends_at, row.annotations, row.labels, row.generator_url)


def _merge_alert() -> Any:
    statement = insert(_ALERTS)
    replaced = {
        column.name: statement.excluded[column.name] for column in _ALERTS.c if not column.primary_key
    }
    return statement.on_conflict_do_update(
        index_elements=[_ALERTS.c.fingerprint, _ALERTS.c.starts_at],
        set_=replaced,
        where=_rank(statement.excluded) > _rank(_ALERTS.c),
    )


_ADD_DELIVERY = _add_delivery()
_MERGE_ALERT = _merge_alert()


def _drop_raw_beyond(number: int) -> sa.Delete:
    unparsed = _DELIVERIES.c.parsed.is_(False)
    surplus = (
        sa.select(_DELIVERIES.c.id)
        .where(unparsed)
        .order_by(_DELIVERIES.c.last_received_at.desc(), _DELIVERIES.c.id.desc())
        .offset(number)
    )
    return sa.delete(_DELIVERIES).where(_DELIVERIES.c.id.in_(surplus))


def _select_alerts(wanted: AlertFilter) -> sa.Select[Any]:
    columns = _ALERTS.c
    query = sa.select(_ALERTS).order_by(columns.starts_at.desc(), columns.fingerprint).limit(wanted.limit)
    asked = (
        (columns.tenant_id, wanted.tenant_ids),
        (columns.model_name, wanted.model_names),
        (columns.status, wanted.statuses),
        (columns.alertname, wanted.alertnames),
    )
    for column, values in asked:
        if values:
            query = query.where(column.in_(values))
    if wanted.start is not None:
        query = query.where(sa.or_(columns.ends_at.is_(None), columns.ends_at >= wanted.start))
    if wanted.end is not None:
        query = query.where(columns.starts_at <= wanted.end)
    return query
