"""The row that proves that the database can be written."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the table with its row."""
    table = op.create_table(
        "heartbeat",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("beats", sa.BigInteger, nullable=False),
        sa.Column("filling", sa.LargeBinary, nullable=False),
    )
    op.bulk_insert(table, [{"id": 1, "beats": 0, "filling": b""}])
