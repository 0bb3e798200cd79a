from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelplane_datasource.errors import ApiError
from modelplane_datasource.timeline.grid import MAX_POINTS, grid_by_step, grid_for_points

INSTANTS = st.integers(0, 4_000_000_000_000)
LENGTHS = st.integers(0, 10 * 366 * 86_400_000)


@pytest.mark.slow
@given(INSTANTS, LENGTHS, st.integers(1, MAX_POINTS), st.integers(1, 3_600_000), st.integers(1, 10**10))
def test_a_grid_for_points_covers_the_range_within_the_limit(
    start: int, length: int, points: int, resolution: int, min_step: int
) -> None:
    grid = grid_for_points(start, start + length, points, resolution, min_step)
    times = list(grid.times)
    assert 1 <= len(times) == len(grid) <= points
    assert grid.step >= min_step
    assert times[-1] <= start + length < times[-1] + grid.step
    if points > 1:
        assert times[0] % grid.step == 0
        assert start - grid.step < times[0] <= start


@given(INSTANTS, LENGTHS, st.integers(1, 10**9))
def test_a_step_is_kept_or_refused_with_one_that_works(start: int, length: int, step: int) -> None:
    end = start + length
    if end // step - start // step < MAX_POINTS:
        grid = grid_by_step(start, end, step)
        assert grid.step == step
        assert len(grid) <= MAX_POINTS
        return
    with pytest.raises(ApiError) as caught:
        grid_by_step(start, end, step)
    assert caught.value.status == 422
    advised = int(str(caught.value.details["min_step"]).removesuffix("s")) * 1000
    assert len(grid_by_step(start, end, advised)) <= MAX_POINTS


def test_one_point_stands_at_the_end_and_covers_the_range() -> None:
    grid = grid_for_points(1_000_007, 4_600_007, 1, 15_000)
    assert list(grid.times) == [4_600_007]
    assert grid.step == 3_600_000


def test_an_empty_range_has_one_point() -> None:
    assert list(grid_by_step(60_001, 60_001, 30_000).times) == [60_000]


@pytest.mark.parametrize(("points", "step"), [(500, 15_000), (734, 15_000), (10, 405_000), (2, 3_600_000)])
def test_the_step_is_a_whole_number_of_scrapes(points: int, step: int) -> None:
    assert grid_for_points(0, 3_600_000, points, 15_000).step == step
