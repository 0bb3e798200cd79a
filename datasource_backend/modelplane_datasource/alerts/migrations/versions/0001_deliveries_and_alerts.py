"""Deliveries of SQLite, and the greatest payload of each alert and start."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "deliveries",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("received_at", sa.BigInteger, nullable=False),
        sa.Column("last_received_at", sa.BigInteger, nullable=False),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False, unique=True),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("parsed", sa.Boolean, nullable=False),
        sa.Index("deliveries_unparsed", "parsed", "last_received_at"),
    )
    names = ("alertname", "severity", "tenant_id", "model_name", "model_version", "labels", "annotations")
    op.create_table(
        "alerts",
        sa.Column("fingerprint", sa.Text, primary_key=True),
        sa.Column("starts_at", sa.BigInteger, primary_key=True),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("ends_at", sa.BigInteger),
        *(sa.Column(name, sa.Text, nullable=False) for name in (*names, "generator_url")),
        sa.Index("alerts_by_start", "starts_at"),
    )
