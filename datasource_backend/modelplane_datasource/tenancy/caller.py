"""Who asks, and whose data they may see."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

from modelplane_datasource.errors import ApiError

T = TypeVar("T")
Role = Literal["admin", "reader", "tenant", "grafana", "writer"]

TENANT_PARAMETER = "tenant-id"


@dataclass(frozen=True, slots=True)
class User:
    """Somebody in Grafana. ``subject`` is theirs for ever, such as ``user:3``; ``name`` they may change."""

    subject: str
    name: str
    role: str
    may_write: bool


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request; ``tenants`` is None for those who may see everyone's data.

    ``name`` is that of the token, ``user`` who uses it in Grafana, as far as that was verified.
    """

    name: str
    role: Role
    tenants: tuple[str, ...] | None
    user: User | None = None

    @property
    def described(self) -> str:
        """The name for a log."""
        return f"{self.name} {self.user.subject}" if self.user else self.name


ANYONE = Caller("anyone", "admin", None)  # where no tokens are configured
NOBODY = Caller("nobody", "tenant", ())  # outside of a request, and without a token
_CALLER: ContextVar[Caller] = ContextVar("caller", default=NOBODY)


def set_caller(caller: Caller) -> None:
    """Answer what follows in this context for ``caller``."""
    _CALLER.set(caller)


@contextmanager
def also_permitted(tenants: tuple[str, ...]) -> Iterator[None]:
    """Let the caller see ``tenants``, too, inside the block.

    Only for queries whose matchers name what of these tenants the caller may see.
    """
    caller = _CALLER.get()
    if caller.tenants is None:
        yield
        return
    before = _CALLER.set(replace(caller, tenants=(*caller.tenants, *tenants)))
    try:
        yield
    finally:
        _CALLER.reset(before)


def current_caller() -> Caller:
    """Who is being answered; outside of a request somebody who may see nothing."""
    return _CALLER.get()


def author(given: str) -> str:
    """Who writes: the user whom Grafana's identity names, else whom the body names, which nobody verified."""
    user = _CALLER.get().user
    return user.name if user else given


def current_tenants() -> tuple[str, ...] | None:
    """Whose data may be seen; None for everyone's."""
    return _CALLER.get().tenants


def permitted_tenants(requested: tuple[str, ...]) -> tuple[str, ...]:
    """The tenants that are requested, or all of the caller's when none is; ApiError 403 for somebody else's.

    The answer is the same for tenants that exist and for those that do not.
    """
    tenants = current_tenants()
    if tenants is None:
        return requested
    if not tenants:  # no tenant would read as all of them
        raise ApiError(403, "forbidden", "This token may see no tenant.")
    if not set(requested) <= set(tenants):
        raise ApiError(
            403,
            "forbidden",
            f"{TENANT_PARAMETER} names a tenant that this token may not see; allowed: {', '.join(tenants)}.",
            {"parameter": TENANT_PARAMETER, "allowed": list(tenants)},
        )
    return requested or tenants


def for_caller(call: Callable[[], T]) -> Callable[[], T]:
    """``call`` for another thread, which answers the same caller there."""
    context = copy_context()
    return lambda: context.run(call)
