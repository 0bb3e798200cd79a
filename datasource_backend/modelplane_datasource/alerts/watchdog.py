"""The alert that always fires: as long as it comes, rules are evaluated and alerts are delivered."""

from __future__ import annotations

from collections.abc import Iterable

import orjson

from modelplane_datasource.alerts.episodes import Observation
from modelplane_schema.alerts import WATCHDOG

_LABEL = f'"alertname":"{WATCHDOG.name}"'


def has_watchdog(observations: Iterable[Observation]) -> bool:
    """Whether a notification says that the watchdog fires."""
    return any(
        # Reading the labels of each alert would take longer than storing it.
        observation.kind == "firing"
        and _LABEL in observation.labels
        and orjson.loads(observation.labels)["alertname"] == WATCHDOG.name
        for observation in observations
    )
