"""Durable store of what is received about alerts, and of the episodes and incidents that it adds up to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any, Generic, NamedTuple, TypeVar

import sqlalchemy as sa

from modelplane_datasource.alerts import store_notes, store_writes
from modelplane_datasource.alerts.database import Database, OnCall, StoreError, migrate, not_observed
from modelplane_datasource.alerts.episodes import DEFAULT_SOURCE, Episode, Key, Observation, columnar
from modelplane_datasource.alerts.group_commit import GroupCommit
from modelplane_datasource.alerts.incidents import (
    Acknowledgement,
    Comment,
    Incident,
    IncidentId,
    IncidentRules,
    Member,
    incident_of,
)
from modelplane_datasource.alerts.keys import alert_key, group_key
from modelplane_datasource.alerts.payloads import poll_body
from modelplane_datasource.alerts.silences import Expiry, Silence
from modelplane_datasource.alerts.store_notes import StoredSilence, chunks
from modelplane_datasource.alerts.store_queries import (
    AlertFilter,
    IncidentFilter,
    count_alerts,
    select_alerts,
    select_incidents,
)
from modelplane_datasource.alerts.store_writes import Delivery, Replayed
from modelplane_datasource.alerts.tables import ACKNOWLEDGEMENTS, EPISODES, as_episode

__all__ = ["AlertFilter", "AlertStore", "IncidentFilter", "StoreError"]

T = TypeVar("T")
Tenants = tuple[str, ...] | None
_KEYS_AT_ONCE = 500
_ROWS_AT_ONCE = 1000
_MOST_SILENCES = 10_000


class Page(NamedTuple, Generic[T]):
    """Part of a list, and how many there are on all pages."""

    items: list[T]
    total: int


class AlertStore:
    """Alerts in SQLite or PostgreSQL. Episodes are a function of the set of bodies received, so their order,
    their number and their repetition do not matter.

    ``tenants`` of a reading method are those that the caller may see; None is all. Every method raises
    StoreError when the database does not do it.
    """

    def __init__(
        self,
        database_url: str,
        max_raw_bodies: int,
        connections: int = 8,
        on_call: OnCall = not_observed,
    ) -> None:
        """``on_call`` gets each transaction, as ``Database`` says."""
        self._max_raw_bodies = max_raw_bodies
        self._database = Database(database_url, connections, on_call)
        try:
            with self._database.writing("opened") as connection:
                if migrate(connection):
                    store_writes.rebuild_episodes(connection)
            self._last_watchdogs = self.watchdog_seen()
        except Exception:
            self._database.close()
            raise
        self._deliveries = GroupCommit(self._write, lambda delivery: len(delivery.body))

    def record(
        self,
        body: bytes,
        observations: Sequence[Observation],
        received_at: int,
        source: str = DEFAULT_SOURCE,
    ) -> None:
        """Store a notification and what it says; durable on return."""
        self._deliveries.write(Delivery(body, "webhook", source, received_at, tuple(observations)))

    def record_raw(self, body: bytes, received_at: int, source: str = DEFAULT_SOURCE) -> None:
        """Store a body that cannot be read as a notification; durable on return."""
        self._deliveries.write(Delivery(body, "raw", source, received_at))

    def record_poll(self, observations: Sequence[Observation], received_at: int, source: str) -> None:
        """Store what Alertmanager's list of alerts says; durable on return."""
        body = poll_body(observations)
        self._deliveries.write(Delivery(body, "poll", source, received_at, tuple(observations)))

    def alerts(self, wanted: AlertFilter, tenants: Tenants = None) -> list[Episode]:
        """The episodes that match, newest start first."""
        return [as_episode(row) for row in self._read(select_alerts(wanted, tenants))]

    def alert_page(self, wanted: AlertFilter, tenants: Tenants = None) -> Page[Episode]:
        """The episodes that match, newest start first, and how many there are."""
        episodes = self.alerts(wanted, tenants)
        if 0 < len(episodes) < wanted.limit:  # all that come after ``offset``
            return Page(episodes, wanted.offset + len(episodes))
        (row,) = self._read(count_alerts(wanted, tenants))
        return Page(episodes, *row.values())

    def incidents(
        self, wanted: IncidentFilter, rules: IncidentRules, tenants: Tenants = None
    ) -> list[Incident]:
        """The incidents that match, in the order of the filter."""
        return self._incidents(self._read(select_incidents(wanted, rules, tenants)), rules)

    def incident_page(
        self, wanted: IncidentFilter, rules: IncidentRules, tenants: Tenants = None
    ) -> Page[Incident]:
        """The incidents that match, in the order of the filter, and how many there are."""
        rows = self._read(select_incidents(wanted, rules, tenants))
        # Where the page lies after the last one, the first row says how many there are.
        counted = rows or self._read(select_incidents(replace(wanted, limit=1, offset=0), rules, tenants))
        return Page(self._incidents(rows, rules), counted[0]["total"] if counted else 0)

    def incident(self, number: str, rules: IncidentRules, tenants: Tenants = None) -> Incident | None:
        """The incident that an id stands for, if there is one that the caller may see."""
        parsed = IncidentId.parse(number)
        if parsed is None:
            return None
        moment, group = parsed
        wanted = IncidentFilter(groups=(group,), start=moment, end=moment, limit=1)
        return next(iter(self.incidents(wanted, rules, tenants)), None)

    def acknowledge(self, incident: Incident, acknowledgement: Acknowledgement) -> None:
        """Store that somebody has seen an incident; durable on return."""
        row = {
            "group_key": group_key(incident.tenant_id, incident.model_name),
            "incident_at": incident.starts_at,
            "acknowledged_at": acknowledgement.at,
            "acknowledged_by": columnar(acknowledgement.by),
            "note": columnar(acknowledgement.note),
        }
        with self._database.writing() as connection:
            connection.execute(sa.insert(ACKNOWLEDGEMENTS), row)

    def comment(self, incident: Incident, comment: Comment) -> None:
        """Store what somebody says about an incident; durable on return."""
        with self._database.writing() as connection:
            store_notes.add_comment(connection, incident, comment)

    def comments(self, incident: Incident) -> list[Comment]:
        """The comments on an incident, the first one first."""
        with self._database.reading() as connection:
            return store_notes.comments_of(connection, incident)

    def put_silences(self, silences: Sequence[Silence]) -> None:
        """Store silences as they are now; durable on return. Nothing is written where nothing is new."""
        with self._database.reading() as connection:
            changed = store_notes.changed_silences(connection, silences)
        if changed:
            with self._database.writing() as connection:
                store_notes.put_silences(connection, changed)

    def expire_silence(self, silence: Silence, expiry: Expiry) -> None:
        """Store that somebody ended a silence; durable on return."""
        with self._database.writing() as connection:
            store_notes.expire_silence(connection, silence, expiry)

    def silences(self, tenants: Tenants = None, ends_after: int | None = None) -> list[StoredSilence]:
        """The silences that end after a time in milliseconds, the newest start first, and how they ended."""
        with self._database.reading() as connection:
            stored = store_notes.newest_silences(connection, tenants, ends_after, _MOST_SILENCES)
        return [(silence, expiry) for silence, expiry in stored if silence.is_visible(tenants)]

    def silence_expiry(self, number: str) -> Expiry | None:
        """How a silence was ended, None when nobody ended it here."""
        with self._database.reading() as connection:
            stored = store_notes.silences_by_id(connection, [number])
        return stored[0][1] if stored else None

    def silences_of(self, incident: Incident, tenants: Tenants = None) -> list[StoredSilence]:
        """The silences that kept alerts of an incident from being notified, and how they ended."""
        with self._database.reading() as connection:
            stored = store_notes.silences_of(connection, incident)
        return [(silence, expiry) for silence, expiry in stored if silence.is_visible(tenants)]

    def watchdog_seen(self) -> Mapping[str, int]:
        """When the watchdog last came, in milliseconds, by source: to any backend of this database."""
        with self._database.reading() as connection:
            return store_notes.watchdog_seen(connection)

    @property
    def last_watchdogs(self) -> Mapping[str, int]:
        """The same as far as this backend knows, without reading the database."""
        return self._last_watchdogs

    def newest(self, source: str, listed: Iterable[Key]) -> dict[Key, Episode]:
        """The open episodes of a source, and the last episode of each alert ``listed``."""
        columns = EPISODES.c
        newer = EPISODES.alias()
        is_last = ~sa.exists().where(
            newer.c.alert_key == columns.alert_key, newer.c.starts_at > columns.starts_at
        )
        queries = [sa.select(EPISODES).where(columns.source == source, columns.ends_at.is_(None))]
        for keys in chunks(listed, _KEYS_AT_ONCE):
            chosen = columns.alert_key.in_([alert_key(*key) for key in keys])
            queries.append(sa.select(EPISODES).where(chosen, is_last))
        episodes = [as_episode(row) for query in queries for row in self._read(query)]
        return {episode.key: episode for episode in episodes}

    def replay(self, progress: Callable[[int, int], None]) -> Replayed:
        """Compute all episodes from the stored bodies, at once for readers. Writers wait meanwhile."""
        with self._database.writing() as connection:
            return store_writes.replay(connection, progress)

    def prune(self, before: int) -> int:
        """Delete what ended before a time in milliseconds, little by little; how many rows."""
        total = 0
        while True:
            with self._database.writing() as connection:
                deleted = store_writes.prune(connection, before, _ROWS_AT_ONCE)
            if deleted == 0:
                return total
            total += deleted

    def back_up(self, target: str) -> None:
        """Write a copy of a SQLite database to a file that does not exist yet."""
        if not self._database.is_sqlite:
            raise StoreError("only SQLite is backed up here; use pg_dump for PostgreSQL")
        self._database.back_up(target)

    def check_ready(self) -> None:
        """StoreError unless the database can be written, and is the one that was opened."""
        with self._database.writing() as connection:
            store_writes.beat(connection)

    def close(self) -> None:
        """Close all connections when what is being recorded is stored."""
        self._deliveries.close()
        self._database.close()

    def _write(self, deliveries: Sequence[Delivery]) -> None:
        with self._database.writing() as connection:
            store_writes.add_deliveries(connection, deliveries, self._max_raw_bodies)
        seen = store_writes.watchdogs(deliveries)
        self._last_watchdogs = {
            source: max(seen.get(source, 0), self._last_watchdogs.get(source, 0))
            for source in {**self._last_watchdogs, **seen}
        }

    def _incidents(self, rows: Sequence[Mapping[str, Any]], rules: IncidentRules) -> list[Incident]:
        """The incidents of rows of ``select_incidents``."""
        if not rows:
            return []
        acknowledged = self._acknowledged(min(row["incident_at"] for row in rows))
        return [
            _incident(list(members), acknowledged, rules)
            for _, members in groupby(rows, key=lambda row: (row["incident_at"], row["group_key"]))
        ]

    def _acknowledged(self, since: int) -> Mapping[str, list[tuple[int, Acknowledgement]]]:
        """Acknowledgements by tenant and model, each with the start that its incident had."""
        columns = ACKNOWLEDGEMENTS.c
        by_group: dict[str, list[tuple[int, Acknowledgement]]] = {}
        for row in self._read(sa.select(ACKNOWLEDGEMENTS).where(columns.incident_at >= since)):
            acknowledgement = Acknowledgement(row["acknowledged_at"], row["acknowledged_by"], row["note"])
            by_group.setdefault(row["group_key"], []).append((row["incident_at"], acknowledgement))
        return by_group

    def _read(self, query: sa.Select[Any]) -> list[Mapping[str, Any]]:
        with self._database.reading() as connection:
            return [*connection.execute(query).mappings()]


def _incident(
    rows: Sequence[Mapping[str, Any]],
    acknowledged: Mapping[str, list[tuple[int, Acknowledgement]]],
    rules: IncidentRules,
) -> Incident:
    start, end = rows[0]["incident_at"], rows[0]["incident_end"]
    of_group = acknowledged.get(rows[0]["group_key"], ())
    acknowledgements = [acknowledgement for moment, acknowledgement in of_group if start <= moment <= end]
    members = [Member(as_episode(row), row["recent_starts"]) for row in rows]
    return incident_of(members, acknowledgements, rules)
