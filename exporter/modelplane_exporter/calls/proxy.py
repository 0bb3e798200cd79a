"""An object that stands for another one, and is that object as far as a caller can see."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable
from types import MethodType
from typing import Any, Self, cast

# What Python asks an object's type for, and never the object itself. A proxy has those that its target has.
_ARITHMETIC = (
    "add", "sub", "mul", "matmul", "truediv", "floordiv", "mod", "divmod", "pow", "lshift", "rshift", "and",
    "xor", "or",
)  # fmt: skip
_OTHER = (
    "len", "length_hint", "iter", "next", "reversed", "contains", "getitem", "setitem", "delitem", "missing",
    "enter", "exit", "aenter", "aexit", "await", "aiter", "anext", "get", "set", "delete", "set_name", "lt",
    "le", "gt", "ge", "bool", "int", "float", "complex", "index", "round", "trunc", "floor", "ceil", "abs",
    "neg", "pos", "invert", "bytes", "fspath", "buffer", "release_buffer", "instancecheck", "subclasscheck",
    "mro_entries",
)  # fmt: skip
_SPECIAL = tuple(
    f"__{name}__" for name in (*(prefix + name for name in _ARITHMETIC for prefix in ("", "r", "i")), *_OTHER)
)


class ProxyType(type):
    """The type of a proxy has the attributes of its target's type."""

    _measured_kind: type = object

    def __getattr__(cls, name: str) -> Any:
        return getattr(cls._measured_kind, name)


class Proxy(metaclass=ProxyType):
    """``target``, seen through an object of its own; a subclass says what differs.

    Attributes, operators, items, length, context manager, ``isinstance``, equality, hash and text are the
    target's, and setting an attribute sets the target's. Where one of these returns the target itself, as
    ``+=`` does, this proxy is returned. ``__wrapped__`` is the target. A copy or pickle is one of the target
    alone, which loads where this package is not installed.
    """

    __slots__ = ("__weakref__", "_measured_target")

    _measured_target: Any

    def __new__(cls, target: Any, *args: Any, **kwargs: Any) -> Self:
        return cast("Self", object.__new__(_type_for(cls, target)))

    def __init__(self, target: Any) -> None:
        object.__setattr__(self, "_measured_target", target)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._measured_target, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._measured_target, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._measured_target, name)

    @property
    def __wrapped__(self) -> Any:
        return self._measured_target

    @property
    def __dict__(self) -> dict[str, Any]:  # type: ignore[override]
        state: dict[str, Any] = self._measured_target.__dict__
        return state

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        # Parent modules, pipelines and serving frameworks ask isinstance before they take a model.
        kind: type = self._measured_target.__class__
        return kind

    def __dir__(self) -> list[str]:
        return dir(self._measured_target)

    def __repr__(self) -> str:
        return repr(self._measured_target)

    def __str__(self) -> str:
        return str(self._measured_target)

    def __format__(self, specification: str) -> str:
        return format(self._measured_target, specification)

    def __eq__(self, other: object) -> Any:
        return self._measured_target == unwrapped(other)

    def __ne__(self, other: object) -> Any:
        return self._measured_target != unwrapped(other)

    def __hash__(self) -> int:
        return hash(self._measured_target)

    def __sizeof__(self) -> int:
        size: int = self._measured_target.__sizeof__()
        return size

    def __getstate__(self) -> Any:
        return self._measured_target.__getstate__()

    def __prepare_scriptable__(self) -> Any:
        """What ``torch.jit.script`` compiles in place of this proxy."""
        prepare = getattr(self._measured_target, "__prepare_scriptable__", None)
        return self._measured_target if prepare is None else prepare()

    def __copy__(self) -> Any:
        return copy.copy(self._measured_target)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return copy.deepcopy(self._measured_target, memo)

    def __reduce_ex__(self, protocol: Any) -> Any:
        # An identity function that is everywhere: the target is pickled as itself, and once.
        return cast, (None, self._measured_target)


def is_proxy(value: Any) -> bool:
    """Whether ``value`` stands for another object; ``isinstance`` does not tell."""
    return issubclass(type(value), Proxy)


def unwrapped(value: Any) -> Any:
    """What ``value`` stands for, ``value`` itself if it is no proxy."""
    return value._measured_target if is_proxy(value) else value


def function_of(target: Any) -> Callable[..., Any]:
    """The function that a call of ``target`` runs: of an object its ``__call__``."""
    is_function = inspect.isroutine(target) or isinstance(target, functools.partial)
    function: Callable[..., Any] = target if is_function else target.__call__
    return function


def _type_for(cls: type[Proxy], target: Any) -> type[Proxy]:
    """A subclass that has the special methods of the target's type, and its name."""
    kind = type(target)
    # Not hasattr: types have special methods of their own.
    names = {name for base in kind.__mro__ for name in vars(base)}
    namespace: dict[str, Any] = {name: _forwarded(name) for name in _SPECIAL if name in names}
    module = getattr(target, "__module__", None)
    namespace |= {
        "_measured_kind": kind,
        "__slots__": ("__call__",) if callable(target) else (),
        "__module__": module if isinstance(module, str) else kind.__module__,
        "__qualname__": kind.__qualname__,
        "__doc__": getattr(target, "__doc__", None),
    }
    if kind.__hash__ is None:
        namespace["__hash__"] = None
    return cast("type[Proxy]", ProxyType(kind.__name__, (cls,), namespace))


def _forwarded(name: str) -> Callable[..., Any]:
    def special(self: Proxy, *args: Any, **kwargs: Any) -> Any:
        target = self._measured_target
        result = getattr(target, name)(*map(unwrapped, args), **kwargs)
        if type(result) is MethodType and result.__func__ is target:
            return MethodType(
                cast("Callable[..., Any]", self), result.__self__
            )  # a function that is an attribute of a class
        return self if result is target else result

    special.__name__ = name
    return special
