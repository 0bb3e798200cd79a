"""Payloads of Grafana's JSON datasource as parameter values.

In its builder mode the plugin inserts dashboard variables as regular expressions: one value with
escapes, several as ``(a|b)``; elsewhere Grafana writes several as ``{a,b}``. Here they become the literal
values again. A variable's custom All value ``.*`` leaves the parameter out, which means everything where the
parameter is optional.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from modelplane_datasource.errors import invalid
from modelplane_datasource.series.selection import MODEL, TENANT, VERSION
from modelplane_datasource.web.parameters import EVERYTHING, Values, values_in

_WORD = re.compile(r"\s+(?=[a-z-]+=)")
_SHORT = {"model": MODEL.name, "tenant": TENANT.name, "version": VERSION.name}
_ESCAPE = re.compile(r"\\([\\^$*+?.()|\[\]{}/])")
_SEVERAL = re.compile(r"\((?:[^\\()|]|\\.)*(?:\|(?:[^\\()|]|\\.)*)+\)", re.DOTALL)
_BAR = re.compile(r"((?:[^\\|]|\\.)*)(?:\||$)", re.DOTALL)


def payload_values(payload: object, literal: bool = False) -> dict[str, list[str]]:
    """Parameter values of a payload; blank ones are left out. ApiError 400 for other shapes.

    ``literal``: texts are values as they are, as in the plugin's code mode.
    """
    if payload is None:
        return {}
    if not isinstance(payload, dict):
        raise invalid("payload", "is not an object", "an object of parameters")
    values: dict[str, list[str]] = {}
    for name, value in payload.items():
        texts = [text for text in _texts(name, value, literal) if text]
        if texts:
            values[name] = texts
    return values


def text_query(text: str) -> tuple[str, Values]:
    """``versions model=resnet50`` as a name and parameter values; ApiError 400.

    ``model``, ``tenant`` and ``version`` are short for the parameters of the API.
    """
    name, *words = _WORD.split(text.strip())
    if "=" in name or any(not word.partition("=")[2] for word in words):
        raise invalid("target", f"is {text[:100]!r}", "a name and then parameters, each name=value")
    pairs = [word.partition("=") for word in words]
    return name, long_names(payload_values({key: value for key, _, value in pairs}))


def long_names(values: Values) -> Values:
    """``values`` by the names that parameters have in the API."""
    return {_SHORT.get(name, name): texts for name, texts in values.items()}


def alternatives(text: str) -> list[str]:
    """The literal values of ``a``, ``a\\.b``, ``(a|b)`` or ``{a,b}``."""
    several = values_in(text)
    if len(several) > 1:
        return several
    if not _SEVERAL.fullmatch(text):
        return [_ESCAPE.sub(r"\1", text)]
    inner = text[1:-1]
    parts, position = [], 0
    while position <= len(inner):
        match = _BAR.match(inner, position)
        part = match.group(1) if match else ""
        parts.append(_ESCAPE.sub(r"\1", part))
        position += len(part) + 1
    return parts


def _texts(name: str, value: object, literal: bool) -> Iterator[str]:
    items = value if isinstance(value, list) else [value]
    for item in items:
        if item in EVERYTHING:
            continue
        if isinstance(item, str):
            yield from values_in(item) if literal else alternatives(item)
        elif isinstance(item, int | float) and not isinstance(item, bool):
            yield str(item)
        elif item is not None:
            raise invalid(f"payload.{name}", "is not a value", "a text, a number, or a list of them")
