"""How long ago a Prometheus was started and set up: what it cannot have yet is no fault."""

from __future__ import annotations

import time
from datetime import datetime
from typing import NamedTuple

from modelplane_provisioning.clients.plane import Connection
from modelplane_provisioning.clients.plane_errors import NoRouteError
from modelplane_provisioning.doctor.finding import Problem

JUST_STARTED = "just-started:"
# Targets and Alertmanagers are looked up within seconds, and a rate needs two scrapes and a rule.
_YOUNG_SECONDS = 120
_LOOKUP_SECONDS = 30


class Ages(NamedTuple):
    """Seconds since the process began and since it read its configuration; infinite where unknown."""

    process: float
    configuration: float

    @property
    def is_young(self) -> bool:
        """Whether series may be absent because nobody could make them yet."""
        return self.process < _YOUNG_SECONDS

    @property
    def looks_up(self) -> bool:
        """Whether targets and Alertmanagers may not be known yet."""
        return self.configuration < _LOOKUP_SECONDS


def ages_of(prometheus: Connection) -> Ages:
    """The ages of a Prometheus; a store that does not say is taken for old."""
    try:
        info = prometheus.get("/api/v1/status/runtimeinfo")["data"]
    except NoRouteError:
        return Ages(float("inf"), float("inf"))
    now = time.time()
    started, configured = (datetime.fromisoformat(info[key]) for key in ("startTime", "lastConfigTime"))
    return Ages(now - started.timestamp(), now - configured.timestamp())


def just_started(ages: Ages) -> Problem:
    """The note that explains what is not there yet."""
    seconds = min(ages.process, ages.configuration)
    text = f"Prometheus was started or set up {seconds:.0f} s ago, and scrapes and rules need a while"
    return Problem("note", JUST_STARTED, text, f"ask again in {_YOUNG_SECONDS} s")
