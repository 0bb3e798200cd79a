"""The YAML file of declared values: its keys, and what is allowed under each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from modelplane_exporter.declared.expressions import Expression, ExpressionError, is_true
from modelplane_exporter.declared.reader import whole_number
from modelplane_exporter.identity import required_text
from modelplane_schema.errors import UserError

try:
    from modelplane_schema.documents import parse_yaml, raised_as, read_text
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "declared values need PyYAML; add it with: pip install 'modelplane[declared]'", name=error.name
    ) from error

API_VERSION = "modelplane/v1"
KEYS = ("apiVersion", "confidence", "items", "tokens", "features", "prediction", "events", "values")


class DeclaredError(UserError, ValueError):
    """A file of declared values cannot be used; the text names the file, the place and what is allowed."""


@dataclass(frozen=True, slots=True)
class Event:
    """A business event: once when the expression is true (``when``), or as often as it says (``count``)."""

    name: str
    by: Literal["when", "count"]
    expression: Expression

    def times(self, value: Any) -> int | None:
        """How often it happened, by what the expression gave; TypeError when that is not a count."""
        if self.by == "when":
            return int(is_true(value))
        times = whole_number(value)
        if times is not None and times < 0:
            raise TypeError("a count must be a whole number from 0 on")
        return times


def text_of(path: Path) -> str:
    """The text of a file. DeclaredError."""
    with raised_as(DeclaredError):
        return read_text(path)


def document_of(text: str, source: str) -> Any:
    """What YAML text holds, each scalar as the text that stands there. DeclaredError names ``source``."""
    with raised_as(DeclaredError):
        return parse_yaml(text, source, texts_only=True)


def content_of(document: Any) -> Mapping[str, Any]:
    """What stands in a file, under the keys that are allowed."""
    content = _mapping(document, "the file", KEYS)
    version = content.get("apiVersion")
    if version != API_VERSION:
        raise DeclaredError(f"apiVersion must be {API_VERSION} (got {_shown(version)})")
    return content


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


def optional_expression(content: Mapping[str, Any], key: str) -> Expression | None:
    return _expression(content[key], key) if key in content else None


def _expression(content: Any, place: str) -> Expression:
    if not isinstance(content, str) or not content.strip():
        raise DeclaredError(f"{place} must be a JMESPath expression (got {_shown(content)})")
    try:
        return Expression.parse(content)
    except ExpressionError as error:
        raise DeclaredError(f"{place} {error}") from error


def expressions(content: Any, place: str, allowed: Iterable[str] | None = None) -> Mapping[str, Expression]:
    texts = _mapping(content, place, allowed)
    for name in texts:
        required_text(f"a key of {place}", name)
    return {name: _expression(text, f"{place}.{name}") for name, text in texts.items()}


def prediction(content: Any) -> Mapping[str, Expression]:
    """One expression is for the signal ``prediction``."""
    if isinstance(content, str):
        return {"prediction": _expression(content, "prediction")}
    return expressions(content, "prediction")


def events_of(content: Any) -> tuple[Event, ...]:
    if not isinstance(content, list):
        raise DeclaredError(f"events must be a list (got {_shown(content)})")
    events = tuple(_event(item, f"events[{index}]") for index, item in enumerate(content))
    for name, count in Counter(event.name for event in events).items():
        if count > 1:
            raise DeclaredError(f"events has {count} events with the name {_shown(name)}; names must differ")
    return events


def _event(content: Any, place: str) -> Event:
    event = _mapping(content, place, ("name", "when", "count"))
    name = required_text(f"{place}.name", event.get("name"))
    if ("when" in event) == ("count" in event):
        got = "both" if "when" in event else "none"
        raise DeclaredError(f"{place} must have one of when, count (got {got})")
    by: Literal["when", "count"] = "when" if "when" in event else "count"
    return Event(name, by, _expression(event[by], f"{place}.{by}"))


def _shown(content: Any) -> str:
    """A short text about what stands in the file."""
    if isinstance(content, str):
        return repr(content if len(content) <= 40 else content[:40] + "...")
    return {dict: "a mapping", list: "a list", type(None): "nothing"}.get(type(content), "something else")
