"""Counts that do not belong to one call: business events and feedback, by identity."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable

from modelplane_exporter.identity import Version, version_of
from modelplane_exporter.layout.state import MetricSample
from modelplane_schema.identity import Identity
from modelplane_schema.metrics import BUSINESS_EVENTS, FEEDBACK, OVERFLOW, VERDICTS

MAX_EVENTS = 100
_VERDICT = dict(zip((True, False), VERDICTS, strict=True))
_METRICS = {metric.name: metric for metric in (BUSINESS_EVENTS, FEEDBACK)}

# A metric's name, which is quicker to hash than the metric, and the value of its label besides the identity.
_Counter = tuple[str, str]


class EventCounters:
    """Business events and feedback.

    What one tenant of a version has counted, its other tenants show at 0: else their first count would be
    lost to ``increase``. ``on_count`` gets each count that grew, while the lock is held.
    """

    def __init__(self, on_count: Callable[[MetricSample], None] | None = None) -> None:
        self._on_count = on_count
        self._lock = threading.RLock()
        self._counts: dict[Identity, dict[_Counter, int]] = {}
        self._known: defaultdict[Version, dict[_Counter, None]] = defaultdict(dict)

    def expect(self, version: Identity, events: Iterable[str] = (), feedback: bool = False) -> None:
        """Show these at 0 for every tenant of the version from now on; its own tenant is ignored."""
        with self._lock:
            for event in events:
                self._learn(version, (BUSINESS_EVENTS.name, event))
            if feedback:
                self._learn(version, (FEEDBACK.name, VERDICTS[0]))

    def begin(self, identity: Identity) -> None:
        """A tenant was seen for the first time."""
        with self._lock:
            counts = self._counts.setdefault(identity, {})
            for counter in self._known[version_of(identity)]:
                counts.setdefault(counter, 0)

    def forget(self, identity: Identity) -> None:
        """A tenant was evicted."""
        with self._lock:
            self._counts.pop(identity, None)

    def forget_version(self, version: Version) -> None:
        """No tenant of the version is left."""
        with self._lock:
            self._known.pop(version, None)

    def add_event(self, identity: Identity, event: str, count: int) -> bool:
        """Count an event; False when it went to ``__overflow__``, because the version has too many."""
        with self._lock:
            counter, counts = (BUSINESS_EVENTS.name, event), self._counts.get(identity, {})
            fits = counter in counts or self._fits(identity, counter)
            self._add(identity, (BUSINESS_EVENTS.name, event if fits else OVERFLOW), count)
        return fits

    def add_feedback(self, identity: Identity, correct: bool, count: int) -> None:
        """Count predictions that turned out correct, or not."""
        with self._lock:
            self._add(identity, (FEEDBACK.name, _VERDICT[correct]), count)

    def samples(self) -> list[MetricSample]:
        """Every count."""
        with self._lock:
            return [
                _sample(identity, counter, count)
                for identity, counts in self._counts.items()
                for counter, count in counts.items()
            ]

    def visit(self, visit: Callable[[list[MetricSample]], None]) -> None:
        """Call ``visit`` with every count; none grows meanwhile."""
        with self._lock:
            visit(self.samples())

    def reset(self) -> None:
        """In a forked child the counts are the parent's, and its lock may be held for ever."""
        self._lock = threading.RLock()
        for counts in self._counts.values():
            counts.update(dict.fromkeys(counts, 0))

    def _add(self, identity: Identity, counter: _Counter, count: int) -> None:
        counts = self._counts.setdefault(identity, {})
        if counter not in counts:
            self._learn(identity, counter)
        counts[counter] = counts.get(counter, 0) + count
        if self._on_count is not None:
            self._on_count(_sample(identity, counter, counts[counter]))

    def _fits(self, identity: Identity, counter: _Counter) -> bool:
        known = self._known[version_of(identity)]
        return counter in known or len(known) < MAX_EVENTS

    def _learn(self, identity: Identity, counter: _Counter) -> None:
        known = self._known[version_of(identity)]
        if counter in known:
            return
        both = [(FEEDBACK.name, verdict) for verdict in VERDICTS]
        new = both if counter[0] == FEEDBACK.name else [counter]
        known.update(dict.fromkeys(new))
        for other, counts in self._counts.items():
            if version_of(other) == version_of(identity):
                counts.update({counter: counts.get(counter, 0) for counter in new})


def _sample(identity: Identity, counter: _Counter, count: int) -> MetricSample:
    name, value = counter
    return MetricSample(_METRICS[name], (*identity, value), count)
