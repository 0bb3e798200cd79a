"""Incidents are ordered by severity, which the index that finds them has to hold."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"

INDEX, TABLE = "episodes_by_group", "episodes"
COLUMNS = ["group_key", "starts_at", "alert_key", "ends_at", "status", "severity"]


def upgrade() -> None:
    """Make the index anew."""
    op.drop_index(INDEX, TABLE)
    op.create_index(INDEX, TABLE, COLUMNS)
