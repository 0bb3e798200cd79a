"""Warnings of Prometheus that belong to the request being answered, wherever its queries are made."""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import ContextVar

_NOTED: ContextVar[tuple[str, ...]] = ContextVar("noted", default=())


def forget_notices() -> None:
    """Begin a request: what others were warned of does not belong to it."""
    _NOTED.set(())


def note(warnings: Iterable[str]) -> None:
    """Keep warnings for the request being answered."""
    _NOTED.set(tuple(dict.fromkeys((*_NOTED.get(), *warnings))))


def noted() -> tuple[str, ...]:
    """What was warned of since the request began, each warning once."""
    return _NOTED.get()
