"""``modelplane alerts``, which the backend brings."""

from __future__ import annotations

from modelplane_datasource.alerts_cli import alerts

COMMANDS = (alerts,)
