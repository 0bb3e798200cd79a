"""The plugin for Grafana, as it was built: the app and, nested in it, the data source."""

from __future__ import annotations

from pathlib import Path

from modelplane_schema.uids import PLUGIN_APP_ID, PLUGIN_DATASOURCE_ID

# It is not signed: each Grafana that loads it must allow it.
PLUGIN_IDS = (PLUGIN_APP_ID, PLUGIN_DATASOURCE_ID)
_BUILT = Path(__file__).parents[1] / "plugin"  # in the repository a link to plugin/dist


def files(folder: str) -> dict[str, bytes]:
    """Map path to content for ``folder`` of plugins."""
    return {
        f"{folder}/{PLUGIN_APP_ID}/{path.relative_to(_BUILT).as_posix()}": path.read_bytes()
        for path in sorted(_BUILT.rglob("*"))
        if path.is_file()
    }
