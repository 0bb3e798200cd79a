"""The same rows in every form in which a service may have them, and in which bins they fall."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import sqlite3
from collections import namedtuple
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv as pa_csv
import pydantic

from exporter_support.bad_signals import Bins, Model
from modelplane_exporter import Baseline

Columns = Mapping[str, list[Any]]


def in_training(baseline: Baseline) -> Bins:
    """How many training rows are in each bin that has any."""
    return {
        signal.name: {
            name: round(ratio * signal.observations)
            for name, ratio in zip(signal.bins, signal.ratios, strict=True)
            if ratio
        }
        for signal in baseline.signals
    }


def in_service(baseline: Baseline, *values: object) -> tuple[Bins, dict[str, int]]:
    """The same of features that were handed over, and what was invalid."""
    model = Model(baseline)
    for value in values:
        model.observe(value)
    return model.counted(), model.invalid()


def rows_of(columns: Columns) -> list[dict[str, Any]]:
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def frame_of(columns: Columns) -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series(values, dtype=object) for name, values in columns.items()})


def csv_of(columns: Columns) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([["" if value is None else value for value in row.values()] for row in rows_of(columns)])
    return text.getvalue()


def _as_json(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _sqlite(columns: Columns) -> list[Any]:
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    plain = [
        [value if isinstance(value, int | float | str | None) else _as_json(value) for value in row.values()]
        for row in rows_of(columns)
    ]
    names = ", ".join(f'? AS "{name}"' for name in columns)
    rows = [connection.execute(f"SELECT {names}", row).fetchone() for row in plain]
    connection.close()
    return rows


def _structured(columns: Columns) -> Any:
    dtype = [(name, object) for name in columns]
    return np.array([tuple(row.values()) for row in rows_of(columns)], dtype=dtype)


def _dataclasses(columns: Columns) -> list[Any]:
    row_type = dataclasses.make_dataclass("Row", list(columns))
    return [row_type(**row) for row in rows_of(columns)]


def _pydantic(columns: Columns) -> list[Any]:
    fields: Any = dict.fromkeys(columns, (Any, None))
    row_type = pydantic.create_model("Row", **fields)
    return [row_type(**row) for row in rows_of(columns)]


def _named_tuples(columns: Columns) -> list[Any]:
    row_type = namedtuple("Row", reversed(list(columns)))  # type: ignore[misc]
    return [row_type(**row) for row in rows_of(columns)]


def _pandas_of_csv(columns: Columns, **options: Any) -> pd.DataFrame:
    # It takes a row of blanks in a single column for no row.
    frame: pd.DataFrame = pd.read_csv(io.StringIO(csv_of(columns)), skip_blank_lines=False, **options)
    return frame


def _arrow_of_csv(columns: Columns) -> pa.Table:
    return pa_csv.read_csv(io.BytesIO(csv_of(columns).encode()))


# What ``call.features`` gets, in one call.
FORMS: dict[str, Callable[[Columns], Any]] = {
    "columns": dict,
    "records": rows_of,
    "JSON rows": lambda columns: json.loads(json.dumps(rows_of(columns), default=_as_json)),
    "texts of csv.DictReader": lambda columns: list(csv.DictReader(io.StringIO(csv_of(columns)))),
    "frame of objects": frame_of,
    "frame": lambda columns: frame_of(columns).infer_objects(),
    "nullable frame": lambda columns: frame_of(columns).convert_dtypes(),
    "pandas.read_csv": _pandas_of_csv,
    "pandas.read_csv by Arrow": lambda columns: _pandas_of_csv(columns, dtype_backend="pyarrow"),
    "categorical frame": lambda columns: _pandas_of_csv(columns).astype("category"),
    "polars.read_csv": lambda columns: pl.read_csv(io.StringIO(csv_of(columns)), infer_schema_length=None),
    "polars.read_csv with dates": lambda columns: pl.read_csv(
        io.StringIO(csv_of(columns)), infer_schema_length=None, try_parse_dates=True
    ),
    "Arrow table": _arrow_of_csv,
    "Arrow batch": lambda columns: _arrow_of_csv(columns).combine_chunks().to_batches()[0],
    "Arrow dictionaries": lambda columns: pa.table(
        {name: column.dictionary_encode() for name, column in _columns_of(_arrow_of_csv(columns))}
    ),
    "dataclasses": _dataclasses,
    "pydantic": _pydantic,
    "named tuples": _named_tuples,
    "SQLite": _sqlite,
    "structured array": _structured,
    "array of objects": lambda columns: np.array([list(row.values()) for row in rows_of(columns)], object),
    "array of records": lambda columns: np.array(rows_of(columns), object),
    "array of texts": lambda columns: np.array([list(map(str, row.values())) for row in rows_of(columns)]),
    "lists": lambda columns: [list(row.values()) for row in rows_of(columns)],
}


def _columns_of(table: pa.Table) -> list[tuple[str, Any]]:
    return list(zip(table.column_names, table.columns, strict=True))
