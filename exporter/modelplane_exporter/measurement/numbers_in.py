"""The numbers in what a model team hands over: a number, a batch of any shape, an array of any library."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from numbers import Real
from typing import Any

# How many values are taken at once: sorting them takes about 2 ms, the longest that others wait for the
# interpreter.
AT_ONCE = 10_000

_MISSING = ("NoneType", "NAType", "NaTType")
_PLAIN = frozenset({float, int, bool, str, bytes, type(None)})


def parts_of(value: object) -> Iterator[list[Any]]:
    """The leaves of a number or a nested batch, ``AT_ONCE`` at the most in each part, whatever they are.

    An array, tensor, series or Arrow array of NumPy, PyTorch, TensorFlow, JAX, pandas, polars, pyarrow or the
    like is not walked value by value.
    """
    part: list[Any] = []
    for leaves in _leaves(value):
        if part and len(part) + len(leaves) > AT_ONCE:
            yield part
            part = []
        part.extend(leaves)
    if part:
        yield part


def to_float(value: Any) -> float | None:
    """A real number of any type as a float, infinite where it is too large for one; None for others.

    A truth value is no number.
    """
    try:
        if isinstance(value, bool) or not (isinstance(value, Real) or type(value).__name__ == "Decimal"):
            return None
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
    except Exception:  # noqa: BLE001 - a signalling NaN, or a foreign object that raises anything
        return None


def is_missing(value: Any) -> bool:
    """Whether a leaf is None or what pandas has for it; NaN is a number."""
    return type(value).__name__ in _MISSING


def _leaves(value: Any) -> Iterator[Sequence[Any]]:
    """Leaves, ``AT_ONCE`` at the most at a time."""
    value = _content(value) if isinstance(value, list | tuple) else _batch(value)
    count = math.prod(value.shape) if hasattr(value, "shape") else len(value)
    if count <= AT_ONCE:
        yield from _flattened(value if isinstance(value, list | tuple) else value.tolist())
        return
    for start in range(0, count, AT_ONCE):
        part = value[start : start + AT_ONCE]
        leaves = part if isinstance(part, list | tuple) else part.tolist()
        yield from _flattened(leaves)
        if len(leaves) < AT_ONCE:  # the last one, whatever the length was said to be
            return


def _content(value: list[Any] | tuple[Any, ...]) -> list[Any] | tuple[Any, ...]:
    """A list or tuple itself; what a subclass holds, and not what its methods say."""
    if type(value) in (list, tuple):
        return value
    if isinstance(value, list):
        return list.__getitem__(value, slice(None))
    return tuple.__getitem__(value, slice(None))


def _flattened(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    if _PLAIN.issuperset(map(type, values)) or not any(map(_is_batch, values)):
        yield values
        return
    for value in values:
        yield from _leaves(value) if _is_batch(value) else ((value,),)


def _batch(value: Any) -> Any:
    """What holds the leaves of ``value``: a tuple, or a vector that can be cut and has ``tolist``."""
    if hasattr(value, "detach"):  # PyTorch: a tensor that is on a device or has a gradient
        value = value.detach().cpu()
    elif hasattr(value, "as_py"):  # a scalar of Arrow
        return (value.as_py(),)
    elif hasattr(value, "block_until_ready") or not _is_array(value):
        # JAX compiles anew for each place at which it cuts; a series has no shape that could be changed.
        value = _as_array(value)
    if _is_array(value):
        return value.reshape(-1)
    return value if hasattr(value, "tolist") else (value,)


def _is_array(value: Any) -> bool:
    return hasattr(value, "reshape") and hasattr(value, "tolist")


def _as_array(value: Any) -> Any:
    """``value`` as a list or an array of NumPy, where its library can give one; itself otherwise."""
    # Without NumPy polars does not raise an Exception but a panic.
    methods = ("to_list", "__array__", "numpy", "to_pylist") if _has_numpy() else ("to_list", "to_pylist")
    for method in () if isinstance(value, type) else methods:
        if hasattr(value, method):
            try:
                return getattr(value, method)()
            except Exception:  # noqa: BLE001, S112 - a column with nulls, for example: the next way may do
                continue
    return value


@functools.cache
def _has_numpy() -> bool:
    try:
        import numpy  # noqa: F401
    except ModuleNotFoundError:
        return False
    return True


def _is_batch(value: Any) -> bool:
    """Whether a leaf holds leaves of its own, or is a scalar of an array library."""
    if isinstance(value, list | tuple):
        return True
    # Of NumPy's wide floats tolist gives the same again.
    return (
        hasattr(value, "detach")
        or hasattr(value, "as_py")
        or ((hasattr(value, "tolist") or hasattr(value, "__array__")) and not isinstance(value, Real))
    )
