"""The text of generated YAML files."""

from __future__ import annotations

from typing import Any

import yaml


def to_yaml(content: dict[str, Any] | list[Any]) -> str:
    """The text of a generated YAML file, its keys in the order given."""
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=1000)
