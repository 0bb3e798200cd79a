"""Columns are the numbers that they were made of, whether they are read as numbers or as JSON."""

from __future__ import annotations

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from modelplane_datasource.timeline.json_columns import JsonColumn, columns_of, texts_of

numbers = st.lists(st.none() | st.floats(allow_nan=False, allow_infinity=False))


@pytest.mark.slow
@given(numbers)
def test_a_column_is_a_sequence_of_its_numbers(values: list[float | None]) -> None:
    column = JsonColumn.of(values)
    assert column == values
    assert column == tuple(values)
    assert column == JsonColumn.of_texts(texts_of(values))
    assert hash(column) == hash(JsonColumn.of(tuple(values)))
    assert (len(column), list(column), column[1:]) == (len(values), values, tuple(values[1:]))
    assert [orjson.loads(text) for text in column.texts] == values
    assert repr(column) == f"JsonColumn.of({tuple(values)!r})"


@pytest.mark.slow
@given(arrays(np.float64, array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=4)))
def test_columns_of_an_array_have_none_where_a_number_is_not_finite(rows: np.ndarray) -> None:
    columns = columns_of(rows)
    expected = [[float(value) if np.isfinite(value) else None for value in row] for row in rows]
    assert [list(column) for column in columns] == expected
    assert [[orjson.loads(text) for text in column.texts] for column in columns] == expected


def test_columns_of_a_view_are_those_of_its_values() -> None:
    assert columns_of(np.arange(6.0).reshape(2, 3).T) == [(0.0, 3.0), (1.0, 4.0), (2.0, 5.0)]


@pytest.mark.parametrize("other", [None, 1.0, {1.0}, [2.0], "1"])
def test_a_column_is_no_other_thing(other: object) -> None:
    assert JsonColumn.of([1.0]) != other
