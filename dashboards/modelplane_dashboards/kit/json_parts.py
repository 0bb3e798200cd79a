"""Parts that several kinds of Grafana's panels have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from modelplane_dashboards.kit.views import Steps, ValueText


class PanelContent(NamedTuple):
    """What one kind of panel adds to a panel's JSON."""

    type: str
    options: dict[str, Any]
    field_config: dict[str, Any]
    transformations: tuple[dict[str, Any], ...] = ()
    max_data_points: int | None = None


def thresholds(steps: Steps) -> dict[str, Any]:
    """Steps of colours; the value of the lowest is null."""
    return {"mode": "absolute", "steps": [{"color": step.colour, "value": step.start} for step in steps]}


def fixed_colour(colour: str) -> dict[str, str]:
    return {"fixedColor": colour, "mode": "fixed"}


def override(matcher: str, options: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    """Properties of the fields that a matcher of Grafana selects."""
    return {
        "matcher": {"id": matcher, "options": options},
        "properties": [{"id": name, "value": value} for name, value in properties.items()],
    }


def value_mappings(texts: tuple[ValueText, ...]) -> list[dict[str, Any]]:
    """Texts and colours in place of values."""
    options = {
        shown.value: {"index": index}
        | {key: value for key, value in (("text", shown.text), ("color", shown.colour)) if value}
        for index, shown in enumerate(texts)
    }
    return [{"options": options, "type": "value"}] if options else []
