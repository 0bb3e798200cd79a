"""Silences and who ended them, comments on incidents, and when the watchdog was last seen."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "silences",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("starts_at", sa.BigInteger, nullable=False),
        sa.Column("ends_at", sa.BigInteger, nullable=False),
        sa.Column("expired_at", sa.BigInteger),
        *_texts("tenant_id", "matchers", "created_by", "comment", "expired_by", "expiry_note"),
        sa.Index("silences_by_end", "ends_at"),
    )
    op.create_table(
        "comments",
        sa.Column("id", ID, primary_key=True),
        sa.Column("group_key", sa.String(16), nullable=False),
        sa.Column("incident_at", sa.BigInteger, nullable=False),
        sa.Column("commented_at", sa.BigInteger, nullable=False),
        *_texts("commented_by", "comment"),
        sa.Index("comments_by_group", "group_key", "incident_at"),
    )
    op.create_table(
        "watchdog",
        sa.Column("source", sa.String(64), primary_key=True),
        sa.Column("last_seen_at", sa.BigInteger, nullable=False),
    )


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, nullable=False) for name in names]
