"""Functions that make coroutines, generators and async generators, which may run long after they are made.

Whom a call is for is settled when its stream is made, and the tenant that is in force then holds in each of
its steps: the block that names it may be left before the first one, and any thread or task may take them.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import FunctionType
from typing import Any

from modelplane_exporter.tenant_context import in_tenant

COROUTINE, GENERATOR, ASYNC_GENERATOR = (
    inspect.CO_COROUTINE,
    inspect.CO_GENERATOR,
    inspect.CO_ASYNC_GENERATOR,
)

Make = Callable[[tuple[Any, ...], dict[str, Any]], Any]


def stream_function(function: Callable[..., Any], kind: int, make: Make) -> Callable[..., Any]:
    """A function that looks like ``function`` and returns what ``make`` gives for its arguments.

    ``kind`` is what it says of itself to ``inspect``, one of the constants of this module.
    """

    def measured(*args: Any, **kwargs: Any) -> Any:
        return make(args, kwargs)

    # Web frameworks, Ray and mocks look at this flag to know what a function makes. CPython does not: from
    # 3.11 on an instruction in the code makes the stream, and what follows it waits for the first step.
    code = measured.__code__.replace(co_flags=measured.__code__.co_flags | kind)
    marked = FunctionType(code, measured.__globals__, code.co_name, None, measured.__closure__)
    return functools.update_wrapper(marked, function)


def holding_tenant(function: Callable[..., Any]) -> Callable[..., Any]:
    """An async function likewise, with a tenant as the first argument, that is in force while it runs."""

    @functools.wraps(function)
    def held(tenant_id: object, /, *args: Any, **kwargs: Any) -> Any:
        return in_tenant(tenant_id, function(*args, **kwargs))

    return held
