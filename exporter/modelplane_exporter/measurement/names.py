"""Names that come with values: of business values and of scores."""

from __future__ import annotations

from typing import TypeGuard

MAX_LENGTH = 100


def is_name(value: object) -> TypeGuard[str]:
    """Whether ``value`` can name a series: up to ``MAX_LENGTH`` printable characters, no space at either end.

    Names that begin with two underscores are ours.
    """
    return (
        isinstance(value, str)
        and 0 < len(value) <= MAX_LENGTH
        and value.isprintable()
        and value == value.strip()
        and not value.startswith("__")
    )


def required_name(field: str, value: object) -> str:
    """``value`` when it is a name; ValueError names the field otherwise."""
    if not is_name(value):
        raise ValueError(
            f"{field} must be a name of 1 to {MAX_LENGTH} printable characters that does not begin with '__' "
            f"(got {value!r})"
        )
    return str.__str__(value)  # of an enumeration's member the text, not its name
