"""Who a call belongs to: valid identity labels, and the ways to name a tenant."""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, Final, Literal, NamedTuple, TypeGuard

from modelplane_schema.identity import Identity
from modelplane_schema.metrics import FRAMEWORK_PATTERN, RESERVED_TENANTS


class _PerCall(enum.Enum):
    PER_CALL = "PER_CALL"


PER_CALL: Final = _PerCall.PER_CALL
TenantSource = str | Callable[..., str] | Literal[_PerCall.PER_CALL]

_current_tenant: ContextVar[str | None] = ContextVar("modelplane_tenant", default=None)


class Version(NamedTuple):
    """The labels of a model version, in the order of the schema's ``VERSION_IDENTITY``."""

    model_name: str
    model_version: str
    framework: str


def version_of(identity: Identity) -> Version:
    """The version of an identity, without its tenant."""
    return Version(identity.model_name, identity.model_version, identity.framework)


@contextlib.contextmanager
def tenant(tenant_id: str) -> Iterator[None]:
    """Name the tenant of every call in this block; safe for threads and asyncio tasks.

    Set it after authentication, never from a raw client header.
    """
    token = _current_tenant.set(tenant_id)
    try:
        yield
    finally:
        _current_tenant.reset(token)


def required_text(field: str, value: object) -> str:
    """``value`` when it is a non-empty text; ValueError names the field otherwise."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{field} is required and must be a non-empty text (got {value!r})")
    if not is_unicode(value):
        raise ValueError(f"{field} must be a text without lone surrogates (got {value!r})")
    return str.__str__(value)  # of an enumeration's member the text, not its name


def valid_framework(value: object) -> str:
    """``value`` when it is a framework name; ValueError names the field otherwise."""
    framework = required_text("framework", value)
    if not FRAMEWORK_PATTERN.fullmatch(framework):
        raise ValueError(
            f"framework must match {FRAMEWORK_PATTERN.pattern}, for example pytorch (got {value!r})"
        )
    return framework


def valid_tenant_source(value: object) -> TenantSource:
    """``value`` when it can name tenants; ValueError says what is allowed otherwise."""
    if value is PER_CALL:
        return PER_CALL
    if callable(value):
        return value
    if isinstance(value, str) and is_tenant(value) and is_unicode(value):
        return str.__str__(value)
    raise ValueError(
        "tenant_id is required: a non-empty text that is not reserved, a function of the call's arguments, "
        f"or PER_CALL (got {value!r})"
    )


def is_tenant(value: object) -> TypeGuard[str]:
    """Whether ``value`` can be a tenant's id."""
    # Not isinstance, and not the value's own methods: those may be anybody's code.
    if not issubclass(type(value), str):
        return False
    text = str.__str__(value)
    return bool(text.strip()) and text not in RESERVED_TENANTS


def is_unicode(text: str) -> bool:
    """Whether ``text`` can be written as UTF-8: a lone surrogate cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def resolve(source: TenantSource, args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
    """What names the tenant of one call; ``is_tenant`` says whether it can. A function's exceptions pass."""
    if source is PER_CALL:
        return _current_tenant.get()
    return source if isinstance(source, str) else source(*args, **kwargs)
