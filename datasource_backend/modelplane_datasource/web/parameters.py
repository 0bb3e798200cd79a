"""Declared request parameters and how their text values are read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import orjson

from modelplane_datasource.errors import invalid
from modelplane_datasource.tenancy.caller import TENANT_PARAMETER, own_tenants

T = TypeVar("T")
Values = Mapping[str, Sequence[str]]
JsonSchema = Mapping[str, Any]

MAX_REPEATS = 1000
MAX_LABEL = 1024


@dataclass(frozen=True, slots=True)
class Parser(Generic[T]):
    """Reads a text value, ValueError for one that is not allowed.

    ``schema`` describes the values it takes; where a pattern cannot say everything it takes fewer.
    """

    read: Callable[[str], T]
    schema: JsonSchema

    def __call__(self, text: str) -> T:
        return self.read(text)


def parser(schema: JsonSchema) -> Callable[[Callable[[str], T]], Parser[T]]:
    """Decorate a function that reads a text with the JSON schema of what it takes."""
    return lambda read: Parser(read, schema)


@dataclass(frozen=True, slots=True)
class Parameter(Generic[T]):
    """One parameter of a route. ``parse`` raises ValueError on text that is not ``allowed``."""

    name: str
    summary: str
    allowed: str
    parse: Callable[[str], T]
    required: bool = False
    repeated: bool = False
    default: str | None = None

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of one value, with the default."""
        schema = dict(self.parse.schema) if isinstance(self.parse, Parser) else {"type": "string"}
        if self.default is not None:
            is_number = schema["type"] in ("integer", "number")
            schema["default"] = orjson.loads(self.default) if is_number else self.default
        return schema

    def describe(self) -> dict[str, object]:
        """The parameter as the catalogue shows it."""
        return {
            "name": self.name,
            "summary": self.summary,
            "allowed": self.allowed,
            "required": self.required,
            "repeated": self.repeated,
            "default": self.default,
            "schema": self.schema,
        }


def check_known(values: Values, known: Iterable[Parameter[Any]]) -> None:
    """ApiError 400 when ``values`` has a name that is not in ``known``."""
    names = [parameter.name for parameter in known]
    for name in values:
        if name not in names:
            raise invalid(name, "is not a parameter here", ", ".join(names) or "no parameters")


def read_all(values: Values, parameter: Parameter[T]) -> tuple[T, ...]:
    """Every value of a repeated parameter, else its default if it has one, else none.

    Of tenants these are the caller's, unless some of them are named. ApiError 400; 403 for other tenants.
    """
    texts = values.get(parameter.name, ())
    if len(texts) > MAX_REPEATS:
        raise invalid(parameter.name, f"occurs {len(texts)} times", f"at most {MAX_REPEATS} values")
    found = tuple(_parse(text, parameter) for text in texts)
    if parameter.name == TENANT_PARAMETER:
        found = own_tenants(found)  # type: ignore[arg-type, assignment]  # tenants are texts
    if found:
        return found
    if parameter.required:
        raise invalid(parameter.name, "is required", parameter.allowed)
    return () if parameter.default is None else (_parse(parameter.default, parameter),)


def read_one(values: Values, parameter: Parameter[T]) -> T | None:
    """The value, else the default, else None. ApiError 400."""
    texts = values.get(parameter.name, ())
    if len(texts) > 1:
        raise invalid(parameter.name, f"occurs {len(texts)} times", "one value")
    if texts:
        return _parse(texts[0], parameter)
    if parameter.required:
        raise invalid(parameter.name, "is required", parameter.allowed)
    return None if parameter.default is None else _parse(parameter.default, parameter)


def read_default(values: Values, parameter: Parameter[T]) -> T:
    """The value of a parameter that is required or has a default. ApiError 400."""
    value = read_one(values, parameter)
    if value is None:
        raise TypeError(f"{parameter.name} has no default")
    return value


def _parse(text: str, parameter: Parameter[T]) -> T:
    try:
        return parameter.parse(text)
    except ValueError as error:
        raise invalid(parameter.name, f"has the value {text[:100]!r}", parameter.allowed) from error


@parser({"type": "string", "minLength": 1, "maxLength": MAX_LABEL})
def label_text(text: str) -> str:
    """Any text but the empty one, of at most ``MAX_LABEL`` characters; ValueError."""
    if not 0 < len(text) <= MAX_LABEL:
        raise ValueError("empty or too long")
    return text


def whole_number(low: int, high: int) -> Parser[int]:
    """A parser of whole numbers from ``low`` to ``high``; ValueError."""

    @parser({"type": "integer", "minimum": low, "maximum": high})
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) <= 15 and low <= int(text) <= high):
            raise ValueError(text)
        return int(text)

    return parse


def choice(*names: str) -> Parser[str]:
    """A parser of one of ``names``; ValueError."""

    @parser({"type": "string", "enum": list(names)})
    def parse(text: str) -> str:
        if text not in names:
            raise ValueError(text)
        return text

    return parse


@parser({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1})
def open_ratio(text: str) -> float:
    """A number strictly between 0 and 1; ValueError."""
    value = float(text)
    if not 0 < value < 1:
        raise ValueError(text)
    return value
