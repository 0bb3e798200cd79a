"""Read the YAML files that people write. A key that is given twice is an error: in YAML the last one wins.

Needs PyYAML (extras ``registry`` and ``declared``).
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from modelplane_schema.errors import UserError

_CONVERSION_ERRORS = (ValueError, TypeError, AttributeError, ArithmeticError, LookupError)
# Keys that are their own text: of texts, and of those that have a meaning and no value.
_TEXT_TAGS = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge", "tag:yaml.org,2002:value")


class DocumentError(UserError, ValueError):
    """A file cannot be read; the message names it, the place in it and what is wrong."""


def load_yaml(path: Path, hint: str = "") -> Any:
    """The content of a YAML file. DocumentError, which ends with ``hint`` when there is no such file."""
    return parse_yaml(read_text(path, hint), str(path))


def read_text(path: Path, hint: str = "") -> str:
    """The text of a file in UTF-8. DocumentError, which ends with ``hint`` when there is no such file."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        advice = f"; {hint}" if hint else ""
        raise DocumentError(f"{path}: cannot be read: {error.strerror}{advice}") from error
    except UnicodeDecodeError as error:
        raise DocumentError(f"{path}: is not UTF-8 text") from error


def parse_yaml(text: str, source: str, *, texts_only: bool = False) -> Any:
    """The content of one YAML document; ``source`` names it in a DocumentError.

    With ``texts_only`` each scalar is the text that stands there, so that ``1`` is no number.
    """
    try:
        with collection_paused():
            return _content(text, source, _TextLoader if texts_only else _ValueLoader)
    except DocumentError:
        raise
    # PyYAML leaves some escapes and keys to Python's own conversions.
    except (yaml.YAMLError, *_CONVERSION_ERRORS) as error:
        raise DocumentError(f"{source}: is not valid YAML: {_problem(error)}") from error
    except RecursionError as error:
        raise DocumentError(f"{source}: is not valid YAML: it is nested too deeply") from error


@contextlib.contextmanager
def raised_as(kind: type[UserError]) -> Iterator[None]:
    """A DocumentError of the block becomes a ``kind`` with the same message."""
    try:
        yield
    except DocumentError as error:
        raise kind(str(error)) from error


@contextlib.contextmanager
def collection_paused() -> Iterator[None]:
    """The garbage collector rests in the block.

    It would look again and again at all that was read so far, none of which is garbage: a registry of
    1,000 tenants and 10,000 models (4.4 MB) takes 7.4 s of CPU to read and validate with it, 3.0 s without.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class _PlacedErrors:
    """Says where a scalar stands that cannot be converted to its type."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)  # type: ignore[misc]  # of a loader of PyYAML
        except _CONVERSION_ERRORS as error:
            kind = node.tag.rpartition(":")[2]
            raise yaml.constructor.ConstructorError(
                None, None, f"{node.value!r} is not of type {kind}", node.start_mark
            ) from error


# libyaml reads a registry of 1,000 tenants and 300 models (85 kB) in 0.06 s, PyYAML itself in 0.8 s.
class _ValueLoader(_PlacedErrors, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    pass


class _TextLoader(_PlacedErrors, getattr(yaml, "CBaseLoader", yaml.BaseLoader)):  # type: ignore[misc]
    pass


def _content(text: str, source: str, loader_class: Any) -> Any:
    loader = loader_class(text)
    try:
        root = loader.get_single_node()
        if root is None:
            return None
        for key, first, second in _repeated_keys(loader, root):
            raise DocumentError(
                f"{source}: line {second}: the key {key!r} is given twice, first on line {first}; "
                "allowed: once"
            )
        return loader.construct_document(root)
    finally:
        loader.dispose()


def _repeated_keys(loader: Any, root: yaml.Node) -> Iterator[tuple[str, int, int]]:
    """Each key that a mapping has twice, with both lines. Keys of a merge (``<<``) may be given again."""
    pending, visited = [root], set()
    while pending:
        node = pending.pop()
        if id(node) in visited or isinstance(node, yaml.ScalarNode):
            continue
        visited.add(id(node))  # an alias is the same node
        parts = node.value
        if isinstance(node, yaml.MappingNode):
            yield from _repeated_keys_of(loader, node)
            parts = [part for pair in parts for part in pair]
        pending += [part for part in parts if not isinstance(part, yaml.ScalarNode)]


def _repeated_keys_of(loader: Any, mapping: yaml.MappingNode) -> Iterator[tuple[str, int, int]]:
    lines: dict[Any, int] = {}
    for node, _ in mapping.value:
        if isinstance(node, yaml.ScalarNode):
            # As Python compares them, for 1 and 0x1 are one key of a dictionary.
            key = node.value if node.tag in _TEXT_TAGS else loader.construct_object(node)
            line = node.start_mark.line + 1
            if key in lines:
                yield node.value, lines[key], line
            lines[key] = line


def _problem(error: Exception) -> str:
    """What is wrong, and where if PyYAML says so."""
    mark = getattr(error, "problem_mark", None)
    place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    text = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    return place + text
