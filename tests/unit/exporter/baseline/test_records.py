"""Rows with named values are mappings, whatever library made them."""

from __future__ import annotations

import dataclasses
import sqlite3
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pandas as pd
import pydantic
import pytest

from modelplane_exporter.baseline.records import columns_of, record, records

attrs = pytest.importorskip("attrs")


OfAttrs = attrs.make_class("OfAttrs", ["x", "y"])


class OfMsgspec(msgspec.Struct):
    x: int
    y: str


class OfPydantic(pydantic.BaseModel, extra="allow"):
    x: int


@dataclasses.dataclass(slots=True)
class OfDataclasses:
    x: int
    y: str


class OfTuples(NamedTuple):
    x: int
    y: str


def of_sqlite() -> sqlite3.Row:
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    row: sqlite3.Row = connection.execute("SELECT 1 AS x, 'a' AS y").fetchone()
    connection.close()
    return row


ROWS = [
    {"x": 1, "y": "a"}, OfAttrs(1, "a"), OfMsgspec(1, "a"), OfPydantic.model_validate({"x": 1, "y": "a"}),
    OfDataclasses(1, "a"), OfTuples(1, "a"), of_sqlite(),
    np.array([(1, "a")], [("x", int), ("y", object)])[0], pd.Series({"x": 1, "y": "a"}),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: type(row).__name__)
def test_a_row_names_its_values(row: Any) -> None:
    assert dict(record(row) or {}) == {"x": 1, "y": "a"}


@pytest.mark.parametrize(
    "value",
    [
        None,
        1,
        "x",
        b"x",
        [1],
        (1,),
        {1},
        np.zeros(3),
        np.float64(1),
        pd.Series([1, 2]),
        OfDataclasses,
        object(),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_names_nothing_is_no_record(value: Any) -> None:
    assert record(value) is None


def test_rows_become_columns() -> None:
    rows = records([{"x": 1}, OfTuples(2, "b"), {"z": 0.5, "x": 3}])
    assert rows is not None
    assert columns_of(rows) == {"x": [1, 2, 3], "y": [None, "b", None], "z": [None, None, 0.5]}
    assert records([{"x": 1}, 5]) is None
    assert records([]) is None
