"""Incidents of a past: when alerts fired, as series of Prometheus and as notifications of Alertmanager."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from modelplane_provisioning.past.rules import Rule
from modelplane_provisioning.past.series import Labels, Series

_NEVER = "0001-01-01T00:00:00Z"  # Alertmanager's end of what still fires
_MOST_IN_NOTIFICATION = 50


@dataclass(frozen=True, slots=True)
class Incident:
    """An alert that fired: times in milliseconds, ``end`` None when it fired until the past ended.

    ``last`` is when it was last seen firing.
    """

    labels: Labels
    annotations: Mapping[str, str]
    start: int
    last: int
    end: int | None


def incidents_of(series: Series, rule: Rule, end: int) -> Iterator[Incident]:
    """The incidents in the values of an alert's expression up to ``end``.

    The alert fires once the expression has held for as long as the rule waits, and ends with the first
    evaluation without a value. Annotations that only Prometheus can fill in are left out.
    """
    step, waits = rule.seconds * 1000, (rule.waits or 0) * 1000
    texts = {name: text for name, text in rule.annotations.items() if "{{" not in text}
    for stretch in np.split(series.times, np.flatnonzero(np.diff(series.times) > step) + 1):
        start, last = int(stretch[0]) + waits, int(stretch[-1])
        if start <= last:
            over = last + step <= end
            labels = {"alertname": rule.name, **series.labels}
            yield Incident(labels, texts, start, last, last + step if over else None)


def firing_series(incident: Incident, seconds: int) -> Series:
    """What Prometheus stores of an alert that fires, every so many ``seconds``."""
    times = np.arange(incident.start, incident.last + 1, seconds * 1000)
    return Series("ALERTS", {**incident.labels, "alertstate": "firing"}, times, np.ones(len(times)))


def notifications(incidents: Sequence[Incident]) -> Iterator[dict[str, Any]]:
    """What Alertmanager's webhook would have sent last: each incident as it ended, or as it still fires."""
    for first in range(0, len(incidents), _MOST_IN_NOTIFICATION):
        alerts = [_alert(incident) for incident in incidents[first : first + _MOST_IN_NOTIFICATION]]
        yield {"version": "4", "status": "firing", "receiver": "backend", "alerts": alerts}


def fingerprint(labels: Labels) -> str:
    """Alertmanager's: FNV-1a of 64 bits over sorted names and values, each closed by a byte 255."""
    digest = 0xCBF29CE484222325
    text = b"".join(part.encode() + b"\xff" for name in sorted(labels) for part in (name, labels[name]))
    for byte in text:
        digest = ((digest ^ byte) * 0x100000001B3) % 2**64
    return f"{digest:016x}"


def _alert(incident: Incident) -> dict[str, Any]:
    return {
        "status": "firing" if incident.end is None else "resolved",
        "labels": incident.labels,
        "annotations": incident.annotations,
        "startsAt": _moment(incident.start),
        "endsAt": _NEVER if incident.end is None else _moment(incident.end),
        "generatorURL": "",
        "fingerprint": fingerprint(incident.labels),
    }


def _moment(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat()
