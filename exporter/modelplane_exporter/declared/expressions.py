"""JMESPath over Python objects: an expression reads what it names in place, and touches nothing else.

JMESPath knows JSON. Here a name also reads a mapping or a public attribute that is no method, and an index
also an item of a tuple or the first axis of an array, tensor or series. What an expression ends at is handed
on as it is.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from typing import Any

try:
    import jmespath
    from jmespath import exceptions, functions, visitor
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "declared values need JMESPath; add it with: pip install 'modelplane[declared]'", name=error.name
    ) from error

ROOTS = ("result", "arguments")
# Of an array that an expression computes with, because JMESPath walks through them one by one.
MAX_VALUES = 10_000

_TEXTS = (str, bytes, bytearray, memoryview)
_ATOMS = (*_TEXTS, int, float, complex)

# Which children of a node must be of JMESPath's own types, and how they become so.
_CONVERTED = {
    "comparator": ("plain", 2),
    "expref": ("plain", 1),
    "projection": ("elements", 1),
    "filter_projection": ("elements", 1),
    "value_projection": ("members", 1),
}
# Nodes of which the first child alone, or every child, is evaluated on what the node is evaluated on.
_FIRST = (
    "subexpression", "index_expression", "pipe", "flatten",
    "projection", "filter_projection", "value_projection",
)  # fmt: skip
_EVERY = (
    "function_expression", "comparator", "or_expression", "and_expression", "not_expression",
    "multi_select_list", "multi_select_dict", "key_val_pair",
)  # fmt: skip


class TooManyValuesError(ValueError):
    """An expression computes with an array of more than ``MAX_VALUES`` values."""


class ExpressionError(ValueError):
    """A text is not a JMESPath expression that can be evaluated here; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression on ``{"result": ..., "arguments": ...}``."""

    text: str
    node: Any
    steps: tuple[str | int, ...] | None

    @classmethod
    def parse(cls, text: str) -> Expression:
        """Compile ``text``; ExpressionError gives the column (from 1), or what is unknown in it."""
        try:
            node = jmespath.compile(text).parsed
            _check(node)
            return cls(text, _prepared(node), _steps(node))
        except ExpressionError:
            raise
        except exceptions.ParseError as error:
            column = error.lex_position + 1
            raise ExpressionError(f"is not JMESPath, from column {column} on: {text!r}") from error
        except RecursionError as error:
            raise ExpressionError("is nested too deeply") from error
        except ValueError as error:  # a number with thousands of digits, for one
            raise ExpressionError(f"is not JMESPath: {error}") from error

    def read(self, root: Mapping[str, Any]) -> Any:
        """What the expression names in ``root``, None when it is not there.

        A function of something that is not there is not there either. Of something of the wrong type it is
        a JMESPathTypeError; exceptions of the objects that are read pass too.
        """
        if self.steps is not None:
            return _walked(root, self.steps)
        try:
            return _INTERPRETER.visit(self.node, root)
        except exceptions.JMESPathTypeError as error:
            if error.current_value is None:
                return None
            raise


def is_true(value: Any) -> bool:
    """JMESPath's rule: null, false and what is empty are not true; everything else is, 0 too."""
    if _axes(value) == 0:
        value = plain(value)
    if value is None or value is False:
        return False
    return not (isinstance(value, Sized) and len(value) == 0)


def plain(value: Any) -> Any:
    """``value`` as the type that JMESPath knows, one level deep; itself when there is none.

    TooManyValuesError for an array of more than ``MAX_VALUES``.
    """
    if value is None or type(value) in (dict, list, str, float, int, bool):
        return value
    if _axes(value) is not None:
        return _numbers(value)
    if isinstance(value, str):
        return str.__str__(value)  # of an enumeration's member the text, not its name
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if _is_sequence(value) else value


def _axes(value: Any) -> int | None:
    """How many axes an array, tensor or series has; None for everything else, frames too."""
    return len(value.shape) if hasattr(value, "dtype") and hasattr(value, "shape") else None


def _is_sequence(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, _TEXTS)


def _limit(count: int) -> None:
    if count > MAX_VALUES:
        raise TooManyValuesError(f"more than {MAX_VALUES} values of an array in one expression")


def _numbers(array: Any) -> Any:
    _limit(math.prod(array.shape))
    if hasattr(array, "numpy") and not hasattr(array, "tolist"):  # TensorFlow
        array = array.numpy()
    return array.tolist() if hasattr(array, "tolist") else list(array)


def _field(value: Any, name: str) -> Any:
    if type(value) is dict:
        return value.get(name)
    if isinstance(value, Mapping):
        # A lookup of a key that is not there may change a defaultdict.
        return value[name] if name in value else None  # noqa: SIM401 - not every mapping's get looks first
    if isinstance(value, _ATOMS) or name.startswith("_"):
        return None
    attribute = getattr(value, name, None)
    return None if inspect.isroutine(attribute) else attribute


def _part(value: Any, index: int | slice) -> Any:
    """An item or a slice of a sequence or of the first axis of an array; None when there is none."""
    if type(value) is list or _is_sequence(value):
        count = len(value)
        value = list(value) if isinstance(index, slice) else value  # a deque has no slices
    elif _axes(value):
        count = value.shape[0]
        value = getattr(value, "iloc", value)  # pandas: by position, not by label
    else:
        return None
    # Arrays differ in what an index out of range does, so it is not left to them.
    if isinstance(index, int) and not -count <= index < count:
        return None
    return value[index]


def _elements(value: Any) -> list[Any] | None:
    """What a projection goes over: values of a vector, rows of a matrix, items of a sequence."""
    if isinstance(value, list):
        return value
    axes = _axes(value)
    if axes == 1:
        return list(_numbers(value))
    if axes:
        _limit(value.shape[0])
    return list(value) if axes or _is_sequence(value) else None


def _members(value: Any) -> Mapping[str, Any] | None:
    """The public fields of an object by name, or a mapping itself."""
    if isinstance(value, Mapping):
        return value
    for names in ("_fields", "__dataclass_fields__", "__dict__"):
        if hasattr(value, names):
            return {name: _field(value, name) for name in getattr(value, names)}
    return None


class _Functions(functions.Functions):
    """JMESPath's functions of Python's values."""

    def call_function(self, function_name: str, resolved_args: Any) -> Any:
        if function_name != "length":  # an array need not be converted to be counted
            resolved_args = [plain(value) for value in resolved_args]
            resolved_args = [
                [plain(item) for item in value] if isinstance(value, list) else value
                for value in resolved_args
            ]
        return super().call_function(function_name, resolved_args)

    @functions.signature({"types": []})
    def _func_length(self, arg: Any) -> int:
        if not isinstance(arg, Sized) or _axes(arg) == 0:
            raise exceptions.JMESPathTypeError(
                "length", arg, type(arg).__name__, ["string", "array", "object"]
            )
        return len(arg)


class _Interpreter(visitor.TreeInterpreter):
    """Evaluates prepared nodes."""

    def visit_field(self, node: Any, value: Any) -> Any:
        return _field(value, node["value"])

    def visit_index(self, node: Any, value: Any) -> Any:
        return _part(value, node["value"])

    def visit_slice(self, node: Any, value: Any) -> Any:
        return _part(value, slice(*node["children"]))

    def visit_flatten(self, node: Any, value: Any) -> list[Any] | None:
        base = _elements(self.visit(node["children"][0], value))
        if base is None:
            return None
        merged: list[Any] = []
        for element in base:
            inner = _elements(element)
            merged += [element] if inner is None else inner
        return merged

    def visit_not_expression(self, node: Any, value: Any) -> bool:
        return not is_true(self.visit(node["children"][0], value))

    def visit_plain(self, node: Any, value: Any) -> Any:
        return plain(self.visit(node["children"][0], value))

    def visit_elements(self, node: Any, value: Any) -> list[Any] | None:
        return _elements(self.visit(node["children"][0], value))

    def visit_members(self, node: Any, value: Any) -> Mapping[str, Any] | None:
        return _members(self.visit(node["children"][0], value))

    def _is_false(self, value: Any) -> bool:
        return not is_true(value)


_INTERPRETER = _Interpreter(visitor.Options(custom_functions=_Functions()))


def _steps(node: Any) -> tuple[str | int, ...] | None:
    """The names and indexes of a plain path such as ``result.scores[0]``; None for anything else.

    Most expressions are one, and walking it takes a third of the time that the interpreter takes.
    """
    if node["type"] in ("field", "index"):
        return (node["value"],)
    if node["type"] not in ("subexpression", "index_expression"):
        return None
    steps: tuple[str | int, ...] = ()
    for child in node["children"]:
        steps_of_child = _steps(child)
        if steps_of_child is None:
            return None
        steps += steps_of_child
    return steps


def _walked(value: Any, steps: tuple[str | int, ...]) -> Any:
    for step in steps:
        value = _part(value, step) if isinstance(step, int) else _field(value, step)
    return value


def _prepared(node: Any) -> Any:
    """A parsed node whose children are converted where JMESPath's own types are needed."""
    children = [_prepared(child) if isinstance(child, dict) else child for child in node["children"]]
    conversion, count = _CONVERTED.get(node["type"], ("", 0))
    for index in range(count):
        children[index] = {"type": conversion, "children": [children[index]]}
    return {**node, "children": children}


def _check(node: Any) -> None:
    """ExpressionError for a name that is not a root, or a function that does not exist."""
    for name in _roots(node):
        if name not in ROOTS:
            raise ExpressionError(f"must start at {' or '.join(ROOTS)} (got {name!r})")
    _check_functions(node)


def _roots(node: Any) -> Iterator[str]:
    """The names that are looked up in what the expression is evaluated on."""
    if node["type"] == "field":
        yield node["value"]
    elif node["type"] in _FIRST:
        yield from _roots(node["children"][0])
    elif node["type"] in _EVERY:
        for child in node["children"]:
            yield from _roots(child)


def _check_functions(node: Any) -> None:
    children = [child for child in node["children"] if isinstance(child, dict)]
    if node["type"] == "function_expression":
        table = _Functions.FUNCTION_TABLE
        name = node["value"]
        if name not in table:
            raise ExpressionError(f"has no function {name!r}; allowed: {', '.join(sorted(table))}")
        signature = table[name]["signature"]
        variadic = bool(signature and signature[-1].get("variadic"))
        if len(children) < len(signature) or (len(children) > len(signature) and not variadic):
            least = "at least " if variadic else ""
            raise ExpressionError(
                f"has {name}() of {len(children)} arguments; it takes {least}{len(signature)}"
            )
    for child in children:
        _check_functions(child)
