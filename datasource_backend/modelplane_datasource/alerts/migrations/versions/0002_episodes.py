"""Payloads by source and kind, observations, episodes and acknowledgements.

Alerts become observations; the store computes episodes from them after every migration.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

SOURCE = "alertmanager"
BATCH = 1000
ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables, move what there is, drop the old ones."""
    _create()
    connection = op.get_bind()
    _move(connection, "SELECT * FROM deliveries ORDER BY id", "payloads", _payload)
    _move(connection, "SELECT * FROM alerts ORDER BY fingerprint, starts_at", "observations", _observation)
    op.drop_table("deliveries")
    op.drop_table("alerts")


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, nullable=False) for name in names]


def _create() -> None:
    op.create_table(
        "payloads",
        sa.Column("id", ID, primary_key=True),
        *_texts("source", "kind"),
        sa.Column("received_at", sa.BigInteger, nullable=False),
        sa.Column("last_received_at", sa.BigInteger, nullable=False),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False, unique=True),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Index("payloads_by_kind", "kind", "last_received_at"),
    )
    op.create_table(
        "observations",
        sa.Column("alert_key", sa.String(32), primary_key=True),
        sa.Column("starts_at", sa.BigInteger, primary_key=True),
        sa.Column("last_at", sa.BigInteger, primary_key=True),
        sa.Column("kind", sa.String(16), primary_key=True),
        *_texts("source", "tenant_id", "fingerprint", "labels", "annotations", "generator_url"),
        *_texts("suppressed_by"),
    )
    op.create_table(
        "episodes",
        sa.Column("alert_key", sa.String(32), primary_key=True),
        sa.Column("starts_at", sa.BigInteger, primary_key=True),
        sa.Column("ends_at", sa.BigInteger),
        sa.Column("group_key", sa.String(16), nullable=False),
        *_texts("source", "tenant_id", "fingerprint", "status", "reason", "suppressed_by", "alertname"),
        *_texts("severity", "model_name", "model_version", "labels", "annotations", "generator_url"),
        sa.Index("episodes_by_start", "starts_at"),
        sa.Index("episodes_by_end", "ends_at"),
        sa.Index("episodes_by_group", "group_key", "starts_at", "alert_key", "ends_at", "status"),
    )
    op.create_table(
        "acknowledgements",
        sa.Column("id", ID, primary_key=True),
        sa.Column("group_key", sa.String(16), nullable=False),
        sa.Column("incident_at", sa.BigInteger, nullable=False),
        sa.Column("acknowledged_at", sa.BigInteger, nullable=False),
        *_texts("acknowledged_by", "note"),
        sa.Index("acknowledgements_by_group", "group_key", "incident_at"),
    )


def _move(connection: sa.Connection, select: str, into: str, convert: Any) -> None:
    table = sa.Table(into, sa.MetaData(), autoload_with=connection)
    rows = connection.execute(sa.text(select)).mappings()
    for batch in rows.partitions(BATCH):
        connection.execute(sa.insert(table), [convert(row) for row in batch])


def _payload(row: Any) -> dict[str, Any]:
    columns = {name: row[name] for name in ("id", "received_at", "last_received_at", "count", "body")}
    kind = "webhook" if row["parsed"] else "raw"
    sha256 = hashlib.sha256(f"{SOURCE}\0".encode() + row["body"]).hexdigest()
    return {**columns, "source": SOURCE, "kind": kind, "sha256": sha256}


def _observation(row: Any) -> dict[str, Any]:
    columns = ("fingerprint", "starts_at", "tenant_id", "labels", "annotations", "generator_url")
    key = json.dumps(
        [SOURCE, row["tenant_id"], row["fingerprint"]], ensure_ascii=False, separators=(",", ":")
    )
    return {
        **{name: row[name] for name in columns},
        "alert_key": hashlib.sha256(key.encode()).hexdigest()[:32],
        "last_at": max(row["starts_at"], row["ends_at"] or row["starts_at"]),
        "kind": row["status"],
        "source": SOURCE,
        "suppressed_by": "[]",
    }
