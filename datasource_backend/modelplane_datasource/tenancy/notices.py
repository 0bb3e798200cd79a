"""Notices: sentences beside an answer, such as a warning of Prometheus, and who may read them.

They travel this way alone: whoever has something to say notes it for the request being answered, and the
response takes what its caller may read. A notice has no text for anybody else to take.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextvars import ContextVar, copy_context
from typing import TypeVar

from modelplane_datasource.tenancy.caller import current_tenants

T = TypeVar("T")


class Notice:
    """A sentence for callers who may see all tenants or one of ``tenants``; others get ``otherwise``.

    It is no text, and cannot be written into one or into JSON: ``text_for`` is the one way to its text.
    """

    __slots__ = ("_otherwise", "_tenants", "_text")

    def __init__(self, text: str, tenants: Iterable[str] = (), otherwise: str | None = None) -> None:
        """``tenants`` are those whom the text is about: each of them may know everything that it names."""
        self._text = text
        self._tenants = frozenset(tenants)
        self._otherwise = otherwise

    @classmethod
    def for_everyone(cls, text: str) -> Notice:
        """A sentence that names nothing of any tenant."""
        return cls(text, otherwise=text)

    def text_for(self, tenants: Iterable[str] | None) -> str | None:
        """What those read who may see ``tenants``, None for all of them; None for nothing."""
        if tenants is None or not self._tenants.isdisjoint(tenants):
            return self._text
        return self._otherwise

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Notice) and self._parts == other._parts

    def __hash__(self) -> int:
        return hash(self._parts)

    def __str__(self) -> str:
        raise TypeError("a notice is read through text_for")

    @property
    def _parts(self) -> tuple[object, ...]:
        return self._text, self._tenants, self._otherwise


_NOTED: ContextVar[tuple[Notice, ...]] = ContextVar("noted", default=())


def forget_notices() -> None:
    """Begin a request: what others were told does not belong to it."""
    _NOTED.set(())


def note(notices: Iterable[Notice]) -> None:
    """Keep notices for the request being answered."""
    _NOTED.set(tuple(dict.fromkeys((*_NOTED.get(), *notices))))


def noted_for_caller() -> tuple[str, ...]:
    """What the caller may read of what was noted since the request began, each sentence once."""
    tenants = current_tenants()
    texts = (notice.text_for(tenants) for notice in _NOTED.get())
    return tuple(dict.fromkeys(text for text in texts if text is not None))


def collected(call: Callable[[], T]) -> tuple[T, tuple[Notice, ...]]:
    """What ``call`` gives and what was noted meanwhile: for a later request, or another thread's."""
    context = copy_context()
    context.run(forget_notices)
    return context.run(call), context.run(_NOTED.get)
