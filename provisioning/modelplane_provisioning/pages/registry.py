"""The page that lists every key of the registry, by its JSON Schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from modelplane_schema.registry import Registry

_INTRODUCTION = """\
# Keys of the registry

Made by `make generate` from the models that check the file; edit nothing here. `modelplane registry init`
writes a first one. [Targets](targets.md) and [who hears of alerts](alerts.md) have pages of their own.

`modelplane registry schema` prints the same as JSON Schema, with which an editor completes keys and marks
mistakes. Write it beside the registry,

```sh
modelplane registry schema > modelplane.schema.json
```

and make this the first line of the registry, for an editor with the YAML language server:

```yaml
# yaml-language-server: $schema=modelplane.schema.json
```

Keys without a default must be given.
"""
_NAMES = {"string": "text", "boolean": "`true` or `false`"}
_LIMITS = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to", "exclusiveMaximum": "below"}
Schema = Mapping[str, Any]


def registry_page() -> str:
    """``docs/registry.md``."""
    schema = Registry.model_json_schema()
    described = {name: part for name, part in schema["$defs"].items() if "properties" in part}
    sections = [("The file", schema), *described.items()]
    return "\n".join([_INTRODUCTION, *("\n".join(_section(*section)) for section in sections)])


def _section(title: str, schema: Schema) -> Iterator[str]:
    yield f"## {title}\n"
    if "description" in schema:
        yield f"{_plain(schema['description'])}\n"
    yield "| key | allowed | default |\n| --- | --- | --- |"
    required = schema.get("required", ())
    for key, value in schema.get("properties", {}).items():
        yield f"| `{key}` | {_allowed(value)} | {'' if key in required else _default(value)} |"
    yield ""


def _allowed(schema: Schema) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return "anything" if name == "JsonValue" else f"[{name}](#{name.lower()})"
    for choice in ("anyOf", "oneOf"):
        if choice in schema:
            kinds = [kind for kind in schema[choice] if kind.get("type") != "null"]
            if any(kind.get("type") == "number" for kind in kinds):  # a decimal, which may be a text, too
                kinds = [kind for kind in kinds if kind.get("type") == "number"]
            return " or ".join(dict.fromkeys(map(_allowed, kinds)))
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"list of {_allowed(schema.get('items', {}))}"
    if schema.get("type") == "object":
        return f"mapping to {_allowed(schema.get('additionalProperties') or {})}"
    return _scalar(schema)


def _scalar(schema: Schema) -> str:
    kind = str(schema.get("format", schema.get("type", "anything")))
    limits = (f"{word} {schema[limit]:g}" for limit, word in _LIMITS.items() if limit in schema)
    return " ".join([_NAMES.get(kind, kind), *limits])


def _default(schema: Schema) -> str:
    default = schema.get("default")
    if default is None or default in ([], {}):
        return "*none*"
    if isinstance(default, dict):
        return "as below"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def _plain(text: str) -> str:
    """A docstring as a paragraph."""
    return " ".join(text.replace("``", "`").split())
