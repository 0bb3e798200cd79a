"""Inputs of signals, as rows or columns of the signals that the baseline has. Needs NumPy."""

from __future__ import annotations

import datetime
import enum
import uuid
from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from modelplane_exporter.baseline import tables
from modelplane_exporter.baseline.records import is_of, record, records
from modelplane_exporter.baseline.values import without_mask

Array = NDArray[Any]

# Values of one row that cannot change afterwards, so that they need no copy.
_SCALARS = frozenset(
    {float, int, bool, str, bytes, type(None), np.float64, np.float32, np.int64, np.int32, np.bool_}
)
_PLAIN = _SCALARS | {list, tuple}
# Other values of one row. Anything else becomes NO_VALUE: it may change, raise or take much memory.
_VALUES = (
    type(None), float, int, str, bytes, Decimal, Fraction, datetime.date, datetime.time, datetime.timedelta,
    uuid.UUID, np.generic,
)  # fmt: skip
# Types of pandas that are values, too, by name: it may not be installed.
_PANDAS_VALUES = ("NAType", "NaTType", "Interval", "Period")
NO_VALUE = object()


class ShapeError(ValueError):
    """The values do not have the shape of the signals."""


class SignalValues(NamedTuple):
    """Values of ``names``: one row, a 2-D array (rows, names) or one column for each name.

    ``unknown`` counts names that are not signals of the baseline.
    """

    names: tuple[str, ...]
    rows: list[Sequence[Any]] | None
    columns: Array | list[Sequence[Any] | Array]
    unknown: int = 0


class SignalReader:
    """Reads values of the signals ``names``; with ``complete`` a signal that is absent counts as missing."""

    def __init__(self, names: tuple[str, ...], complete: bool) -> None:
        self._names = names
        self._name_set = frozenset(names)
        self._complete = complete
        # Of several names itemgetter gives a tuple, of one its value alone.
        self._row = itemgetter(*names) if len(names) > 1 else lambda values: (values[names[0]],)

    def read(self, values: Any) -> SignalValues:
        """``values`` as rows or columns; ShapeError when they fit in neither way."""
        if type(values) is dict and len(values) == len(self._names):
            try:
                row = self._row(values)
            except KeyError:
                return self._mapping(values)
            if _SCALARS.issuperset(map(type, row)):
                return SignalValues(self._names, [row], [])
        if isinstance(values, Mapping):
            return self._mapping(values)
        if isinstance(values, np.ndarray):
            return self._any_array(values)
        if hasattr(values, "columns"):
            return self._frame(values)
        row = self._known(record(values))
        if row is not None:
            return self._rows([row])
        if isinstance(values, list | tuple):
            return self._list(values)
        return self._array(as_array(values))

    def _mapping(self, values: Mapping[Any, Any]) -> SignalValues:
        names, unknown = self._present(values)
        if unknown and not all(isinstance(name, str) for name in values):
            return self._mapping({str(name): value for name, value in values.items()})
        present = [values.get(name) for name in names]
        shaped = [plain(value) if _is_scalar(value) else as_column(value) for value in present]
        lengths = {len(value) for value in shaped if not _is_scalar(value)}
        if not lengths:
            return SignalValues(names, [tuple(shaped)] if names else [], [], unknown)
        absent = [name not in values for name in names]
        scalars = [_is_scalar(value) and not gone for value, gone in zip(shaped, absent, strict=True)]
        if len(lengths) > 1 or any(scalars):
            raise ShapeError("the columns have different lengths")
        (length,) = lengths
        columns = [[None] * length if gone else value for value, gone in zip(shaped, absent, strict=True)]
        return SignalValues(names, None, columns, unknown)

    def _known(self, row: Mapping[Any, Any] | None) -> Mapping[Any, Any] | None:
        """A row that names one of the signals; what names none goes by the order of its values."""
        return None if row is None or self._name_set.isdisjoint(row) else row

    def _rows(self, rows: Sequence[Mapping[Any, Any]]) -> SignalValues:
        """Rows with named values."""
        given = dict.fromkeys(name for row in rows for name in row)
        names, unknown = self._present(given)
        if unknown and not all(isinstance(name, str) for name in given):
            return self._rows([{str(name): value for name, value in row.items()} for row in rows])
        values: list[Sequence[Any]] = [tuple([plain(row.get(name)) for name in names]) for row in rows]
        return SignalValues(names, values if names else [], [], unknown)

    def _any_array(self, array: Array) -> SignalValues:
        if array.dtype.names is not None:  # a structured array
            if self._name_set.isdisjoint(array.dtype.names):
                raise ShapeError("none of the fields is a signal")
            return self._mapping({name: array[name].ravel() for name in array.dtype.names})
        if array.dtype.kind == "O" and array.ndim == 1:
            rows = records(array)
            if rows is not None:
                return self._rows(rows)
        return self._array(as_array(array))

    def _frame(self, frame: Any) -> SignalValues:
        by_label = tables.labels_of(frame)
        labels = [str(label) for label in by_label]
        if tuple(labels) == self._names and hasattr(frame, "to_numpy"):
            array = _numbers_of(frame)
            if array is not None:
                return SignalValues(self._names, None, array)
        columns: dict[str, Any] = {
            label: as_column(frame[column])
            for label, column in zip(labels, by_label, strict=True)
            if label in self._name_set
        }
        unknown = len(labels) - len(columns)
        if not columns:  # the number of rows would be lost
            columns = dict.fromkeys(self._names if self._complete else (), [None] * len(frame))
        return self._mapping(columns)._replace(unknown=unknown)

    def _list(self, values: Sequence[Any]) -> SignalValues:
        """One row, rows, or of a single signal a column; an array would make texts of all."""
        if values and type(values[0]) not in _PLAIN:
            rows_by_name = records(values)
            if rows_by_name is not None and (type(values[0]) is dict or any(map(self._known, rows_by_name))):
                return self._rows(rows_by_name)
        nested = [_is_list(value) for value in values]
        if any(nested):
            rows: list[Sequence[Any]] = [
                tuple(map(plain, row)) for row, is_row in zip(values, nested, strict=True) if is_row
            ]
            if not all(nested) or any(len(row) != len(self._names) for row in rows):
                raise ShapeError(f"each row must have {len(self._names)} values")
            return SignalValues(self._names, rows, [])
        if any(not _is_scalar(value) for value in values):
            return self._array(as_array(values))
        if len(self._names) == 1:
            return SignalValues(self._names, None, [values])
        if len(values) != len(self._names):
            raise ShapeError(f"a row must have {len(self._names)} values")
        return SignalValues(self._names, [tuple(map(plain, values))], [])

    def _array(self, array: Array) -> SignalValues:
        if array.ndim == 1 and len(self._names) == 1:
            array = array[:, None]
        elif array.ndim == 1:
            array = array[None, :]
        if array.ndim != 2 or array.shape[1] != len(self._names):
            raise ShapeError(f"an array must have shape (rows, {len(self._names)}), not {array.shape}")
        if array.dtype.kind not in "fiub":
            return SignalValues(self._names, None, list(array.T))
        return SignalValues(self._names, None, array)

    def _present(self, values: Mapping[Any, Any]) -> tuple[tuple[str, ...], int]:
        unknown = sum(name not in self._name_set for name in values)
        if self._complete:
            return self._names, unknown
        return tuple(name for name in self._names if name in values), unknown


def _numbers_of(frame: Any) -> Array | None:
    """A frame of numbers alone as an array; None for another one."""
    if is_of(frame, "polars", "DataFrame") and not all(dtype.is_numeric() for dtype in frame.dtypes):
        return None  # it would make numbers of dates
    array: Array = frame.to_numpy()
    return array if array.dtype.kind in "fiu" else None


def as_array(values: Any) -> Array:
    """A list, array or framework tensor as a NumPy array; ShapeError when it cannot be one."""
    if not isinstance(values, list | tuple) and not hasattr(values, "__array__"):
        raise ShapeError("the values are not an array")  # NumPy would write out a range
    try:
        array = _to_numpy(values)
    except (TypeError, ValueError) as error:  # ragged lists, foreign objects
        raise ShapeError("the values are not an array") from error
    if array.ndim == 0:
        raise ShapeError("the values are not an array")
    return array


def _to_numpy(values: Any) -> Array:
    if hasattr(values, "detach"):  # PyTorch: a tensor that is on a device, has a gradient or is bfloat16
        values = values.detach().cpu()
        if str(values.dtype) == "torch.bfloat16":
            values = values.float()
    array = without_mask(values) if isinstance(values, np.ma.MaskedArray) else np.asarray(values)
    # bfloat16 and float8 of ml_dtypes
    return array.astype(np.float64) if array.dtype.kind == "V" else array


def as_column(values: Any) -> Sequence[Any] | Array:
    """One column: a list as it is, so that a text stays apart from a number, else a 1-D array."""
    if isinstance(values, list | tuple):
        if any(map(_is_list, values)):
            raise ShapeError("a column must be one-dimensional")
        return values
    if tables.is_arrow_column(values):
        values = tables.arrow_values(values)
        if isinstance(values, list):
            return values
    array = values.to_numpy() if hasattr(values, "to_numpy") else as_array(values)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise ShapeError("a column must be one-dimensional")
    return np.asarray(array)


def plain(value: Any) -> Any:
    """A scalar as it may wait in a queue: what could change or raise until it is counted is ``NO_VALUE``."""
    if type(value) in _SCALARS:
        return value
    try:
        if isinstance(value, _VALUES) or type(value).__name__ in _PANDAS_VALUES:
            return value
        if issubclass(type(value), enum.Enum):
            return plain(value.value)
        if is_of(value, "pyarrow", "Scalar"):
            return plain(value.as_py())
        if getattr(value, "ndim", None) != 0:
            return NO_VALUE
        value = _to_numpy(value)[()]
        return value if isinstance(value, _VALUES) else NO_VALUE
    except Exception:  # noqa: BLE001 - a foreign object may raise anything
        return NO_VALUE


def _is_scalar(value: Any) -> bool:
    if type(value) in _SCALARS:
        return True
    if _is_list(value):
        return False
    try:
        # A 0-d array or tensor has __len__ too, and a date of pandas to_numpy.
        return not getattr(value, "ndim", 0) and not (
            hasattr(value, "to_numpy") and hasattr(value, "__len__")
        )
    except Exception:  # noqa: BLE001 - a foreign object may raise anything
        return True


def _is_list(value: Any) -> bool:
    # Not isinstance: it runs code of a foreign object that is no list.
    return issubclass(type(value), list | tuple)
