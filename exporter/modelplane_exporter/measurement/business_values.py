"""How many business values there were and what they sum to, by identity and name."""

from __future__ import annotations

import math
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from modelplane_exporter.identity import Version, version_of
from modelplane_exporter.layout.calls import BILLION
from modelplane_exporter.layout.values import ValueKey, ValueSnapshot, value_cells
from modelplane_exporter.measurement.numbers_in import is_missing, parts_of, to_float
from modelplane_schema.identity import Identity
from modelplane_schema.metrics import OVERFLOW

MAX_NAMES = 100
# A value further out is taken for a fault: one of them must not use up the digits of a sum.
LARGEST = 1e18

MISSING, WRONG_TYPE, OUT_OF_RANGE = "value_missing", "value_wrong_type", "value_out_of_range"

# Count, sum of what is above 0 and sum of what is below, in billionths.
_Sums = tuple[int, int, int]
_NOTHING: _Sums = (0, 0, 0)


class BusinessValues:
    """Counts and sums.

    What one tenant of a version has, its other tenants show at 0: else their first value would be lost to
    ``increase``. ``on_change`` gets what changed, while the lock is held.
    """

    def __init__(self, on_change: Callable[[ValueSnapshot], None] | None = None) -> None:
        self._on_change = on_change
        self._lock = threading.RLock()
        self._sums: dict[Identity, dict[str, _Sums]] = {}
        self._known: defaultdict[Version, dict[str, None]] = defaultdict(dict)

    def expect(self, version: Identity, names: Iterable[str]) -> None:
        """Show these at 0 for every tenant of the version from now on; its own tenant is ignored."""
        with self._lock:
            for name in names:
                self._learn(version, name)

    def begin(self, identity: Identity) -> None:
        """A tenant was seen for the first time."""
        with self._lock:
            self._show_known(identity, self._sums.setdefault(identity, {}))

    def forget(self, identity: Identity) -> None:
        """A tenant was evicted."""
        with self._lock:
            self._sums.pop(identity, None)

    def forget_version(self, version: Version) -> None:
        """No tenant of the version is left."""
        with self._lock:
            self._known.pop(version, None)

    def add(self, identity: Identity, name: str, values: Iterable[float]) -> bool:
        """Count and add up values; False when they went to ``__overflow__``: the version has too many."""
        numbers = list(values)
        positive = round(math.fsum(number for number in numbers if number > 0) * BILLION)
        negative = -round(math.fsum(number for number in numbers if number < 0) * BILLION)
        with self._lock:
            known = self._known[version_of(identity)]
            fits = name in known or len(known) < MAX_NAMES
            name = name if fits else OVERFLOW
            if name not in known:
                self._learn(identity, name)
            sums = self._sums.setdefault(identity, {})
            before = sums.get(name, _NOTHING)
            sums[name] = (before[0] + len(numbers), before[1] + positive, before[2] + negative)
            self._changed(identity, name, sums[name])
        return fits

    def snapshots(self) -> list[ValueSnapshot]:
        """A copy of every count and sum."""
        with self._lock:
            return [
                ValueSnapshot(ValueKey(name, identity), value_cells(*sums))
                for identity, by_name in self._sums.items()
                for name, sums in by_name.items()
            ]

    def visit(self, visit: Callable[[list[ValueSnapshot]], None]) -> None:
        """Call ``visit`` with every count and sum; none grows meanwhile."""
        with self._lock:
            visit(self.snapshots())

    def reset(self) -> None:
        """In a forked child the sums are the parent's, and its lock may be held for ever."""
        self._lock = threading.RLock()
        for by_name in self._sums.values():
            by_name.update(dict.fromkeys(by_name, _NOTHING))

    def _learn(self, version: Identity, name: str) -> None:
        known = self._known[version_of(version)]
        if name not in known:
            known[name] = None
            for identity, by_name in self._sums.items():
                if version_of(identity) == version_of(version):
                    self._show_known(identity, by_name)

    def _show_known(self, identity: Identity, by_name: dict[str, _Sums]) -> None:
        for name in self._known[version_of(identity)]:
            if name not in by_name:
                by_name[name] = _NOTHING
                self._changed(identity, name, _NOTHING)

    def _changed(self, identity: Identity, name: str, sums: _Sums) -> None:
        if self._on_change is not None:
            self._on_change(ValueSnapshot(ValueKey(name, identity), value_cells(*sums)))


def columns_of(values: Any) -> Iterable[tuple[object, object]] | None:
    """Names and values of a mapping, or of a frame; None for anything else."""
    if isinstance(values, Mapping):
        return values.items()
    if hasattr(values, "columns"):
        return [(str(name), values[name]) for name in values.columns]
    return None


def business_numbers(values: object) -> tuple[list[float], Counter[str]]:
    """The numbers in a value or a column, truth values as 0 and 1; how many others there were by reason."""
    numbers: list[float] = []
    invalid = Counter[str]()
    for part in parts_of(values):
        for value in part:
            number = float(value) if isinstance(value, bool) else to_float(value)
            if number is None:
                invalid[MISSING if is_missing(value) else WRONG_TYPE] += 1
            elif math.isnan(number):
                invalid[MISSING] += 1
            elif abs(number) > LARGEST:
                invalid[OUT_OF_RANGE] += 1
            else:
                numbers.append(number)
    return numbers, invalid
