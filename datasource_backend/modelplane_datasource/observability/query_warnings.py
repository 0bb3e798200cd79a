"""Warnings of Prometheus that belong to the request being answered, wherever its queries are made.

They travel this way alone: whoever makes a query notes its warnings, and the response takes what was noted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextvars import ContextVar, copy_context
from typing import TypeVar

T = TypeVar("T")

_NOTED: ContextVar[tuple[str, ...]] = ContextVar("noted", default=())


def forget_warnings() -> None:
    """Begin a request: what others were warned of does not belong to it."""
    _NOTED.set(())


def note(warnings: Iterable[str]) -> None:
    """Keep warnings for the request being answered."""
    _NOTED.set(tuple(dict.fromkeys((*_NOTED.get(), *warnings))))


def noted() -> tuple[str, ...]:
    """What was warned of since the request began, each warning once."""
    return _NOTED.get()


def collected(call: Callable[[], T]) -> tuple[T, tuple[str, ...]]:
    """What ``call`` gives and what was warned of meanwhile: for a later request, or another thread's."""
    context = copy_context()
    context.run(forget_warnings)
    return context.run(call), context.run(noted)
