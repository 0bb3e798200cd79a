"""Tables in every form as columns by name; the same in training and in service. Needs NumPy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelplane_exporter.baseline.records import columns_of, is_of, records


def is_arrow_table(value: Any) -> bool:
    """Whether a value is a table of Arrow."""
    return is_of(value, "pyarrow", "Table", "RecordBatch")


def is_arrow_column(value: Any) -> bool:
    """Whether a value is a column of Arrow."""
    return is_of(value, "pyarrow", "Array", "ChunkedArray")


def labels_of(frame: Any) -> list[Any]:
    """The labels of a frame's columns, as ``frame[label]`` takes them."""
    # The attribute ``columns`` of an Arrow table holds the columns themselves.
    return list(frame.column_names if is_arrow_table(frame) else frame.columns)


def named_columns(data: Any) -> list[tuple[Any, Any]] | None:
    """The columns of a mapping, frame, Arrow table, structured array or list of records; None for others."""
    if isinstance(data, Mapping):
        return list(data.items())
    if is_of(data, "pandas", "DataFrame"):
        return list(data.items())
    if is_of(data, "polars", "DataFrame"):
        return [(column.name, column) for column in data.get_columns()]
    if is_arrow_table(data):
        return list(zip(data.column_names, data.columns, strict=True))
    if isinstance(data, np.ndarray):
        return _named_columns_of_array(data)
    rows = records(data) if isinstance(data, list | tuple) else None
    return None if rows is None else list(columns_of(rows).items())


def _named_columns_of_array(array: NDArray[Any]) -> list[tuple[Any, Any]] | None:
    if array.dtype.names:
        return [(name, array[name].ravel()) for name in array.dtype.names]
    rows = records(array) if array.dtype.kind == "O" and array.ndim == 1 else None
    return None if rows is None else list(columns_of(rows).items())


def arrow_values(column: Any) -> NDArray[Any] | list[Any]:
    """A column of Arrow as an array of numbers or times, or as a list of Python's own values."""
    import pyarrow.types as pt

    if pt.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    is_number = pt.is_floating(column.type) or (pt.is_integer(column.type) and not column.null_count)
    if is_number or pt.is_timestamp(column.type) or pt.is_date(column.type) or pt.is_duration(column.type):
        return np.asarray(column.to_numpy(zero_copy_only=False))
    values: list[Any] = column.to_pylist()
    return values
