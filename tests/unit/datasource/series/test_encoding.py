"""Points that are written by a template are those that a mapping for each point would give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelplane_datasource.series.encoding import as_contract, as_datapoints, as_rows
from modelplane_datasource.series.model import Series, SeriesResult
from modelplane_datasource.series.quantile_bounds import LatencyBounds
from modelplane_datasource.timeline.grid import Grid

numbers = st.none() | st.floats(allow_nan=False, allow_infinity=False)
RESERVED = ("x", "y", "time", "series", "value", "unit", "label")
names = st.lists(st.text(max_size=8).filter(lambda name: name not in RESERVED), unique=True, max_size=3)


def extra_of(values: tuple[float | None, ...]) -> st.SearchStrategy[Mapping[str, Sequence[float | None]]]:
    """Any columns, or the bounds of latencies, which are written together."""
    column = st.lists(numbers, min_size=len(values), max_size=len(values))
    return st.just(LatencyBounds(values)) | names.flatmap(
        lambda keys: st.fixed_dictionaries(dict.fromkeys(keys, column))
    )


@st.composite
def answers(draw: st.DrawFn) -> SeriesResult:
    grid = Grid(start := draw(st.integers(0, 2**40)), start + 1000 * draw(st.integers(0, 5)), 1000)
    column = st.lists(numbers, min_size=len(grid), max_size=len(grid)).map(tuple)
    lines = [
        Series(f"line {number}", {"label": "%b"}, values := draw(column), draw(extra_of(values)))
        for number in range(draw(st.integers(0, 3)))
    ]
    return SeriesResult(grid, tuple(lines))


@pytest.mark.slow
@given(answers())
def test_templates_write_every_number_at_its_place(answer: SeriesResult) -> None:
    contract = orjson.loads(orjson.dumps(as_contract(answer)))
    datapoints = orjson.loads(orjson.dumps(as_datapoints(answer, "A")))
    assert len(contract) == len(datapoints) == len(answer.series)
    for line, points, pairs in zip(answer.series, contract, datapoints, strict=True):
        columns = {"x": answer.grid.times, "y": line.values, **line.extra}
        assert points["data"] == [
            dict(zip(columns, point, strict=True)) for point in zip(*columns.values(), strict=True)
        ]
        assert pairs["datapoints"] == [
            list(pair) for pair in zip(line.values, answer.grid.times, strict=True)
        ]


@pytest.mark.slow
@given(answers())
def test_rows_hold_every_number_of_every_series_at_its_time(answer: SeriesResult) -> None:
    rows = orjson.loads(orjson.dumps(as_rows(answer, "seconds")))
    assert rows == [
        {
            "time": time, "series": line.name, "value": line.values[place],
            **{name: column[place] for name, column in line.extra.items()},
            "unit": "seconds", "label": "%b",
        }
        for place, time in enumerate(answer.grid.times)
        for line in answer.series
    ]  # fmt: skip
