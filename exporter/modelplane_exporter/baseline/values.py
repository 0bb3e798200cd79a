"""How values become numbers and categories; the same in training and in service. Needs NumPy."""

from __future__ import annotations

import datetime
import enum
import hashlib
import math
import uuid
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from numbers import Real
from typing import Any

from modelplane_exporter.baseline.texts import (
    MAX_CATEGORY_LENGTH,
    category_key,
    decoded,
    is_missing,
    number_in,
    number_text,
    seconds_since_1970,
    time_text,
)

try:
    import numpy as np
    from numpy.typing import NDArray
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "a baseline needs NumPy; add it with: pip install 'modelplane[signals]'", name=error.name
    ) from error

Column = Sequence[Any] | NDArray[Any]

# Values that make an array at once: of others NumPy might run their code, or write out what they hold.
_QUICK = frozenset({float, int, bool, np.float64, np.float32, np.int64, np.int32, np.bool_})
_MISSING_TYPES = ("NoneType", "NAType", "NaTType", "MaskedConstant")
# Types of pandas whose text is what to_csv writes.
_INTERVAL_TYPES = ("Interval", "Period")

# Unix times further from 1970 than so many are of the next finer unit. It is the rule of pydantic, whose
# watershed is the year 2603: https://docs.pydantic.dev/latest/concepts/types/ "datetimes".
_UNIX_WATERSHED = 2e10
_FINER_UNITS = (1e3, 1e6, 1e9)


def category(value: Any) -> str | None:
    """``value`` as a category; None when it is missing (None, NaN, NaT, NA, or a text for it such as "NA").

    Truth values read ``true`` and ``false``; a float without a fraction reads as the whole number, because a
    column of whole numbers becomes floats as soon as one is missing. An enumeration's member is its value.
    Texts lose spaces around them and what is beyond 100 characters. TypeError for a value that is not a text,
    number, truth value, date, time, UUID or interval.
    """
    if isinstance(value, str) and not isinstance(value, enum.Enum):
        return _category_of_text(str.__str__(value))
    if type(value).__name__ in _MISSING_TYPES:
        return None
    value = _plain(value)
    if value is None or value != value:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return number_text(value)[:MAX_CATEGORY_LENGTH]
    if isinstance(value, int):
        return str(value)[:MAX_CATEGORY_LENGTH]
    if isinstance(value, str):
        return _category_of_text(str.__str__(value))
    if isinstance(value, bytes):
        return _category_of_text(decoded(value))
    return _text_of(value)[:MAX_CATEGORY_LENGTH]


def _plain(value: Any) -> Any:
    """A member of an enumeration as its value, a NumPy scalar as Python's own."""
    if isinstance(value, enum.Enum):
        value = value.value
    if isinstance(value, np.float32 | np.float16):
        return float(str(value))  # 0.1 and not 0.10000000149
    if isinstance(value, np.datetime64 | np.timedelta64):
        return value.astype(f"{value.dtype.kind}8[us]").item()
    if hasattr(value, "item") and not isinstance(value, str | bytes):
        return value.item()
    return value


def _category_of_text(text: str) -> str | None:
    if is_missing(text):
        return None
    text = text.strip()[:MAX_CATEGORY_LENGTH]
    if text.lower() in ("true", "false"):
        return text.lower()
    # A lone surrogate cannot be written as UTF-8.
    return text.encode("utf-8", "replace").decode()


def _text_of(value: Any) -> str:
    if isinstance(value, Decimal):
        return category_key(str(value))
    if isinstance(value, datetime.datetime):
        return time_text(_aware(value))
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return _duration_text(value)
    if isinstance(value, uuid.UUID | Fraction) or type(value).__name__ in _INTERVAL_TYPES:
        return str(value)
    raise TypeError(f"a category must be a text, number, truth value or date (got {type(value).__name__})")


def _duration_text(value: datetime.timedelta) -> str:
    """A duration as pandas.DataFrame.to_csv writes it."""
    minutes, seconds = divmod(value.seconds, 60)
    fraction = f".{value.microseconds:06d}" if value.microseconds else ""
    return f"{value.days} days {minutes // 60:02d}:{minutes % 60:02d}:{seconds:02d}{fraction}"


def _aware(value: datetime.datetime) -> datetime.datetime:
    return value if value.tzinfo else value.replace(tzinfo=datetime.UTC)


def listed(values: NDArray[Any]) -> list[Any]:
    """An array as a list of values that can be categories."""
    if values.dtype.kind in "Mm" and _has_seconds(values.dtype):
        values = values.astype(f"{values.dtype.kind}8[us]")  # of nanoseconds NumPy makes whole numbers
    elif values.dtype.kind == "f" and values.dtype.itemsize < 8:
        return [float(str(value)) for value in values]
    items: list[Any] = values.tolist()
    return items


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


def to_numbers(values: Column, are_times: bool = False) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """A column as floats, and which of its values are not numbers; those, and missing ones, are NaN.

    Truth values are 0 and 1, texts the numbers or dates that they spell; dates are seconds since 1970, UTC
    unless they say otherwise. Where values ``are_times``, numbers are Unix times in s, ms, us or ns.
    """
    quick = isinstance(values, np.ndarray) or _QUICK.issuperset(map(type, values))
    array = quick_array(values) if quick else None
    with np.errstate(all="ignore"):  # what is too large for a float is missing
        if array is not None and array.dtype.kind in "fiub":
            floats = array.astype(np.float64)
            return unix_seconds(floats) if are_times else floats, np.zeros(len(array), bool)
        if array is not None and array.dtype.kind in "Mm" and _has_seconds(array.dtype):
            return to_seconds(array), np.zeros(len(array), bool)
        numbers = [number(value, are_times) for value in values]
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


def to_seconds(array: NDArray[Any]) -> NDArray[np.float64]:
    """Times as seconds since 1970, durations as seconds."""
    if array.dtype.kind == "M":
        array = array - np.datetime64(0, "s")
    seconds: NDArray[np.float64] = array / np.timedelta64(1, "s")
    return seconds


def unix_seconds(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unix times in s, ms, us or ns as seconds."""
    seconds = numbers
    for units in _FINER_UNITS:
        seconds = np.where(np.abs(seconds) > _UNIX_WATERSHED, numbers / units, seconds)
    return seconds


def number(value: Any, is_time: bool = False) -> float | None:
    """``value`` as a float, NaN when it is missing, None when it is not a number; see ``to_numbers``."""
    try:
        return _number(value, is_time)
    except Exception:  # noqa: BLE001 - a foreign object may raise anything
        return None


def _number(value: Any, is_time: bool) -> float | None:
    if type(value) is float and not is_time:
        return value
    if isinstance(value, enum.Enum):
        value = value.value
    if isinstance(value, str):
        return number_in(str.__str__(value))
    if type(value).__name__ in _MISSING_TYPES:
        return math.nan
    if hasattr(value, "item") and not isinstance(value, np.datetime64 | np.timedelta64):
        value = value.item()
    if isinstance(value, str | bytes):
        return number_in(decoded(value) if isinstance(value, bytes) else value)
    time = _seconds_of(value)
    if time is not None:
        return time
    real = _real(value)
    return real if real is None or not is_time else float(unix_seconds(np.float64(real)))  # type: ignore[arg-type]


def _seconds_of(value: Any) -> float | None:
    """A time as seconds since 1970, a duration as seconds; None for what is neither."""
    if isinstance(value, np.datetime64 | np.timedelta64):
        return float(to_seconds(np.array(value)))
    if isinstance(value, datetime.datetime):
        return seconds_since_1970(_aware(value))
    if isinstance(value, datetime.date):
        return (value - datetime.date(1970, 1, 1)).total_seconds()
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    return None


def _real(value: Any) -> float | None:
    if not isinstance(value, Real | Fraction | Decimal):
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
