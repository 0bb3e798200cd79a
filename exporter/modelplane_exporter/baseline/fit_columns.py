"""Training data in memory as columns, and columns as what a fit takes: numbers or counts of categories."""

from __future__ import annotations

import datetime
import enum
import itertools
import math
import sys
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from modelplane_exporter.baseline.fit_categorical import Counts
from modelplane_exporter.baseline.fit_numeric import Numbers, Times
from modelplane_exporter.baseline.model import MAX_CATEGORIES, BaselineError
from modelplane_exporter.baseline.records import is_of
from modelplane_exporter.baseline.tables import arrow_values, is_arrow_column, named_columns
from modelplane_exporter.baseline.values import category, listed, to_numbers, to_seconds, without_mask

Values = NDArray[Any]

CHUNK_ROWS = 1 << 16
# The parameters of ``Baseline.fit`` for each kind of signals.
FIELDS = {"input": "features", "output": "prediction", "business": "business", "activation": "activations"}
_UNNAMED = {"input": "feature", "output": "prediction", "business": "business", "activation": "activation"}

_FLOATS = (int, float, np.integer, np.floating)
_NUMBERS = (*_FLOATS, Decimal)
_INSTANTS = (datetime.date, np.datetime64)
_TIMES = (*_INSTANTS, datetime.timedelta, np.timedelta64)
_MISSING = ("NoneType", "NAType", "NaTType")
_CATEGORIES = (*_NUMBERS, str, bytes, bool, np.bool_, uuid.UUID, datetime.time)
_CATEGORY_NAMES = ("Interval", "Period")


class ArrayColumn(NamedTuple):
    """A column in memory, and how a part of it is read."""

    values: Values
    read: Callable[[Values], Numbers | Times | Counts]


class SignalColumns(NamedTuple):
    """The columns of one kind of signals, all of the same length."""

    kind: str
    columns: Mapping[str, ArrayColumn]

    def chunks(self) -> Iterator[dict[tuple[str, str], Numbers | Times | Counts]]:
        """The columns one after the other, in parts, so that what is made of them stays small."""
        for name, (values, read) in self.columns.items():
            for start in range(0, len(values), CHUNK_ROWS):
                yield {(self.kind, name): read(values[start : start + CHUNK_ROWS])}


def columns_of(
    kind: str, data: Any, names: Sequence[str] | None, categorical: Collection[str]
) -> SignalColumns:
    """Data of one kind as columns; BaselineError names the field and the column."""
    field = FIELDS[kind]
    named = _columns(kind, data, names)
    if not named:
        raise BaselineError(f"{field} must have at least one column")
    columns = {
        name: _column(values, name in categorical, kind == "output", f"{field}[{name!r}]")
        for name, values in named
    }
    if len(columns) < len(named):
        repeated = next(name for name, count in Counter(name for name, _ in named).items() if count > 1)
        raise BaselineError(f"{field}: the name {repeated!r} occurs more than once")
    lengths = {name: len(column.values) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        some = ", ".join(f"{name!r} {length}" for name, length in itertools.islice(lengths.items(), 5))
        raise BaselineError(f"{field}: all columns must have the same number of rows (got {some})")
    if 0 in lengths.values():
        raise BaselineError(f"{field} must have at least one row")
    return SignalColumns(kind, columns)


def category_counts(pairs: Iterable[tuple[Any, int]], place: str) -> Counter[str | None]:
    """Values with their counts as categories with theirs; None counts what is missing."""
    counts: Counter[str | None] = Counter()
    try:
        for value, count in pairs:
            counts[category(value)] += count
    except TypeError as error:
        raise BaselineError(f"{place}: {error}") from error
    return counts


def _columns(kind: str, data: Any, names: Sequence[str] | None) -> list[tuple[str, Any]]:
    named = named_columns(data)
    if named is not None:
        if names is not None:
            raise BaselineError("names goes with an array; a mapping or frame names its columns itself")
        return [(name if isinstance(name, str) else str(name), values) for name, values in named]
    array = _array(data, FIELDS[kind])
    if array.ndim == 1 and kind == "output":
        array = array[:, None]
    if array.ndim != 2:
        raise BaselineError(
            f"{FIELDS[kind]} must be a mapping of columns, a frame or a 2-D array of shape (rows, signals) "
            f"(got {type(data).__name__} of shape {array.shape})"
        )
    width = array.shape[1]
    if names is None:
        alone = width == 1 and kind == "output"
        names = ["prediction"] if alone else [f"{_UNNAMED[kind]}_{i}" for i in range(width)]
    elif isinstance(names, str) or not all(isinstance(name, str) and name for name in names):
        raise BaselineError(f"names must be non-empty texts (got {names!r})")
    elif len(names) != width:
        raise BaselineError(f"names must have {width} entries, one for each column (got {len(names)})")
    return list(zip(names, array.T, strict=True))


def _column(data: Any, as_category: bool, may_be_classes: bool, place: str) -> ArrayColumn:
    if is_of(data, "pandas", "Series"):
        as_category = as_category or hasattr(data.dtype, "categories")
        values = _of_pandas(data, as_category)
    elif is_of(data, "polars", "Series"):
        values = _of_polars(data, as_category)
    elif is_arrow_column(data):
        values = _array(arrow_values(data), place)
    else:
        values = _array(data, place)
    if values.ndim != 1:
        raise BaselineError(f"{place} must be one-dimensional (got shape {values.shape})")
    if values.dtype.kind == "O":
        values = _without_members(values)
    if as_category or _is_categorical(values, place) or (may_be_classes and are_classes(values)):
        return ArrayColumn(values, lambda part: _counts(part, place))
    return ArrayColumn(values, _numbers)


def are_classes(values: Values) -> bool:
    """Whether whole numbers are so few that they are a classifier's classes, and no amounts.

    What has more of them than a signal has categories would lose most of them as categories.
    """
    if values.dtype.kind == "O":
        present = [value for value in values.tolist() if type(value).__name__ not in _MISSING]
        whole = all(isinstance(value, int | np.integer) for value in present)
        return whole and 0 < len(set(present)) <= MAX_CATEGORIES
    return values.dtype.kind in "iu" and len(np.unique(values)) <= MAX_CATEGORIES


def _without_members(values: Values) -> Values:
    """Objects, with each member of an enumeration as its value."""
    if not any(issubclass(kind, enum.Enum) for kind in set(map(type, values))):
        return values
    return _objects([value.value if isinstance(value, enum.Enum) else value for value in values])


def _of_pandas(series: Any, as_category: bool) -> Values:
    dtype = series.dtype
    if not isinstance(dtype, np.dtype) and not as_category:
        if dtype.kind in "iuf":
            return np.asarray(series.to_numpy(dtype=np.float64, na_value=math.nan))
        if hasattr(dtype, "tz") and hasattr(dtype, "unit"):
            return np.asarray(series.to_numpy(dtype=f"datetime64[{dtype.unit}]"))
    return np.asarray(series.to_numpy() if isinstance(dtype, np.dtype) else series.to_numpy(dtype=object))


def _of_polars(series: Any, as_category: bool) -> Values:
    dtype = series.dtype
    if as_category:
        return _objects(series.to_list())
    if dtype.is_numeric():  # decimals too
        return np.asarray(series.cast(sys.modules["polars"].Float64).to_numpy())
    if hasattr(dtype, "time_zone") and dtype.time_zone:
        series = series.dt.replace_time_zone(None) if dtype.time_zone == "UTC" else _in_utc(series)
    return np.asarray(series.to_numpy())


def _in_utc(series: Any) -> Any:
    return series.dt.convert_time_zone("UTC").dt.replace_time_zone(None)


def _array(data: Any, place: str) -> Values:
    if hasattr(data, "detach"):  # PyTorch: a tensor that is on a device or has a gradient
        data = data.detach().cpu()
    try:
        if isinstance(data, np.ma.MaskedArray):
            data = without_mask(data)
        return _of_list(data) if isinstance(data, list | tuple) else np.asarray(data)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise BaselineError(f"{place} is not an array: {error}") from error


def _of_list(data: Sequence[Any]) -> Values:
    """A list as an array of its objects; NumPy would make texts of numbers among texts."""
    types = set(map(type, data))
    if all(issubclass(kind, _FLOATS) and kind is not bool for kind in types):
        return np.asarray(data)
    if any(issubclass(kind, list | tuple | np.ndarray) for kind in types):
        return np.asarray(data, dtype=object)
    return _objects(data)


def _objects(values: Sequence[Any]) -> Values:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def _is_categorical(values: Values, place: str) -> bool:
    """Whether a column holds categories rather than numbers; BaselineError when it holds neither."""
    kind = values.dtype.kind
    if kind == "O":
        return _objects_are_categorical(values, place)
    months = kind == "m" and np.datetime_data(values.dtype)[0] in "YM"  # have no length in seconds
    if kind in "iufMm" and not months:
        return False
    if kind in "bUST":
        return True
    raise BaselineError(f"{place} must hold numbers, dates, texts or truth values (got {values.dtype})")


def _objects_are_categorical(values: Values, place: str) -> bool:
    types = [kind for kind in set(map(type, values)) if kind.__name__ not in _MISSING]
    if all(issubclass(kind, _NUMBERS) and kind is not bool for kind in types):
        return False
    if all(issubclass(kind, (*_TIMES, float)) for kind in types):  # float: a NaN
        return False
    strange = [
        kind.__name__
        for kind in types
        if not issubclass(kind, _CATEGORIES) and kind.__name__ not in _CATEGORY_NAMES
    ]
    if strange:
        raise BaselineError(
            f"{place} must hold numbers, dates, texts or truth values (got {', '.join(sorted(strange))})"
        )
    return True


def _numbers(values: Values) -> Numbers | Times:
    """Values as floats, NaN where missing; times in seconds, dates since 1970."""
    if values.dtype.kind == "M":
        return Times(to_seconds(values))
    if values.dtype.kind == "m":
        return to_seconds(values)
    with np.errstate(over="ignore"):  # what is too large for a float is missing
        numbers = to_numbers(values)[0]
    are_times = values.dtype.kind == "O" and any(
        issubclass(kind, _INSTANTS) for kind in set(map(type, values))
    )
    return Times(numbers) if are_times else numbers


def _counts(values: Values, place: str) -> Counter[str | None]:
    if values.dtype.kind in "biuf":
        distinct, counts = np.unique(values, return_counts=True)
        return category_counts(zip(listed(distinct), counts.tolist(), strict=True), place)
    items = listed(values)
    # With the type, because True equals 1, which would be counted as the other.
    typed = Counter(zip(map(type, items), items, strict=True))
    return category_counts(((value, count) for (_, value), count in typed.items()), place)
