"""Columns of Arrow as what a fit takes: numbers, times, or counts of categories."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from modelplane_exporter.baseline import BaselineError
from modelplane_exporter.baseline.fit_categorical import Counts
from modelplane_exporter.baseline.fit_columns import category_counts
from modelplane_exporter.baseline.fit_numeric import Numbers, Times
from modelplane_exporter.baseline.tables import arrow_values
from modelplane_exporter.baseline.texts import number_in
from modelplane_exporter.baseline.values import to_seconds

_CATEGORICAL = (
    pt.is_boolean, pt.is_string, pt.is_large_string, pt.is_string_view, pt.is_time,
    pt.is_binary, pt.is_large_binary, pt.is_fixed_size_binary, pt.is_binary_view,
)  # fmt: skip


def values_of(array: pa.Array, name: str, as_category: bool) -> Numbers | Times | Counts:
    """A column of any type; BaselineError when it can be neither numbers nor categories."""
    if pt.is_dictionary(array.type):
        array, as_category = array.dictionary_decode(), True
    if as_category or any(check(array.type) for check in _CATEGORICAL):
        return counts_of(array, name)
    if pt.is_timestamp(array.type) or pt.is_date(array.type):
        return Times(to_seconds(np.asarray(arrow_values(array))))
    if pt.is_duration(array.type):
        return to_seconds(np.asarray(arrow_values(array)))
    if pt.is_integer(array.type) or pt.is_floating(array.type) or pt.is_decimal(array.type):
        return floats_of(array)
    if pt.is_null(array.type):
        return np.full(len(array), np.nan)
    raise BaselineError(
        f"column {name!r} must hold numbers, dates, texts or truth values (got {array.type}); "
        "leave it out with --ignore"
    )


def counts_of(array: pa.Array, name: str) -> Counts:
    """A column as counts of its categories."""
    counted: Any = pc.value_counts(array)
    values = arrow_values(counted.field("values"))
    return category_counts(zip(values, counted.field("counts").to_pylist(), strict=True), f"column {name!r}")


def floats_of(array: pa.Array) -> Numbers:
    """A column of numbers."""
    floats: Numbers = array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return floats


def numbers_in(array: pa.Array, name: str, decimal: str = ".") -> Numbers:
    """A column of texts as the numbers and times that they spell; BaselineError for another text."""
    encoded = array.dictionary_encode()
    numbers = []
    for text in encoded.dictionary.to_pylist():
        number = number_in(text.replace(decimal, "."))
        if number is None:
            raise BaselineError(
                f"column {name!r}: the invalid value {text!r} is unlike those before; "
                "take it as texts with --categorical"
            )
        numbers.append(number)
    missing = len(numbers)
    table: Numbers = np.array([*numbers, np.nan])
    indices: Any = encoded.indices.fill_null(missing).to_numpy(zero_copy_only=False)
    numbers_of_rows: Numbers = np.take(table, indices)
    return numbers_of_rows
