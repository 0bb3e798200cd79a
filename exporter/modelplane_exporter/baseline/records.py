"""Rows with named values in every form, as mappings. Needs nothing but Python.

Libraries that may not be installed are recognised by their loaded modules, records by what their type
declares: nothing of a foreign object runs before it is known what it is.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

# Where the types of pydantic 2 and 1 say what their fields are, and those of attrs and msgspec.
_PYDANTIC = ("model_fields", "__fields__")
_FIELDS = ("__attrs_attrs__", "__struct_fields__")


def is_of(value: Any, module: str, *names: str) -> bool:
    """Whether a value is of a type of a module that may not be installed."""
    loaded = sys.modules.get(module)
    # Not isinstance: it runs code of a foreign object that is something else.
    return loaded is not None and issubclass(type(value), tuple(getattr(loaded, name) for name in names))


def record(value: Any) -> Mapping[str, Any] | None:
    """One row with named values as a mapping; None when it names none.

    A row is a mapping, a named tuple, an instance of a dataclass or of a class of pydantic, attrs or msgspec,
    a row of SQLite or SQLAlchemy, a record of a structured array, or a row of a pandas frame.
    """
    kind = type(value)
    if issubclass(kind, Mapping):
        return value if isinstance(value, Mapping) else None
    if hasattr(kind, "__dataclass_fields__"):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if callable(getattr(kind, "_asdict", None)):
        return dict(value._asdict())
    if is_of(value, "numpy", "void") and value.dtype.names:
        return {name: value[name] for name in value.dtype.names}
    if is_of(value, "pandas", "Series") and all(isinstance(label, str) for label in value.index):
        return dict(zip(value.index, value, strict=True))
    return _with_declared_fields(value, kind)


def _with_declared_fields(value: Any, kind: type) -> Mapping[str, Any] | None:
    is_pydantic = any(isinstance(getattr(kind, attribute, None), dict) for attribute in _PYDANTIC)
    if is_pydantic or (kind.__module__, kind.__name__) == ("sqlite3", "Row"):
        return dict(value)  # of pydantic with extra fields
    for attribute in _FIELDS:
        fields = getattr(kind, attribute, None)
        if isinstance(fields, tuple):
            return {name: getattr(value, name) for name in map(_field_name, fields)}
    return None


def records(values: Iterable[Any]) -> list[Mapping[str, Any]] | None:
    """Rows with named values as mappings; None when one of them names none, or there is no row."""
    rows: list[Mapping[str, Any]] = []
    for value in values:
        row = record(value)
        if row is None:
            return None
        rows.append(row)
    return rows or None


def columns_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """The columns of rows, in the order in which their names come first; None where a row lacks a value."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {str(name): [row.get(name) for row in rows] for name in names}


def _field_name(field: Any) -> str:
    name: str = field if isinstance(field, str) else field.name
    return name
