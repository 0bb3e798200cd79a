"""Declared values: a model's YAML file says where confidence, items, tokens, signals and events are.

Every expression is JMESPath on ``{"result": what the function returned, "arguments": {name: value}}``.
"""

from __future__ import annotations

import inspect
import logging
import os
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from modelplane_exporter.complaints import complaints
from modelplane_exporter.expressions import Expression, ExpressionError, is_true, plain
from modelplane_exporter.identity import required_text
from modelplane_schema.metrics import TOKEN_KINDS

try:
    import yaml
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "declared values need PyYAML; add it with: pip install 'modelplane[declared]'", name=error.name
    ) from error

if TYPE_CHECKING:
    from modelplane_exporter.baseline import Baseline
    from modelplane_exporter.calls import Call

API_VERSION = "modelplane/v1"
KEYS = ("apiVersion", "confidence", "items", "tokens", "features", "prediction", "events", "values")
VALUE_MISSING, WRONG_TYPE, CONFIDENCE_MISSING = "value_missing", "value_wrong_type", "confidence_missing"

Convert = Callable[[Any], Any]
Bind = Callable[[tuple[Any, ...], Mapping[str, Any]], Mapping[str, Any]]


class DeclaredError(ValueError):
    """A file of declared values cannot be used; the text names the file, the place and what is allowed."""


@dataclass(frozen=True, slots=True)
class Event:
    """A business event: once when the expression is true (``when``), or as often as it says (``count``)."""

    name: str
    by: Literal["when", "count"]
    expression: Expression

    def times(self, value: Any) -> int | None:
        """How often it happened, by what the expression gave; TypeError when that is no number of times."""
        if self.by == "when":
            return int(is_true(value))
        times = _whole(value)
        if times is not None and times < 0:
            raise TypeError("a count must be a whole number from 0 on")
        return times


@dataclass(frozen=True, slots=True)
class Declared:
    """Where a model's values are; ``load`` reads it from a file.

    ``prediction`` and ``values`` map signals of the baseline to expressions, ``tokens`` kinds of tokens.
    """

    source: str
    confidence: Expression | None = None
    items: Expression | None = None
    tokens: Mapping[str, Expression] = field(default_factory=dict)
    features: Expression | None = None
    prediction: Mapping[str, Expression] = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    values: Mapping[str, Expression] = field(default_factory=dict)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Declared:
        """Read a file. DeclaredError names it, the place in it and what is allowed."""
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise DeclaredError(f"{path}: cannot be read: {error}") from error
        return cls.parse(text, str(path))

    @classmethod
    def parse(cls, text: str, source: str = "declared values") -> Declared:
        """What the text of a file declares; ``source`` names it in errors."""
        try:
            content = _mapping(_yaml(text), "the file", KEYS)
            version = content.get("apiVersion")
            if version != API_VERSION:
                raise DeclaredError(f"apiVersion must be {API_VERSION} (got {_shown(version)})")
            return cls(
                source,
                confidence=_optional(content, "confidence"),
                items=_optional(content, "items"),
                tokens=_expressions(content.get("tokens", {}), "tokens", TOKEN_KINDS),
                features=_optional(content, "features"),
                prediction=_prediction(content.get("prediction", {})),
                events=_events(content.get("events", [])),
                values=_expressions(content.get("values", {}), "values"),
            )
        except ValueError as error:
            raise DeclaredError(f"{source}: {error}") from error

    @property
    def event_names(self) -> tuple[str, ...]:
        """The events that may be counted."""
        return tuple(event.name for event in self.events)

    def check(self, baseline: Baseline | None) -> None:
        """DeclaredError unless ``baseline`` has the signals that are declared."""
        if self.features is not None and not (baseline and baseline.of_kind("input")):
            raise DeclaredError(f"{self.source}: features needs a baseline with signals of kind input")
        for place, kind, declared in (
            ("prediction", "output", self.prediction), ("values", "business", self.values),
        ):  # fmt: skip
            known = [signal.name for signal in baseline.of_kind(kind)] if baseline else []
            for name in declared:
                if name not in known:
                    raise DeclaredError(
                        f"{self.source}: {place}: {name!r} must be a signal of kind {kind} in the baseline; "
                        f"allowed: {', '.join(known) or 'none, because there is no such signal'}"
                    )

    def observe(self, call: Call, arguments: Mapping[str, Any], result: Any) -> None:
        """Hand to ``call`` what is declared. A value that is missing or of the wrong type is counted.

        Confidence that is not declared is where the exporter expects it in every result.
        """
        if self.confidence is None:
            call.result(result)
        reader = _Reader(call, {"result": result, "arguments": arguments})
        reader.hand(call.confidence, self.confidence, missing=CONFIDENCE_MISSING)
        reader.hand(call.items, self.items, _whole)
        tokens = reader.read_all(self.tokens, _whole)
        if tokens:
            call.tokens(**tokens)
        reader.hand(call.features, self.features)
        for name, value in reader.read_all(self.prediction).items():
            call.prediction(value, name)
        values = reader.read_all(self.values)
        if values:
            call.business(values)
        for event in self.events:
            times = reader.read(event.expression, event.times)
            if times:
                call.event(event.name, times)

    @staticmethod
    def binder(function: Callable[..., Any]) -> Bind:
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


class _Reader:
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
        complaints.log(logging.WARNING, key, "declared value %r was not observed: %s", *key)
        self._call.invalid(reason)
        return None

    def read_all(
        self, expressions: Mapping[str, Expression], convert: Convert | None = None
    ) -> dict[str, Any]:
        """By name what the expressions give, without those that give nothing."""
        found = {}
        for name, expression in expressions.items():
            value = self.read(expression, convert)
            if value is not None:
                found[name] = value
        return found


def _whole(value: Any) -> int | None:
    """A whole number, NumPy's and a tensor's too, or None; TypeError for anything else."""
    value = plain(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if value is not None and type(value) is not int:
        raise TypeError("a count must be a whole number")
    return value


class _UniqueKeyLoader(yaml.BaseLoader):
    """Reads every scalar as text, and takes a repeated key for the mistake it is."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        for key, count in Counter(key.value for key, _ in node.value if isinstance(key.value, str)).items():
            if count > 1:
                raise DeclaredError(
                    f"line {node.start_mark.line + 1}: key {_shown(key)} occurs {count} times in one mapping"
                )
        return super().construct_mapping(node, deep)


def _yaml(text: str) -> Any:
    try:
        return yaml.load(text, _UniqueKeyLoader)  # noqa: S506 - texts, lists and mappings only
    except DeclaredError:
        raise
    # PyYAML leaves some escapes and directives to Python's own conversions.
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or type(error).__name__
        raise DeclaredError(f"not YAML{place}: {problem}") from error


def _mapping(content: Any, place: str, allowed: Iterable[str] | None = None) -> Mapping[str, Any]:
    """``content`` when it is a mapping of texts, with keys that are ``allowed``."""
    if not isinstance(content, dict):
        expected = f" with the keys {', '.join(allowed)}" if allowed else ""
        raise DeclaredError(f"{place} must be a mapping{expected} (got {_shown(content)})")
    for key in content:
        if not isinstance(key, str) or (allowed is not None and key not in allowed):
            raise DeclaredError(
                f"{place} has an unknown key {_shown(key)}; allowed: {', '.join(allowed or ['texts'])}"
            )
    return content


def _optional(content: Mapping[str, Any], key: str) -> Expression | None:
    return _expression(content[key], key) if key in content else None


def _expression(content: Any, place: str) -> Expression:
    if not isinstance(content, str) or not content.strip():
        raise DeclaredError(f"{place} must be a JMESPath expression (got {_shown(content)})")
    try:
        return Expression.parse(content)
    except ExpressionError as error:
        raise DeclaredError(f"{place} {error}") from error


def _expressions(content: Any, place: str, allowed: Iterable[str] | None = None) -> Mapping[str, Expression]:
    found = _mapping(content, place, allowed)
    for name in found:
        required_text(f"a key of {place}", name)
    return {name: _expression(text, f"{place}.{name}") for name, text in found.items()}


def _prediction(content: Any) -> Mapping[str, Expression]:
    """One expression is for the signal ``prediction``."""
    if isinstance(content, str):
        return {"prediction": _expression(content, "prediction")}
    return _expressions(content, "prediction")


def _events(content: Any) -> tuple[Event, ...]:
    if not isinstance(content, list):
        raise DeclaredError(f"events must be a list (got {_shown(content)})")
    events = tuple(_event(item, f"events[{index}]") for index, item in enumerate(content))
    for name, count in Counter(event.name for event in events).items():
        if count > 1:
            raise DeclaredError(f"events has {count} events with the name {_shown(name)}; names must differ")
    return events


def _event(content: Any, place: str) -> Event:
    found = _mapping(content, place, ("name", "when", "count"))
    name = required_text(f"{place}.name", found.get("name"))
    if ("when" in found) == ("count" in found):
        got = "both" if "when" in found else "none"
        raise DeclaredError(f"{place} must have one of when, count (got {got})")
    by: Literal["when", "count"] = "when" if "when" in found else "count"
    return Event(name, by, _expression(found[by], f"{place}.{by}"))


def _shown(content: Any) -> str:
    """A short text about what stands in the file."""
    if isinstance(content, str):
        return repr(content if len(content) <= 40 else content[:40] + "...")
    return {dict: "a mapping", list: "a list", type(None): "nothing"}.get(type(content), "something else")
