"""How values of a categorical signal become categories; the same in training and in service."""

from __future__ import annotations

import hashlib
import math
from typing import Any

LONGEST_CATEGORY = 100


def category(value: Any) -> str | None:
    """``value`` as a category; None when it is missing (None, NaN, NaT, NA).

    Truth values read ``true`` and ``false``; a float without a fraction reads as the whole number, because a
    column of whole numbers becomes floats as soon as one is missing. Texts longer than 100 characters are
    cut. TypeError for a value that is no text, number or truth value.
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
    return str(value)[:LONGEST_CATEGORY].encode("utf-8", "replace").decode()


def digest(text: str, salt: str) -> str:
    """A category that does not show its text: 16 hex digits, keyed with ``salt`` (hexadecimal)."""
    return hashlib.blake2b(text.encode(), digest_size=8, key=bytes.fromhex(salt)).hexdigest()
