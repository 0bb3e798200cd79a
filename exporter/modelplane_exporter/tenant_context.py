"""Which tenant is in force: named by a block, held by what is made inside it, carried into other threads."""

from __future__ import annotations

import contextlib
import enum
import functools
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextvars import ContextVar, Token
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any, Final, Literal, Self, TypeVar, cast
from uuid import UUID

from modelplane_exporter.identity import NotATenantError, tenant_text


class _PerCall(enum.Enum):
    PER_CALL = "PER_CALL"


PER_CALL: Final = _PerCall.PER_CALL
TenantId = str | int | UUID
TenantSource = TenantId | Callable[..., TenantId] | Literal[_PerCall.PER_CALL]

Target = TypeVar("Target")

_STREAMS = (CoroutineType, GeneratorType, AsyncGeneratorType)

# What ``tenant`` was given: a text if it names a tenant, None where no block is open.
_in_force: ContextVar[object] = ContextVar("modelplane_tenant", default=None)


@contextlib.contextmanager
def tenant(tenant_id: TenantId) -> Iterator[None]:
    """Name the tenant of every call in this block, and of every stream that is made in it.

    Safe for threads and asyncio tasks. It may be left in another context than it was entered in. Set it after
    authentication, never from a raw client header.
    """
    named = _named(tenant_id)
    token = _in_force.set(named)
    try:
        yield
    finally:
        _leave(named, token)


def bind_tenant(target: Target) -> Target:
    """``target`` with the tenant that is in force now, wherever it runs.

    ``target`` is a function that goes to a thread, an executor or a background task; or a coroutine, a
    generator, an async generator or an iterator that outlives the block. A plain function can be pickled.
    """
    return cast("Target", _bound(target, _in_force.get()))


def tenant_in_force() -> object:
    """What the innermost ``tenant`` block was given, None outside of all."""
    return _in_force.get()


def resolve(source: TenantSource, args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
    """What names the tenant of a call; ``tenant_text`` says whether it can. A function's exceptions pass."""
    if source is PER_CALL:
        return _in_force.get()
    return source(*args, **kwargs) if callable(source) else source


def valid_tenant_source(value: object) -> TenantSource:
    """``value`` when it can name tenants, a fixed one as text; ValueError says what is allowed otherwise."""
    if value is PER_CALL:
        return PER_CALL
    if callable(value):
        return value
    try:
        return tenant_text(value)
    except NotATenantError as error:
        raise ValueError(
            "tenant_id is required: a non-empty text that is not reserved, an int or UUID, a function of the "
            f"call's arguments, or PER_CALL ({error})"
        ) from None


def valid_tenant(field: str, value: object) -> str:
    """The text of a tenant; ValueError names the field if it is none."""
    try:
        return tenant_text(value)
    except NotATenantError as error:
        raise ValueError(f"{field} must be a non-empty text, an int or a UUID ({error})") from None


class BoundGenerator:
    """A generator whose steps run with its own tenant in force, whoever takes them and where.

    A tenant that the generator sets inside a step holds for its next steps, and not for its consumer.
    """

    __slots__ = ("_source", "_tenant")

    def __init__(self, source: Any, tenant_id: object) -> None:
        self._source = source
        self._tenant = tenant_id

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        return self._step(self._source.__next__)

    def send(self, value: Any) -> Any:
        return self._step(self._source.send, value)

    def throw(self, *error: Any) -> Any:
        return self._step(self._source.throw, *error)

    def close(self) -> None:
        close = getattr(self._source, "close", None)  # a plain iterator may have none
        if close is not None:
            self._step(close)

    def _step(self, step: Callable[..., Any], *args: Any) -> Any:
        outside = _in_force.get()
        _in_force.set(self._tenant)
        try:
            return step(*args)
        finally:
            self._tenant = _in_force.get()
            _in_force.set(outside)


class BoundAsyncGenerator:
    """An async generator likewise."""

    __slots__ = ("_source", "_tenant")

    def __init__(self, source: Any, tenant_id: object) -> None:
        self._source = source
        self._tenant = tenant_id

    def __aiter__(self) -> Self:
        return self

    def __anext__(self) -> Coroutine[Any, Any, Any]:
        return self._step(self._source.__anext__())

    def asend(self, value: Any) -> Coroutine[Any, Any, Any]:
        return self._step(self._source.asend(value))

    def athrow(self, *error: Any) -> Coroutine[Any, Any, Any]:
        return self._step(self._source.athrow(*error))

    async def aclose(self) -> None:
        aclose = getattr(self._source, "aclose", None)
        if aclose is not None:
            await self._step(aclose())

    async def _step(self, step: Awaitable[Any]) -> Any:
        outside = _in_force.get()
        _in_force.set(self._tenant)
        try:
            return await step
        finally:
            self._tenant = _in_force.get()
            _in_force.set(outside)


def in_tenant(tenant_id: object, coroutine: Coroutine[Any, Any, Any]) -> Coroutine[Any, Any, Any]:
    """``coroutine`` with this tenant in force while it runs, from here on."""
    return coroutine if _in_force.get() is tenant_id else _run(tenant_id, coroutine)


async def _run(tenant_id: object, coroutine: Coroutine[Any, Any, Any]) -> Any:
    token = _in_force.set(tenant_id)
    try:
        return await coroutine
    finally:
        _leave(tenant_id, token)


def _bound(target: Any, tenant_id: object) -> Any:
    if inspect.iscoroutine(target):
        return _run(tenant_id, target)
    if isinstance(target, AsyncIterator):
        return BoundAsyncGenerator(target, tenant_id)
    if isinstance(target, Iterator):
        return BoundGenerator(target, tenant_id)
    if inspect.iscoroutinefunction(target):
        return _bound_coroutine_function(target, tenant_id)
    if callable(target):
        return functools.partial(_call, target, tenant_id)
    raise TypeError(
        "bind_tenant takes a function, a coroutine, a generator, an async generator or an iterator "
        f"(got a {type(target).__name__})"
    )


def _bound_coroutine_function(function: Callable[..., Any], tenant_id: object) -> Callable[..., Any]:
    @functools.wraps(function)
    async def bound(*args: Any, **kwargs: Any) -> Any:
        return await _call(function, tenant_id, *args, **kwargs)

    return bound


def _call(function: Callable[..., Any], tenant_id: object, /, *args: Any, **kwargs: Any) -> Any:
    """Call a function with this tenant in force, also for the stream that it may return."""
    token = _in_force.set(tenant_id)
    try:
        result = function(*args, **kwargs)
    finally:
        _leave(tenant_id, token)
    # Not isinstance: it may run anybody's code.
    return _bound(result, tenant_id) if issubclass(type(result), _STREAMS) else result


def _named(tenant_id: object) -> object:
    """The tenant's text; what names none stays as it is, so that the call it is for can say so."""
    if type(tenant_id) is str:
        return tenant_id
    try:
        return tenant_text(tenant_id)
    except Exception:  # noqa: BLE001 - anybody's object, whose call counts as that of no tenant
        return tenant_id


def _leave(named: object, token: Token[object]) -> None:
    try:
        _in_force.reset(token)
    except ValueError:
        # Left in another context than it was entered in, as the thread of a dependency or a finalizer has.
        # Only a copy that was made inside the block has its tenant in force.
        if _in_force.get() is named:
            _in_force.set(None if token.old_value is Token.MISSING else token.old_value)
