"""Declared request parameters and how their text values are read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import orjson

from modelplane_datasource.errors import invalid
from modelplane_datasource.tenancy.caller import TENANT_PARAMETER, permitted_tenants

T = TypeVar("T")
Values = Mapping[str, Sequence[str]]
JsonSchema = Mapping[str, Any]

MAX_REPEATS = 1000
MAX_LABEL = 1024
# What a board's variable may write for All, which is no value of anything.
EVERYTHING = (".*", ".+")


class MeaningError(ValueError):
    """A text that means something else than it should; the message says what, for whoever sent it."""


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
    """One parameter of a route. ``parse`` raises ValueError on text that is not ``allowed``.

    One that is ``repeated`` may have several values in one text, as ``values_in`` says, and a text of
    ``EVERYTHING`` leaves it out.
    """

    name: str
    summary: str
    allowed: str
    parse: Callable[[str], T]
    required: bool = False
    repeated: bool = False
    default: str | None = None

    def __post_init__(self) -> None:
        if self.name == TENANT_PARAMETER and not isinstance(self, TenantParameter):
            raise TypeError(f"{self.name} must be a TenantParameter, which needs permission")

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of one value, with the default where it is one value."""
        schema = dict(self.parse.schema) if isinstance(self.parse, Parser) else {"type": "string"}
        defaults = self.defaults
        if len(defaults) == 1:
            is_number = schema["type"] in ("integer", "number")
            schema["default"] = orjson.loads(defaults[0]) if is_number else defaults[0]
        return schema

    @property
    def defaults(self) -> tuple[str, ...]:
        """The texts that stand for what is not given."""
        if self.default is None:
            return ()
        return tuple(values_in(self.default)) if self.repeated else (self.default,)

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

    def read_all(self, values: Values) -> tuple[T, ...]:
        """Every value that is given, else the default if there is one, else none. ApiError 400."""
        texts: Sequence[str] = values.get(self.name, ())
        if self.repeated:
            texts = [value for text in texts if text not in EVERYTHING for value in values_in(text)]
        if len(texts) > (MAX_REPEATS if self.repeated else 1):
            limit = f"at most {MAX_REPEATS} values" if self.repeated else "one value"
            raise invalid(self.name, f"occurs {len(texts)} times", limit)
        given = self.permitted(tuple(self._parsed(text) for text in texts))
        if given:
            return given
        if self.required:
            raise invalid(self.name, "is required", self.allowed)
        return tuple(map(self._parsed, self.defaults))

    def read_one(self, values: Values) -> T | None:
        """The value that is given, else the default, else None. ApiError 400."""
        every = self.read_all(values)
        if len(every) > 1:
            raise invalid(self.name, f"stands for {len(every)} values", "one value")
        return every[0] if every else None

    def read(self, values: Values) -> T:
        """The value of a parameter that is required or has a default. ApiError 400."""
        value = self.read_one(values)
        if value is None:
            raise TypeError(f"{self.name} has no default")
        return value

    def permitted(self, given: tuple[T, ...]) -> tuple[T, ...]:
        """The values among those ``given`` that the caller may name: all of them."""
        return given

    def _parsed(self, text: str) -> T:
        try:
            return self.parse(text)
        except MeaningError as error:
            raise invalid(self.name, f"has the value {text[:100]!r}, {error}", self.allowed) from error
        except ValueError as error:
            raise invalid(self.name, f"has the value {text[:100]!r}", self.allowed) from error


@dataclass(frozen=True, slots=True)
class TenantParameter(Parameter[str]):
    """Tenants, by id. It cannot be read without the permission to see them: ApiError 403."""

    def permitted(self, given: tuple[str, ...]) -> tuple[str, ...]:
        """The tenants that are ``given``, or all of the caller's when none is; ApiError 403."""
        return permitted_tenants(given)


def values_in(text: str) -> list[str]:
    """``{a,b}``, as Grafana writes several values of a variable into an address, is a and b; any other text
    is one value."""
    is_list = text.startswith("{") and text.endswith("}") and "," in text
    return text[1:-1].split(",") if is_list else [text]


def check_names(values: Values, parameters: Iterable[Parameter[Any]]) -> None:
    """ApiError 400 when ``values`` has a name that is none of the ``parameters``."""
    names = [parameter.name for parameter in parameters]
    for name in values:
        if name not in names:
            raise invalid(name, "is not a parameter here", ", ".join(names) or "no parameters")


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
