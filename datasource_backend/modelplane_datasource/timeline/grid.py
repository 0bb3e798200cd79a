"""The grid of times on which all series of one answer lie."""

from __future__ import annotations

from dataclasses import dataclass

from modelplane_datasource.errors import ApiError

MAX_POINTS = 11_000  # Prometheus refuses more points per series


@dataclass(frozen=True, slots=True)
class Grid:
    """Times from ``start`` to ``end`` by ``step``, all in milliseconds; the last may lie before ``end``."""

    start: int
    end: int
    step: int

    def __len__(self) -> int:
        return (self.end - self.start) // self.step + 1

    @property
    def times(self) -> range:
        """The times, ascending."""
        return range(self.start, self.end + 1, self.step)

    def halves(self) -> tuple[Grid, Grid]:
        """The same times in two grids, for at least two of them."""
        times = self.times
        middle = len(times) // 2
        return Grid(self.start, times[middle - 1], self.step), Grid(times[middle], self.end, self.step)


def grid_by_step(start: int, end: int, step: int) -> Grid:
    """A grid with start and end aligned down to ``step``; ApiError 422 when it has too many points.

    Requests that come within one step therefore have the same times.
    """
    grid = Grid(start - start % step, end - end % step, step)
    if len(grid) > MAX_POINTS:
        needed = -(-(end - start) // (MAX_POINTS - 1))
        advice = f"{-(-needed // 1000)}s"
        raise ApiError(
            422,
            "range_too_large",
            f"The range has {len(grid)} points at this step and at most {MAX_POINTS} are allowed: "
            f"use a step of at least {advice}, leave step out, or ask for a shorter range.",
            {"points": len(grid), "max_points": MAX_POINTS, "min_step": advice},
        )
    return grid


def grid_for_points(start: int, end: int, max_points: int, resolution: int, min_step: int = 1) -> Grid:
    """A grid of at most ``max_points``, its step a multiple of ``resolution`` and at least ``min_step``.

    One point stands at the end, its step the whole range, so that a rate covers all of it.
    """
    length = end - start
    if max_points == 1:
        return Grid(end, end, max(length, resolution, min_step))
    multiples = max(1, -(-length // ((max_points - 1) * resolution)))
    return grid_by_step(start, end, max(multiples * resolution, min_step))
