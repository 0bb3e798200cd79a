"""An interval of time."""

from __future__ import annotations

from typing import NamedTuple


class TimeRange(NamedTuple):
    """From ``start`` to ``end``, in milliseconds."""

    start: int
    end: int

    @property
    def length(self) -> int:
        """Milliseconds from start to end."""
        return self.end - self.start
