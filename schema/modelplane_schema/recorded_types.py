"""What a recorded series is declared by."""

from __future__ import annotations

from dataclasses import dataclass

from modelplane_schema.metrics import Unit


@dataclass(frozen=True, slots=True)
class RecordedSeries:
    """One recorded series; ``window`` is empty for constants, ``per_second`` marks rates."""

    name: str
    unit: Unit
    labels: tuple[str, ...]
    help: str
    window: str = ""
    per_second: bool = False


@dataclass(frozen=True, slots=True)
class WindowedSeries:
    """Recorded series that exist once for each window; ``name`` lacks it, ``help`` has its place."""

    name: str
    unit: Unit
    labels: tuple[str, ...]
    help: str

    def over(self, window: str) -> RecordedSeries:
        """The series of one window, such as ``1h``."""
        return RecordedSeries(
            self.name + window, self.unit, self.labels, self.help.format(window=window), window
        )
