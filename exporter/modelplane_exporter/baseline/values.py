"""How values become numbers and categories; the same in training and in service. Needs NumPy."""

from __future__ import annotations

import datetime
import hashlib
import math
from collections.abc import Sequence
from fractions import Fraction
from numbers import Real
from typing import Any

try:
    import numpy as np
    from numpy.typing import NDArray
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "a baseline needs NumPy; add it with: pip install 'modelplane[signals]'", name=error.name
    ) from error

Column = Sequence[Any] | NDArray[Any]

MAX_CATEGORY_LENGTH = 100
# Values that make an array at once: of others NumPy might run their code, or write out what they hold.
_QUICK = frozenset({float, int, bool, np.float64, np.float32, np.int64, np.int32, np.bool_})


def category(value: Any) -> str | None:
    """``value`` as a category; None when it is missing (None, NaN, NaT, NA).

    Truth values read ``true`` and ``false``; a float without a fraction reads as the whole number, because a
    column of whole numbers becomes floats as soon as one is missing. Texts longer than 100 characters are
    cut. TypeError for a value that is not a text, number or truth value.
    """
    if hasattr(value, "item") and not isinstance(value, str | bytes):  # a NumPy scalar
        value = value.item()
    if value is None or type(value).__name__ == "NAType" or value != value:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        value = int(value)
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if not isinstance(value, str | int | float):
        raise TypeError(f"a category must be a text, number or truth value (got {type(value).__name__})")
    # A lone surrogate cannot be written as UTF-8.
    return str(value)[:MAX_CATEGORY_LENGTH].encode("utf-8", "replace").decode()


def digest(text: str, salt: str) -> str:
    """A category that does not show its text: 16 hex digits, keyed with ``salt`` (hexadecimal)."""
    return hashlib.blake2b(text.encode(), digest_size=8, key=bytes.fromhex(salt)).hexdigest()


def is_category(value: Any) -> bool:
    """Whether a value can be a category, or is missing."""
    try:
        category(value)
    except Exception:  # noqa: BLE001 - a foreign object may raise anything
        return False
    return True


def to_numbers(values: Column) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """A column as floats, and which of its values are not numbers; those, and missing ones, are NaN.

    Truth values are 0 and 1; dates are seconds since 1970, UTC unless they say otherwise.
    """
    quick = isinstance(values, np.ndarray) or _QUICK.issuperset(map(type, values))
    array = quick_array(values) if quick else None
    with np.errstate(all="ignore"):  # what is too large for a float is missing
        if array is not None and array.dtype.kind in "fiub":
            return array.astype(np.float64), np.zeros(len(array), bool)
        if array is not None and array.dtype.kind in "Mm" and _has_seconds(array.dtype):
            return _seconds(array), np.zeros(len(array), bool)
        numbers = [number(value) for value in values]
    floats = np.array([math.nan if value is None else value for value in numbers], np.float64)
    return floats, np.array([value is None for value in numbers], bool)


def quick_array(values: Sequence[Any] | NDArray[Any]) -> NDArray[Any] | None:
    """An array of the values, of an unsuitable type where they are mixed; None when that fails."""
    try:
        return np.asarray(values)
    except (TypeError, ValueError, OverflowError):  # large whole numbers
        return None


def _has_seconds(dtype: np.dtype[Any]) -> bool:
    """Whether times of this type can be converted to seconds: months have no length."""
    return dtype.kind == "M" or np.datetime_data(dtype)[0] not in ("Y", "M")


def _seconds(array: NDArray[Any]) -> NDArray[np.float64]:
    if array.dtype.kind == "M":
        array = array - np.datetime64(0, "s")
    seconds: NDArray[np.float64] = array / np.timedelta64(1, "s")
    return seconds


def number(value: Any) -> float | None:
    """``value`` as a float, NaN when it is missing, None when it is not a number."""
    try:
        return _number(value)
    except Exception:  # noqa: BLE001 - a foreign object may raise anything
        return None


def _number(value: Any) -> float | None:
    if hasattr(value, "item") and not isinstance(value, np.datetime64 | np.timedelta64):
        value = value.item()
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return math.nan
    if isinstance(value, np.datetime64 | np.timedelta64):
        return float(_seconds(np.array(value)))
    if isinstance(value, datetime.datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=datetime.UTC)
        return aware.timestamp()
    if isinstance(value, datetime.date):
        return (value - datetime.date(1970, 1, 1)).total_seconds()
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    return _real(value)


def _real(value: Any) -> float | None:
    if not isinstance(value, Real | Fraction) and type(value).__name__ != "Decimal":
        return None
    try:
        return float(value)
    except OverflowError:
        return math.nan


def without_mask(values: Any) -> NDArray[Any]:
    """A masked array as objects, None where it is masked."""
    objects = np.array(values.data, dtype=object)
    objects[np.ma.getmaskarray(values)] = None
    return objects
