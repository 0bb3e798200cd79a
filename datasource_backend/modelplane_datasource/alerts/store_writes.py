"""What changes in the alert store; each function runs inside the caller's transaction."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal, NamedTuple

import sqlalchemy as sa

from modelplane_datasource.alerts.episodes import Observation, join, reduce_all
from modelplane_datasource.alerts.keys import alert_key
from modelplane_datasource.alerts.payloads import PayloadError, parse_payload, parse_poll
from modelplane_datasource.alerts.store_notes import chunks, see_watchdog
from modelplane_datasource.alerts.tables import (
    ACKNOWLEDGEMENTS,
    COMMENTS,
    EPISODES,
    HEARTBEAT,
    OBSERVATIONS,
    PAYLOADS,
    SILENCES,
    WATCHDOG,
    as_observation,
    episode_row,
    observation_row,
)
from modelplane_datasource.alerts.watchdog import has_watchdog

PayloadKind = Literal["webhook", "poll", "raw"]
Row = dict[str, Any]

_BEFORE_ALL = -(2**62)
_KEYS_AT_ONCE = 500
_PAYLOADS_AT_ONCE = 200
_FILLING_BYTES = 32 * 1024

# Statements are made once: making them takes longer than executing them.
_KINDS = sa.select(PAYLOADS.c.sha256, PAYLOADS.c.kind).where(
    PAYLOADS.c.sha256.in_(sa.bindparam("sums", expanding=True))
)
_LAST_STARTS = (
    sa.select(EPISODES.c.alert_key, sa.func.max(EPISODES.c.starts_at))
    .where(
        EPISODES.c.alert_key.in_(sa.bindparam("keys", expanding=True)),
        EPISODES.c.starts_at <= sa.bindparam("earliest"),
    )
    .group_by(EPISODES.c.alert_key)
)
_SINCE = {
    table: sa.select(table).where(
        table.c.alert_key.in_(sa.bindparam("keys", expanding=True)),
        table.c.starts_at >= sa.bindparam("since"),
    )
    for table in (OBSERVATIONS, EPISODES)
}
_COUNT_AGAIN = (
    sa.update(PAYLOADS)
    .where(PAYLOADS.c.sha256 == sa.bindparam("of"))
    .values(
        kind=sa.bindparam("now"),
        count=PAYLOADS.c.count + sa.bindparam("times"),
        last_received_at=sa.bindparam("at"),
    )
)


class Replayed(NamedTuple):
    """What a replay read and what came of it."""

    payloads: int
    raw: int
    observations: int
    episodes: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """A body and what it says; ``received_at`` in milliseconds."""

    body: bytes
    kind: PayloadKind
    source: str
    received_at: int
    observations: tuple[Observation, ...] = ()

    @property
    def sha256(self) -> str:
        """What tells whether the same body was received before."""
        return hashlib.sha256(self.source.encode() + b"\0" + self.body).hexdigest()


def add_deliveries(connection: sa.Connection, deliveries: Sequence[Delivery], max_raw: int) -> None:
    """Store bodies and what they say, as one after the other would; keep the newest ``max_raw`` raw ones."""
    news = _add_payloads(connection, deliveries)
    add_observations(connection, chain.from_iterable(delivery.observations for delivery in news))
    for source, at in watchdogs(deliveries).items():
        see_watchdog(connection, source, at)
    if any(delivery.kind == "raw" for delivery in deliveries):
        _drop_raw_beyond(connection, max_raw)


def watchdogs(deliveries: Iterable[Delivery]) -> dict[str, int]:
    """When the watchdog came with notifications, in milliseconds, by source."""
    seen: dict[str, int] = {}
    for delivery in deliveries:
        if delivery.kind == "webhook" and has_watchdog(delivery.observations):
            seen[delivery.source] = max(delivery.received_at, seen.get(delivery.source, 0))
    return seen


def _add_payloads(connection: sa.Connection, deliveries: Sequence[Delivery]) -> list[Delivery]:
    """Store bodies, or count them once more; those that say anything new."""
    by_sum: dict[str, list[Delivery]] = {}
    for delivery in deliveries:
        by_sum.setdefault(delivery.sha256, []).append(delivery)
    kinds = _stored_kinds(connection, by_sum)
    new = [_payload_row(sha256, same) for sha256, same in by_sum.items() if sha256 not in kinds]
    again = [_repetition(sha256, same) for sha256, same in by_sum.items() if sha256 in kinds]
    if new:
        connection.execute(sa.insert(PAYLOADS), new)
    if again:
        connection.execute(_COUNT_AGAIN, again)
    return [same[0] for sha256, same in by_sum.items() if kinds.get(sha256) != same[0].kind]


def _stored_kinds(connection: sa.Connection, sums: Iterable[str]) -> dict[str, str]:
    kinds: dict[str, str] = {}
    for some in chunks(sums, _KEYS_AT_ONCE):
        kinds.update((row[0], row[1]) for row in connection.execute(_KINDS, {"sums": some}))
    return kinds


def _payload_row(sha256: str, same: Sequence[Delivery]) -> Row:
    first = same[0]
    return {
        "source": first.source, "kind": first.kind, "received_at": first.received_at,
        "last_received_at": same[-1].received_at, "count": len(same), "sha256": sha256, "body": first.body,
    }  # fmt: skip


def _repetition(sha256: str, same: Sequence[Delivery]) -> Row:
    return {"of": sha256, "now": same[-1].kind, "times": len(same), "at": same[-1].received_at}


def _drop_raw_beyond(connection: sa.Connection, number: int) -> None:
    """Keep the newest ``number`` of the bodies that could not be parsed."""
    surplus = (
        sa.select(PAYLOADS.c.id)
        .where(PAYLOADS.c.kind == "raw")
        .order_by(PAYLOADS.c.last_received_at.desc(), PAYLOADS.c.id.desc())
        .limit(2**31 - 1)
        .offset(number)
    )
    connection.execute(sa.delete(PAYLOADS).where(PAYLOADS.c.id.in_(surplus)))


def add_observations(connection: sa.Connection, observations: Iterable[Observation]) -> None:
    """Store observations and compute the episodes of their alerts anew, as far as they can change."""
    by_key: dict[str, list[Observation]] = {}
    for observation in observations:
        by_key.setdefault(alert_key(*observation.key), []).append(observation)
    for keys in chunks(by_key, _KEYS_AT_ONCE):
        new = [observation for key in keys for observation in by_key[key]]
        since = _unsettled_since(connection, keys, min(observation.starts_at for observation in new))
        rows = _rows_since(connection, OBSERVATIONS, since)
        stored = map(as_observation, rows)
        every = list(join([*stored, *new]).values())
        _replace(connection, OBSERVATIONS, rows, map(observation_row, every))
        before = _rows_since(connection, EPISODES, since)
        _replace(connection, EPISODES, before, map(episode_row, reduce_all(every)))


def beat(connection: sa.Connection) -> None:
    """Write the row that proves that writing is possible, and read a table that is needed.

    It takes as much room as a large delivery, so that it fails before those do on a disk that fills up.
    """
    filling = os.urandom(_FILLING_BYTES)  # nothing that a database could make smaller
    counted = connection.execute(sa.update(HEARTBEAT).values(beats=HEARTBEAT.c.beats + 1, filling=filling))
    if counted.rowcount == 0:
        connection.execute(sa.insert(HEARTBEAT), {"id": 1, "beats": 1, "filling": filling})
    connection.execute(sa.select(PAYLOADS.c.id).limit(1))


def rebuild_episodes(connection: sa.Connection) -> None:
    """Compute all episodes from the stored observations."""
    connection.execute(sa.delete(EPISODES))
    key = OBSERVATIONS.c.alert_key
    last = ""
    while True:
        page = sa.select(key).where(key > last).distinct().order_by(key).limit(_KEYS_AT_ONCE)
        keys = connection.execute(page).scalars().all()
        if not keys:
            return
        rows = _rows_since(connection, OBSERVATIONS, dict.fromkeys(keys, _BEFORE_ALL))
        _replace(connection, EPISODES, (), map(episode_row, reduce_all(map(as_observation, rows))))
        last = keys[-1]


def replay(connection: sa.Connection, progress: Callable[[int, int], None]) -> Replayed:
    """Forget all observations and episodes and compute them from the stored payloads.

    ``progress`` gets how many payloads of how many are done. Raw bodies that can be parsed now count.
    """
    connection.execute(sa.delete(OBSERVATIONS))
    connection.execute(sa.delete(EPISODES))
    total, done, raw = _count(connection, PAYLOADS), 0, 0
    for rows in _pages(connection):
        parsed = {row["id"]: _parse(row) for row in rows}
        read = {number: observed for number, observed in parsed.items() if observed is not None}
        _mark_parsed(connection, [row["id"] for row in rows if row["kind"] == "raw" and row["id"] in read])
        add_observations(connection, chain.from_iterable(read.values()))
        done, raw = done + len(rows), raw + len(rows) - len(read)
        progress(done, total)
    return Replayed(done, raw, _count(connection, OBSERVATIONS), _count(connection, EPISODES))


def prune(connection: sa.Connection, before: int, limit: int) -> int:
    """Delete at most ``limit`` rows of each table that end before a time in milliseconds; how many."""
    earlier = EPISODES.alias()
    needed = sa.exists().where(
        earlier.c.alert_key == OBSERVATIONS.c.alert_key, earlier.c.starts_at <= OBSERVATIONS.c.starts_at
    )
    return sum(
        _delete_some(connection, table, condition, limit)
        for table, condition in (
            (PAYLOADS, PAYLOADS.c.last_received_at < before),
            (EPISODES, EPISODES.c.ends_at < before),
            # Episodes of an alert are disjoint: what starts before the first that is left belongs to none.
            (OBSERVATIONS, sa.and_(OBSERVATIONS.c.last_at < before, ~needed)),
            (ACKNOWLEDGEMENTS, ACKNOWLEDGEMENTS.c.acknowledged_at < before),
            (COMMENTS, COMMENTS.c.commented_at < before),
            (SILENCES, SILENCES.c.ends_at < before),
            (WATCHDOG, WATCHDOG.c.last_seen_at < before),
        )
    )


def _delete_some(
    connection: sa.Connection, table: sa.Table, condition: sa.ColumnElement[bool], limit: int
) -> int:
    names = list(table.primary_key.columns)
    some = sa.select(*names).where(condition).limit(limit)
    return connection.execute(sa.delete(table).where(sa.tuple_(*names).in_(some))).rowcount


def _unsettled_since(connection: sa.Connection, keys: Sequence[str], earliest: int) -> dict[str, int]:
    """From which start on the episodes of each alert can change when one says something about ``earliest``.

    An episode ends before the next one starts, so that nothing later changes those before it.
    """
    rows = connection.execute(_LAST_STARTS, {"keys": keys, "earliest": earliest})
    starts = {row[0]: row[1] for row in rows}
    return {key: starts.get(key, earliest) for key in keys}


def _rows_since(connection: sa.Connection, table: sa.Table, since: Mapping[str, int]) -> list[Row]:
    """Rows of alerts from the start that is given for each."""
    chosen = {"keys": list(since), "since": min(since.values())}
    rows = map(dict, connection.execute(_SINCE[table], chosen).mappings())
    return [row for row in rows if row["starts_at"] >= since[row["alert_key"]]]


def _replace(connection: sa.Connection, table: sa.Table, before: Iterable[Row], after: Iterable[Row]) -> None:
    """Make the rows ``before`` the rows ``after``; those that are the same are not touched."""
    names = [column.name for column in table.primary_key.columns]
    old, new = _by_key(before, names), _by_key(after, names)
    gone = [key for key, row in old.items() if new.get(key) != row]
    if gone:
        chosen = [table.c[name] == sa.bindparam(f"old_{name}") for name in names]
        keys = [{f"old_{name}": value for name, value in zip(names, key, strict=True)} for key in gone]
        connection.execute(sa.delete(table).where(*chosen), keys)
    changed = [row for key, row in new.items() if old.get(key) != row]
    if changed:
        connection.execute(sa.insert(table), changed)


def _by_key(rows: Iterable[Row], names: Sequence[str]) -> dict[tuple[Any, ...], Row]:
    return {tuple(row[name] for name in names): row for row in rows}


def _pages(connection: sa.Connection) -> Iterator[Sequence[Any]]:
    last = 0
    while True:
        page = (
            sa.select(PAYLOADS).where(PAYLOADS.c.id > last).order_by(PAYLOADS.c.id).limit(_PAYLOADS_AT_ONCE)
        )
        rows = connection.execute(page).mappings().all()
        if not rows:
            return
        yield rows
        last = rows[-1]["id"]


def _parse(row: Mapping[str, Any]) -> tuple[Observation, ...] | None:
    try:
        if row["kind"] == "poll":
            return parse_poll(row["body"])
        return parse_payload(row["body"], row["source"], row["received_at"])
    except PayloadError:
        return None


def _mark_parsed(connection: sa.Connection, ids: Sequence[int]) -> None:
    connection.execute(sa.update(PAYLOADS).where(PAYLOADS.c.id.in_(ids)).values(kind="webhook"))


def _count(connection: sa.Connection, table: sa.Table) -> int:
    return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
