"""What texts mean: a number, a time, a truth value, nothing; the same in training files and in calls.

A CSV file has only texts, JSON has some types, a frame has all of them. So that the same data is the same
signal wherever it comes from, every text is read here and nowhere else. Needs nothing but Python.
"""

from __future__ import annotations

import datetime
import math
import re

MAX_CATEGORY_LENGTH = 100
# What pandas.read_csv takes for no value, and how NumPy writes no time. A call must take it for none, too.
MISSING_TEXTS = frozenset(
    {
        "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>",
        "N/A", "NA", "NULL", "NaN", "NaT", "None", "n/a", "nan", "null",
    }
)  # fmt: skip

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_WHOLE = re.compile(r"[+-]?\d+", re.ASCII)
_INFINITE = re.compile(r"[+-]?inf(inity)?", re.ASCII | re.IGNORECASE)
_TIME = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?", re.ASCII)
_TRUTH_VALUES = {"true": 1.0, "false": 0.0}
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def decoded(data: bytes) -> str:
    """Bytes as a text: UTF-8, else Windows-1252, in which each of the bytes that it leaves out is itself."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return "".join(_of_byte(byte) for byte in data)


def is_missing(text: str) -> bool:
    """Whether a text stands for no value."""
    return text.strip() in MISSING_TEXTS


def is_number(text: str) -> bool:
    """Whether a text is a number, infinity included."""
    text = text.strip()
    return bool(_NUMBER.fullmatch(text) or _INFINITE.fullmatch(text))


def is_whole_number(text: str) -> bool:
    """Whether a text is a whole number without a fraction."""
    return bool(_WHOLE.fullmatch(text.strip()))


def is_identifier(text: str) -> bool:
    """Whether a text is made of digits of which the first, of several, is 0: a postcode, no amount."""
    text = text.strip()
    return len(text) > 1 and text[0] == "0" and text.isdecimal()


def is_time(text: str) -> bool:
    """Whether a text is a date, or a date with a time of day, as ISO 8601 and SQL write them."""
    return time_in(text) is not None


def number_in(text: str) -> float | None:
    """A text as a number, a truth value as 1 or 0, a date as seconds since 1970.

    NaN when it stands for no value, None for other texts.
    """
    text = text.strip()
    if _NUMBER.fullmatch(text) or _INFINITE.fullmatch(text):
        return float(text)
    if text in MISSING_TEXTS:
        return math.nan
    if text.lower() in _TRUTH_VALUES:
        return _TRUTH_VALUES[text.lower()]
    time = time_in(text)
    return None if time is None else seconds_since_1970(time)


def time_in(text: str) -> datetime.datetime | None:
    """The time in a text, UTC unless it says otherwise; None for other texts."""
    text = text.strip()
    if not _TIME.fullmatch(text):
        return None
    try:
        time = datetime.datetime.fromisoformat(text)
    except ValueError:  # the 31st of June
        return None
    return time if time.tzinfo else time.replace(tzinfo=datetime.UTC)


def seconds_since_1970(time: datetime.datetime) -> float:
    """A time that knows its zone as seconds."""
    return (time - _EPOCH).total_seconds()


def time_text(time: datetime.datetime) -> str:
    """A time as a text: a date alone at midnight UTC."""
    try:
        time = time.astimezone(datetime.UTC).replace(tzinfo=None)
    except OverflowError:  # in the first or last hours that Python knows
        time = time.replace(tzinfo=None)
    midnight = time.time() == datetime.time()
    return time.date().isoformat() if midnight else time.isoformat(" ")


def category_key(text: str) -> str:
    """What all spellings of a category have in common: "01", "1.0" and " 1" are one category.

    A file may hold "1.0" where a call brings 1, because a column of whole numbers becomes floats as soon as
    one is missing.
    """
    text = text.strip()[:MAX_CATEGORY_LENGTH]
    if _WHOLE.fullmatch(text):
        return str(int(text))
    if _NUMBER.fullmatch(text):
        return _number_text(float(text)) or text
    lower = text.lower()
    if lower in _TRUTH_VALUES:
        return lower
    time = time_in(text)
    return text if time is None else time_text(time)


def number_text(value: float) -> str:
    """A float as a category: as a whole number where it is one."""
    return _number_text(value) or repr(value)


def _number_text(value: float) -> str:
    if not math.isfinite(value):
        return ""
    return (str(int(value)) if value.is_integer() else repr(value))[:MAX_CATEGORY_LENGTH]


def _of_byte(byte: int) -> str:
    try:
        return bytes([byte]).decode("cp1252")
    except UnicodeDecodeError:
        return chr(byte)
