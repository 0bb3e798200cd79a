"""``modelplane alerts``, which the backend brings."""

from __future__ import annotations

from modelplane_datasource.alerts.cli import alerts

COMMANDS = (alerts,)
