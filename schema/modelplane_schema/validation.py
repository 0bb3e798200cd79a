"""Validate what stands in a file against a pydantic model, and say in plain words what is wrong with it.

Needs pydantic and PyYAML (extra ``registry``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, NamedTuple, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from modelplane_schema.documents import DocumentError, collection_paused, parse_yaml

Model = TypeVar("Model", bound=BaseModel)
Location = tuple[int | str, ...]

_LONGEST_VALUE = 80
_WITHOUT_VALUE = ("missing", "extra_forbidden", "json_invalid")
_NOT_A_MAPPING = ("model_type", "model_attributes_type", "dict_type")
_KEY_ITSELF = "[key]"


class SecretValueError(ValueError):
    """A validator's problem with a value that may be a secret: no message repeats the value."""


def parse_model(model: type[Model], text: str, source: str) -> Model:
    """YAML text as a ``model``; a DocumentError has a line for each problem, which begins with ``source``."""
    try:
        with collection_paused():
            return model.model_validate(parse_yaml(text, source))
    except ValidationError as error:
        raise DocumentError(explain(error, model, source)) from error


def explain(error: ValidationError, model: type[BaseModel], source: str, *, show_values: bool = True) -> str:
    """A line ``source: place: what is allowed`` for each problem that ``model`` has with a file.

    Without ``show_values`` the lines quote no value of the file.
    """
    problems: Sequence[Mapping[str, Any]] = error.errors(include_url=False)
    # pydantic counts an item that failed as absent, so that what holds it may seem too short.
    with_problems = {problem["loc"][:depth] for problem in problems for depth in range(len(problem["loc"]))}
    lines = []
    for problem in problems:
        if problem["type"] != "too_short" or problem["loc"] not in with_problems:
            place = _place(model, problem["loc"])
            text = _text(problem, place) + (_value(problem) if show_values else "")
            lines += [_line(source, place.text, part) for part in text.splitlines()]
    return "\n".join(dict.fromkeys(lines))


def _line(source: str, place: str, text: str) -> str:
    """``source: place: text``; a text that begins with ``[`` or ``.`` says where below ``place`` it is."""
    if text.startswith(("[", ".")):
        return f"{source}: {place}{text}"
    return ": ".join(filter(None, (source, place, text)))


class _Place(NamedTuple):
    """Where a problem is: ``text`` for people, the annotation of what is there, and that of what holds it."""

    text: str
    holder: Any
    annotation: Any


def _text(problem: Mapping[str, Any], place: _Place) -> str:
    kind, context = problem["type"], problem.get("ctx", {})
    if kind == "missing":
        return "is required"
    if kind == "extra_forbidden":
        return _refusal(place.holder, problem["loc"][-1])
    if kind in _NOT_A_MAPPING:
        keys = _keys(place.annotation)
        return "must be a mapping" + (f" with the keys {keys}" if keys else "")
    if kind == "union_tag_not_found":
        return f"must have the key {context['discriminator']}"
    if kind == "union_tag_invalid":
        return f"{context['discriminator']} must be one of {context['expected_tags']}"
    if kind == "json_invalid":
        return f"is not valid JSON: {context['error']}"
    if kind == "invalid_key":
        return "the key must be a text"
    if kind == "tuple_type":
        return "must be a list"
    return _reworded(problem["msg"], is_key=_KEY_ITSELF in problem["loc"])


def _reworded(message: str, is_key: bool) -> str:
    """A message of pydantic's, or of a validator of ours, as it follows a place."""
    text = message.removeprefix("Value error, ").partition(" after validation")[0]
    text = re.sub(r"^[A-Z][a-z]*( input)? should ", "must ", text)
    return f"the key {text}" if is_key else text


def _value(problem: Mapping[str, Any]) -> str:
    """``(got ...)`` when the value is short enough to be told apart by it."""
    context = problem.get("ctx", {})
    if isinstance(context.get("error"), SecretValueError):
        return ""
    value = context.get("tag", problem["input"])
    if problem["type"] in _WITHOUT_VALUE or not isinstance(value, str | int | float):
        return ""
    text = repr(value)
    return f" (got {text if len(text) <= _LONGEST_VALUE else text[:_LONGEST_VALUE] + '...'})"


def _place(model: type[BaseModel], location: Location) -> _Place:
    """The place of a location of pydantic's, which has the alternative of a union as a part, too."""
    text, holder, annotation = "", None, model
    for part in location:
        kinds = _alternatives(annotation)
        if len(kinds) > 1:
            annotation = _chosen(kinds, part)
        elif part != _KEY_ITSELF:
            holder, annotation = annotation, _child(kinds, part)
            in_list = isinstance(part, int) and not any(map(_is_model, kinds))
            text += f"[{part}]" if in_list else f".{part}"
    return _Place(text.removeprefix("."), holder, annotation)


def _alternatives(annotation: Any) -> list[Any]:
    """The types that ``annotation`` allows, without None."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _alternatives(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return [kind for argument in get_args(annotation) for kind in _alternatives(argument)]
    return [] if annotation is NoneType else [annotation]


def _chosen(kinds: Iterable[Any], label: int | str) -> Any:
    """The alternative that pydantic calls ``label``: its name, or the value of a Literal that it has."""
    models = [kind for kind in kinds if _is_model(kind)]
    for model in models:
        if label == model.__name__ or any(
            label in get_args(f.annotation) for f in model.model_fields.values()
        ):
            return model
    return next((kind for kind in kinds if get_origin(kind) in (tuple, list, dict)), None)


def _child(kinds: Iterable[Any], key: int | str) -> Any:
    """The annotation of what stands under ``key``; None when nothing may."""
    for kind in kinds:
        if _is_model(kind):
            fields = kind.model_fields.items()
            return next((field.annotation for name, field in fields if key == (field.alias or name)), None)
        if get_origin(kind) in (tuple, list, dict):
            return next((item for item in reversed(get_args(kind)) if item is not Ellipsis), None)
    return None


def _refusal(holder: Any, key: int | str) -> str:
    """Why ``holder`` has no such key."""
    reasons = (getattr(kind, "refused_keys", {}).get(key) for kind in _alternatives(holder))
    return next(filter(None, reasons), f"is not a known key; allowed: {_keys(holder)}")


def _keys(annotation: Any) -> str:
    """The keys of a model, as they stand in a file; nothing for anything else."""
    kinds = _alternatives(annotation)
    if len(kinds) != 1 or not _is_model(kinds[0]):
        return ""
    return ", ".join(field.alias or name for name, field in kinds[0].model_fields.items())


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
