"""What a bundle changes, in the terms of people: tenants, models, rules, boards; pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import yaml

from modelplane_provisioning.bundle.files import REGISTRY_PATH
from modelplane_provisioning.bundle.layout import BOARDS_FOLDER, RULES_FOLDER, SECRETS
from modelplane_schema.errors import UserError
from modelplane_schema.registry import Registry, parse_registry

Files = Mapping[str, bytes]
_LISTED = 8


class _Entries(NamedTuple):
    """Names that came, that changed and that went."""

    added: list[str]
    changed: list[str]
    removed: list[str]


def difference_lines(before: Files, after: Files) -> list[str]:
    """A line for each kind of thing that differs; both map paths below a bundle to content."""
    lines = [*_registry_lines(before.get(REGISTRY_PATH), after[REGISTRY_PATH])]
    for kind, folder, entries in (("rules", RULES_FOLDER, _rules), ("boards", BOARDS_FOLDER, _boards)):
        lines += _line(kind, _compared(entries(_below(before, folder)), entries(_below(after, folder))))
    lines += _line("other files", _compared(_others(before), _others(after)))
    return lines


def _registry_lines(before: bytes | None, after: bytes) -> Iterator[str]:
    old, new = _entities(before), _entities(after)
    for kind in ("tenants", "owners", "models"):
        yield from _line(kind, _compared(old.get(kind, {}), new[kind]), old.get(kind, {}), new[kind])
    changed = [name for name, value in new["settings"].items() if old and old["settings"][name] != value]
    if changed:
        yield f"settings of the registry: {', '.join(changed)} changed"


def _entities(text: bytes | None) -> dict[str, dict[str, Any]]:
    """The tenants, owners and models of a registry by name, and all else; nothing for none that is valid."""
    try:
        registry = parse_registry(text.decode()) if text else None
    except (UserError, UnicodeDecodeError):
        registry = None
    if registry is None:
        return {}
    settings = {name: getattr(registry, name) for name in Registry.model_fields if name not in _LISTS}
    return {
        "tenants": {tenant.id: tenant for tenant in registry.tenants},
        "owners": {owner.id: owner for owner in registry.owners or ()},
        "models": {model.name: model for model in registry.models},
        "settings": settings,
    }


_LISTS = ("tenants", "owners", "models")


def _rules(files: Files) -> dict[str, Any]:
    """Rules by name, and labels on a second line."""
    rules: dict[str, Any] = {}
    for content in files.values():
        for group in yaml.load(content, yaml.CSafeLoader)["groups"]:
            for rule in group["rules"]:
                name = rule.get("record") or rule.get("alert")
                labels = ",".join(f"{key}={value}" for key, value in sorted(rule.get("labels", {}).items()))
                # A rule that stands twice counts twice.
                rules.setdefault(f"{name}\n{labels}", []).append(rule)
    return rules


def _boards(files: Files) -> dict[str, Any]:
    return {PurePosixPath(path).stem: content for path, content in files.items()}


def _others(files: Files) -> dict[str, Any]:
    known = (REGISTRY_PATH, f"{RULES_FOLDER}/", f"{BOARDS_FOLDER}/")
    return {path: content for path, content in files.items() if not path.startswith(known)}


def _below(files: Files, folder: str) -> Files:
    return {path: content for path, content in files.items() if path.startswith(f"{folder}/")}


def _compared(before: Mapping[str, Any], after: Mapping[str, Any]) -> _Entries:
    return _Entries(
        sorted(after.keys() - before.keys()),
        sorted(name for name in after.keys() & before.keys() if before[name] != after[name]),
        sorted(before.keys() - after.keys()),
    )


def _line(
    kind: str,
    entries: _Entries,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> Iterator[str]:
    """One line, where anything differs; with the declarations each changed one names its fields."""
    changed = entries.changed
    if before is not None and after is not None:
        changed = [f"{name} ({', '.join(_fields(before[name], after[name]))})" for name in changed]
    parts = (("added", entries.added), ("changed", changed), ("removed", entries.removed))
    texts = [f"{len(names)} {what} ({_listed(names)})" for what, names in parts if names]
    if texts:
        yield f"{kind}: {'; '.join(texts)}"


def _fields(before: Any, after: Any) -> list[str]:
    return [name for name in type(after).model_fields if getattr(before, name) != getattr(after, name)]


def _listed(names: Iterable[str]) -> str:
    names = list(dict.fromkeys(name.partition("\n")[0] for name in names))
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more


def without_secrets(files: Files) -> dict[str, bytes]:
    """The files that may be looked at."""
    return {path: content for path, content in files.items() if not path.startswith(f"{SECRETS}/")}
