"""Reading one call: its arguments by name, and what expressions give of them and of its result."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from modelplane_exporter.declared.expressions import Expression, plain
from modelplane_exporter.rate_limited_log import rate_limited

if TYPE_CHECKING:
    from modelplane_exporter.calls.call import Call

VALUE_MISSING, WRONG_TYPE, CONFIDENCE_MISSING = "value_missing", "value_wrong_type", "confidence_missing"

Convert = Callable[[Any], Any]
Bind = Callable[[tuple[Any, ...], Mapping[str, Any]], Mapping[str, Any]]


class ValueReader:
    """Reads one call's values; counts and logs what is not there or of the wrong type."""

    __slots__ = ("_call", "_root")

    def __init__(self, call: Call, root: Mapping[str, Any]) -> None:
        self._call = call
        self._root = root

    def hand(
        self,
        to: Callable[[Any], None],
        expression: Expression | None,
        convert: Convert | None = None,
        missing: str = VALUE_MISSING,
    ) -> None:
        """Hand on what the expression gives, if there is one and it gives something."""
        if expression is not None:
            value = self.read(expression, convert, missing)
            if value is not None:
                to(value)

    def read(
        self, expression: Expression, convert: Convert | None = None, missing: str = VALUE_MISSING
    ) -> Any:
        """What the expression gives, None when nothing is to be observed. ``convert`` may raise."""
        reason = missing
        try:
            value = expression.read(self._root)
            if convert is not None:
                value = convert(value)
            if value is not None:
                return value
        except Exception as error:  # noqa: BLE001 - a hostile object; it is counted and logged
            reason = WRONG_TYPE
            problem = type(error).__name__
        else:
            problem = "there is none"
        # The error's text may hold data, so it is left out.
        key = (expression.text, problem)
        rate_limited.log(logging.WARNING, key, "declared value %r was not observed: %s", *key)
        self._call.invalid(reason)
        return None

    def read_all(
        self, expressions: Mapping[str, Expression], convert: Convert | None = None
    ) -> dict[str, Any]:
        """By name what the expressions give, without those that give nothing."""
        values = {}
        for name, expression in expressions.items():
            value = self.read(expression, convert)
            if value is not None:
                values[name] = value
        return values


def whole_number(value: Any) -> int | None:
    """A whole number, NumPy's and a tensor's too, or None; TypeError for anything else."""
    value = plain(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if value is not None and type(value) is not int:
        raise TypeError("a count must be a whole number")
    return value


def binder_of(function: Callable[..., Any]) -> Bind:
    """A quick function that gives the arguments of a call by name, defaults and ``self`` too.

    ``*args`` and ``**kwargs`` are under their own names. The call itself must have been accepted by
    ``function``: nothing is checked. Without a signature they are ``args`` and ``kwargs``.
    """
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (ValueError, TypeError):  # some builtins do not tell
        parameters = list(inspect.signature(lambda *args, **kwargs: None).parameters.values())
    positional = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    by_keyword = {p.name for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)}
    defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
    rest = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), None)
    others = next((p.name for p in parameters if p.kind is p.VAR_KEYWORD), None)

    def bind(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
        arguments = {**defaults, **dict(zip(positional, args, strict=False))}
        if kwargs:
            arguments.update((name, kwargs[name]) for name in by_keyword & kwargs.keys())
        if rest is not None:
            arguments[rest] = args[len(positional) :]
        if others is not None:
            arguments[others] = {name: kwargs[name] for name in kwargs if name not in by_keyword}
        return arguments

    return bind
