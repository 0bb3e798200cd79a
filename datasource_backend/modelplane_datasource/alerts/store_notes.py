"""What people say and do about alerts, in the store; each function runs inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

import sqlalchemy as sa

from modelplane_datasource.alerts.episodes import NOTHING, columnar
from modelplane_datasource.alerts.incidents import Comment, Incident
from modelplane_datasource.alerts.keys import alert_key, group_key
from modelplane_datasource.alerts.silences import (
    Expiry,
    Silence,
    as_silence,
    silence_columns,
    silence_ids,
)
from modelplane_datasource.alerts.tables import COMMENTS, OBSERVATIONS, SILENCES, WATCHDOG

T = TypeVar("T")
_NEVER = 2**62
_KEYS_AT_ONCE = 500
_NOT_ENDED = {"expired_at": None, "expired_by": "", "expiry_note": ""}

StoredSilence = tuple[Silence, Expiry | None]


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """``items`` in lists of at most ``size``."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def add_comment(connection: sa.Connection, incident: Incident, comment: Comment) -> None:
    """Store what somebody says about an incident."""
    row = {
        "group_key": group_key(incident.tenant_id, incident.model_name),
        "incident_at": incident.starts_at,
        "commented_at": comment.at,
        "commented_by": columnar(comment.by),
        "comment": columnar(comment.comment),
    }
    connection.execute(sa.insert(COMMENTS), row)


def comments_of(connection: sa.Connection, incident: Incident) -> list[Comment]:
    """The comments on an incident, the first one first."""
    columns = COMMENTS.c
    end = _NEVER if incident.ends_at is None else incident.ends_at
    chosen = (
        sa.select(columns.commented_at, columns.commented_by, columns.comment)
        .where(
            columns.group_key == group_key(incident.tenant_id, incident.model_name),
            columns.incident_at.between(incident.starts_at, end),
        )
        .order_by(columns.commented_at, columns.id)
    )
    return [Comment(*row) for row in connection.execute(chosen)]


def changed_silences(connection: sa.Connection, silences: Iterable[Silence]) -> list[Silence]:
    """Those that are not stored as they are."""
    changed: list[Silence] = []
    for some in chunks(silences, _KEYS_AT_ONCE):
        stored = {silence.id: silence for silence, _ in silences_by_id(connection, [s.id for s in some])}
        changed += [s for s in some if s.id not in stored or _differ(stored[s.id], s)]
    return changed


def put_silences(connection: sa.Connection, silences: Iterable[Silence]) -> None:
    """Store silences, in place of what was stored of them; how they were ended stays."""
    for silence in changed_silences(connection, silences):
        columns = silence_columns(silence)
        updated = connection.execute(sa.update(SILENCES).where(SILENCES.c.id == silence.id).values(columns))
        if updated.rowcount == 0:
            connection.execute(sa.insert(SILENCES), {**columns, **_NOT_ENDED})


def expire_silence(connection: sa.Connection, silence: Silence, expiry: Expiry) -> None:
    """Store a silence and that somebody ended it."""
    put_silences(connection, [silence])
    ended = {
        "expired_at": expiry.at,
        "expired_by": columnar(expiry.by),
        "expiry_note": columnar(expiry.note),
    }
    connection.execute(sa.update(SILENCES).where(SILENCES.c.id == silence.id).values(ended))


def silences_by_id(connection: sa.Connection, ids: Sequence[str]) -> list[StoredSilence]:
    """The silences that are stored under some ids."""
    return _stored(connection, sa.select(SILENCES).where(SILENCES.c.id.in_(ids)))


def newest_silences(
    connection: sa.Connection, tenants: tuple[str, ...] | None, ends_after: int | None, limit: int
) -> list[StoredSilence]:
    """Stored silences that end after a time in milliseconds, the newest start first."""
    columns = SILENCES.c
    chosen = sa.select(SILENCES).order_by(columns.starts_at.desc(), columns.id).limit(limit)
    if tenants is not None:
        chosen = chosen.where(columns.tenant_id.in_([columnar(tenant) for tenant in tenants]))
    if ends_after is not None:
        chosen = chosen.where(columns.ends_at > ends_after)
    return _stored(connection, chosen)


def silences_of(connection: sa.Connection, incident: Incident) -> list[StoredSilence]:
    """The silences that Alertmanager named for alerts of an incident while these lasted."""
    spans: dict[str, list[tuple[int, int]]] = {}
    for member in incident.members:
        episode = member.episode
        end = _NEVER if episode.ends_at is None else episode.ends_at
        spans.setdefault(alert_key(*episode.key), []).append((episode.starts_at, end))
    columns = OBSERVATIONS.c
    names: set[str] = set()
    for keys in chunks(spans, _KEYS_AT_ONCE):
        chosen = sa.select(
            columns.alert_key, columns.starts_at, columns.last_at, columns.suppressed_by
        ).where(columns.alert_key.in_(keys), columns.suppressed_by != NOTHING)
        for key, start, last, suppressed_by in connection.execute(chosen):
            if any(start <= end and last >= begin for begin, end in spans[key]):
                names.update(silence_ids(suppressed_by))
    return [
        stored for some in chunks(sorted(names), _KEYS_AT_ONCE) for stored in silences_by_id(connection, some)
    ]


def see_watchdog(connection: sa.Connection, source: str, at: int) -> None:
    """Store that the watchdog came from a source at a time in milliseconds."""
    columns = WATCHDOG.c
    seen = connection.execute(sa.select(columns.last_seen_at).where(columns.source == source)).scalar()
    if seen is None:
        connection.execute(sa.insert(WATCHDOG), {"source": source, "last_seen_at": at})
    elif at > seen:
        connection.execute(sa.update(WATCHDOG).where(columns.source == source).values(last_seen_at=at))


def watchdog_seen(connection: sa.Connection) -> dict[str, int]:
    """When the watchdog last came, in milliseconds, by source."""
    return {row[0]: row[1] for row in connection.execute(sa.select(WATCHDOG).order_by(WATCHDOG.c.source))}


def _stored(connection: sa.Connection, chosen: sa.Select[Any]) -> list[StoredSilence]:
    rows = map(dict, connection.execute(chosen).mappings())
    return [(as_silence(row), _expiry(row)) for row in rows]


def _expiry(row: Mapping[str, Any]) -> Expiry | None:
    if row["expired_at"] is None:
        return None
    return Expiry(row["expired_at"], row["expired_by"], row["expiry_note"])


def _differ(stored: Silence, silence: Silence) -> bool:
    return silence_columns(stored) != silence_columns(silence)
