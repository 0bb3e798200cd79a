"""Tables of the alert store. ``migrations/`` makes them; a test proves that both agree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import sqlalchemy as sa

from modelplane_datasource.alerts.episodes import Episode, Observation
from modelplane_datasource.alerts.keys import alert_key, group_key

SCHEMA = sa.MetaData()
_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")

PAYLOADS = sa.Table(
    "payloads", SCHEMA,
    sa.Column("id", _ID, primary_key=True),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("received_at", sa.BigInteger, nullable=False),
    sa.Column("last_received_at", sa.BigInteger, nullable=False),
    sa.Column("count", sa.Integer, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False, unique=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Index("payloads_by_kind", "kind", "last_received_at"),
)  # fmt: skip
# An index of PostgreSQL cannot hold a long label, so that keys are digests.
OBSERVATIONS = sa.Table(
    "observations", SCHEMA,
    sa.Column("alert_key", sa.String(32), primary_key=True),
    sa.Column("starts_at", sa.BigInteger, primary_key=True),
    sa.Column("last_at", sa.BigInteger, primary_key=True),
    sa.Column("kind", sa.String(16), primary_key=True),
    *(
        sa.Column(name, sa.Text, nullable=False)
        for name in (
            "source", "tenant_id", "fingerprint", "labels", "annotations", "generator_url", "suppressed_by",
        )
    ),
)  # fmt: skip
EPISODES = sa.Table(
    "episodes", SCHEMA,
    sa.Column("alert_key", sa.String(32), primary_key=True),
    sa.Column("starts_at", sa.BigInteger, primary_key=True),
    sa.Column("ends_at", sa.BigInteger),
    sa.Column("group_key", sa.String(16), nullable=False),
    *(
        sa.Column(name, sa.Text, nullable=False)
        for name in (
            "source", "tenant_id", "fingerprint", "status", "reason", "suppressed_by", "alertname",
            "severity", "model_name", "model_version", "labels", "annotations", "generator_url",
        )
    ),
    sa.Index("episodes_by_start", "starts_at"),
    sa.Index("episodes_by_end", "ends_at"),
    # All that incidents are found by, so that the wide rows are read for the selected ones only.
    sa.Index("episodes_by_group", "group_key", "starts_at", "alert_key", "ends_at", "status", "severity"),
)  # fmt: skip
ACKNOWLEDGEMENTS = sa.Table(
    "acknowledgements", SCHEMA,
    sa.Column("id", _ID, primary_key=True),
    sa.Column("group_key", sa.String(16), nullable=False),
    sa.Column("incident_at", sa.BigInteger, nullable=False),
    sa.Column("acknowledged_at", sa.BigInteger, nullable=False),
    sa.Column("acknowledged_by", sa.Text, nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Index("acknowledgements_by_group", "group_key", "incident_at"),
)  # fmt: skip
COMMENTS = sa.Table(
    "comments", SCHEMA,
    sa.Column("id", _ID, primary_key=True),
    sa.Column("group_key", sa.String(16), nullable=False),
    sa.Column("incident_at", sa.BigInteger, nullable=False),
    sa.Column("commented_at", sa.BigInteger, nullable=False),
    sa.Column("commented_by", sa.Text, nullable=False),
    sa.Column("comment", sa.Text, nullable=False),
    sa.Index("comments_by_group", "group_key", "incident_at"),
)  # fmt: skip
SILENCES = sa.Table(
    "silences", SCHEMA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("starts_at", sa.BigInteger, nullable=False),
    sa.Column("ends_at", sa.BigInteger, nullable=False),
    sa.Column("expired_at", sa.BigInteger),
    *(
        sa.Column(name, sa.Text, nullable=False)
        for name in ("tenant_id", "matchers", "created_by", "comment", "expired_by", "expiry_note")
    ),
    sa.Index("silences_by_end", "ends_at"),
)  # fmt: skip
# When the watchdog last came from each source, so that it need not be looked for in bodies.
WATCHDOG = sa.Table(
    "watchdog", SCHEMA,
    sa.Column("source", sa.String(64), primary_key=True),
    sa.Column("last_seen_at", sa.BigInteger, nullable=False),
)  # fmt: skip
# Its one row is written to find out whether the database can be.
HEARTBEAT = sa.Table(
    "heartbeat", SCHEMA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("beats", sa.BigInteger, nullable=False),
    sa.Column("filling", sa.LargeBinary, nullable=False),
)  # fmt: skip


# asdict copies every value, which takes longer than all the rest of a write.
_OBSERVATION_FIELDS = tuple(field.name for field in fields(Observation))
_EPISODE_FIELDS = tuple(field.name for field in fields(Episode))


def observation_row(observation: Observation) -> dict[str, Any]:
    """A row of ``OBSERVATIONS``."""
    return {
        "alert_key": alert_key(*observation.key),
        **{name: getattr(observation, name) for name in _OBSERVATION_FIELDS},
    }


def episode_row(episode: Episode) -> dict[str, Any]:
    """A row of ``EPISODES``."""
    return {
        "alert_key": alert_key(*episode.key),
        "group_key": group_key(episode.tenant_id, episode.model_name),
        **{name: getattr(episode, name) for name in _EPISODE_FIELDS},
    }


def as_observation(row: Mapping[str, Any]) -> Observation:
    """The observation of a row."""
    return Observation(**{name: row[name] for name in _OBSERVATION_FIELDS})


def as_episode(row: Mapping[str, Any]) -> Episode:
    """The episode of a row that has at least its columns."""
    return Episode(**{name: row[name] for name in _EPISODE_FIELDS})
