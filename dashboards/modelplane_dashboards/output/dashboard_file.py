"""Read a file with a board: classic JSON or a resource of Grafana's API, ours or an export of the browser."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from modelplane_dashboards.output.errors import OutputError

_ALLOWED = (
    "a dashboard of Grafana as classic JSON, or as a resource of dashboard.grafana.app/v0alpha1 or v1beta1"
)

# What Grafana adds to a board, or drops of it, without anybody having changed it.
_OF_THE_SERVER = {"id", "version", "iteration", "__inputs", "__requires", "__elements"}
_BOARD_DEFAULTS: Mapping[str, Any] = {
    "fiscalYearStartMonth": 0, "timepicker": {}, "weekStart": "", "liveNow": False, "preload": False,
}  # fmt: skip
_PANEL_DEFAULTS: Mapping[str, Any] = {
    "links": [], "transformations": [], "transparent": False, "title": "",
}  # fmt: skip
_OF_A_PANEL = {"pluginVersion"}
_OF_A_CHOICE = {"current", "options"}  # what somebody had selected, and from what


def read_dashboard(path: Path) -> dict[str, Any]:
    """The board of a file in its classic form; OutputError when there is none."""
    try:
        return parse_dashboard(path.read_bytes(), str(path))
    except OSError as error:
        raise OutputError(f"{path}: cannot be read: {error.strerror}") from error


def parse_dashboard(text: bytes, source: str) -> dict[str, Any]:
    """The board of a text in its classic form; ``source`` names it in an OutputError."""
    try:
        content = json.loads(text)
    except ValueError as error:
        raise OutputError(f"{source}: is not JSON ({error}); allowed: {_ALLOWED}") from error
    if isinstance(content, dict) and isinstance(content.get("dashboard"), dict):  # GET /api/dashboards/uid
        content = content["dashboard"]
    if isinstance(content, dict) and isinstance(content.get("spec"), dict):
        if "elements" in content["spec"]:
            raise OutputError(
                f"{source}: is a dashboard of version 2, whose panels cannot be compared; "
                f"allowed: {_ALLOWED}: export it as such"
            )
        metadata = content.get("metadata")
        content = content["spec"] | {"uid": metadata.get("name") if isinstance(metadata, dict) else None}
    panels = content.get("panels") if isinstance(content, dict) else None
    if not isinstance(panels, list) or not all(isinstance(panel, dict) for panel in panels):
        raise OutputError(f"{source}: has no list of panels; allowed: {_ALLOWED}")
    if not isinstance(content.get("uid"), str):
        raise OutputError(f"{source}: has no uid, by which its board would be found; give it the board's uid")
    wrong = next((place for place, is_right in _shape(content) if not is_right), None)
    if wrong:
        raise OutputError(f"{source}: {wrong} has a shape that Grafana does not write; allowed: {_ALLOWED}")
    return dict(content)


def _shape(board: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    """Places of a board that are read by name, and whether they can be; each is told before it is read."""
    for name in ("annotations", "templating"):
        yield name, isinstance(board.get(name) or {}, dict)
        yield f"{name}.list", _are_objects((board.get(name) or {}).get("list"))
    for place, panel in enumerate(board["panels"]):
        yield f"panels[{place}].panels", _are_objects(panel.get("panels"))
        for part in (panel, *(panel.get("panels") or ())):
            yield from _shape_of_fields(f"panels[{place}]", part)


def _shape_of_fields(place: str, panel: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    yield f"{place}.id", isinstance(panel.get("id"), int | str | None)
    content: Mapping[str, Any] = panel
    for name in ("fieldConfig", "defaults", "thresholds"):
        place, content = f"{place}.{name}", content.get(name) or {}
        yield place, isinstance(content, dict)
    yield f"{place}.steps", _are_objects(content.get("steps"))


def _are_objects(value: Any) -> bool:
    return value is None or (isinstance(value, list) and all(isinstance(item, dict) for item in value))


def stripped(board: Mapping[str, Any]) -> dict[str, Any]:
    """A board without what Grafana adds to each and drops of each, and without what somebody had selected."""
    content = _without(board, _OF_THE_SERVER, _BOARD_DEFAULTS)
    content["panels"] = [_stripped_panel(panel) for panel in board["panels"]]
    for name in ("annotations", "templating"):
        items = (board.get(name) or {}).get("list") or []
        if items:
            kept = [_without(item, _OF_A_CHOICE) for item in items if not item.get("builtIn")]
            content[name] = board[name] | {"list": kept}
    return content


def comparable(board: Mapping[str, Any]) -> dict[str, Any]:
    """``stripped``, also without the version of the schema, which Grafana raises as it likes."""
    return _without(stripped(board), {"schemaVersion"})


def _stripped_panel(panel: Mapping[str, Any]) -> dict[str, Any]:
    content = _without(panel, _OF_A_PANEL, _PANEL_DEFAULTS)
    if isinstance(panel.get("panels"), list):
        content["panels"] = [_stripped_panel(inner) for inner in panel["panels"]]
    config = panel.get("fieldConfig") or {}
    thresholds = (config.get("defaults") or {}).get("thresholds") or {}
    if thresholds.get("steps"):
        steps = [_without(step, (), {"value": None}) for step in thresholds["steps"]]
        defaults = config["defaults"] | {"thresholds": thresholds | {"steps": steps}}
        content["fieldConfig"] = config | {"defaults": defaults}
    return content


def _without(
    content: Mapping[str, Any], keys: Collection[str], defaults: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """``content`` without ``keys``, and without those of ``defaults`` that have that value."""
    absent = object()
    return {
        key: value
        for key, value in content.items()
        if key not in keys and (defaults or {}).get(key, absent) != value
    }
