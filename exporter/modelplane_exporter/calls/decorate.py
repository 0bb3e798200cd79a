"""What an exporter may decorate besides a plain function, and what stands in its place."""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable
from typing import Any

from modelplane_exporter.calls.proxy import Proxy, function_of

Decorator = Callable[[Any], Any]


class Decorated(Proxy):
    """A callable object, or a function that is not written in Python, whose calls are measured.

    A copy or pickle is decorated again, by the exporter of the process that it comes to.
    """

    __slots__ = ("_measured_decorator",)

    def __init__(self, target: Any, measured: Callable[..., Any], decorator: Decorator) -> None:
        super().__init__(target)
        object.__setattr__(self, "_measured_decorator", decorator)
        object.__setattr__(self, "__call__", measured)

    def __copy__(self) -> Any:
        return self._measured_again(super().__copy__())

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return self._measured_again(super().__deepcopy__(memo))

    def __reduce_ex__(self, protocol: Any) -> Any:
        name = getattr(self._measured_target, "__qualname__", None)
        if isinstance(name, str) and self._measured_is_named(name):
            return name  # as functions are
        return self._measured_decorator, (self._measured_target,)

    def _measured_again(self, copied: Any) -> Any:
        # Functions are copied as themselves.
        return self if copied is self._measured_target else self._measured_decorator(copied)

    def _measured_is_named(self, name: str) -> bool:
        try:
            named: object = operator.attrgetter(name)(sys.modules[self.__module__])
        except (AttributeError, KeyError):
            return False
        return named is self


def decorate(target: Any, decorator: Decorator, measure: Callable[[Callable[..., Any]], Any]) -> Any:
    """What stands in the place of ``target``, which is no plain function; ``measure`` wraps a function.

    TypeError for what cannot behave as it does undecorated, with what to decorate instead.
    """
    if isinstance(target, staticmethod | classmethod):
        return type(target)(decorator(target.__func__))
    if isinstance(target, property) and target.fget is not None:
        return target.getter(decorator(target.fget))
    if isinstance(target, type):
        raise TypeError(
            f"a class cannot be decorated, because a call of it makes an object: decorate the method of "
            f"{target.__name__} that infers, or an object of it"
        )
    if not callable(target):
        raise TypeError(
            f"only what is called can be decorated: put the exporter on the function inside (got a "
            f"{type(target).__name__})"
        )
    return Decorated(target, measure(function_of(target)), decorator)
