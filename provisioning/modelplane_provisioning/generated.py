"""The committed files that are generated: ``make generate`` writes them, a test compares them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import modelplane_dashboards
from modelplane_alerts.render import schema_json
from modelplane_datasource.settings import settings_page
from modelplane_exporter.settings import settings_page as exporter_settings_page
from modelplane_provisioning.compose.containers import container_files
from modelplane_provisioning.pages.air_gap import PAGE as AIR_GAP_PAGE
from modelplane_provisioning.pages.air_gap import air_gap_page
from modelplane_provisioning.pages.boards import DRAWINGS, PAGE, boards_page
from modelplane_provisioning.pages.hardening import PAGE as HARDENING_PAGE
from modelplane_provisioning.pages.hardening import hardening_page
from modelplane_provisioning.pages.registry import registry_page
from modelplane_provisioning.pages.runbooks import runbooks_page
from modelplane_schema.files import replace_files, surplus_files
from modelplane_schema.owned_files import MANIFEST
from modelplane_schema.reference import metrics_page
from modelplane_schema.registry import Registry, load_registry

# Folders in which every file is generated: others are removed.
GENERATED_FOLDERS = (DRAWINGS, "dashboards/generated", "provisioning/generated")
_USER = "1000:1000"
_ELSEWHERE = ("grafana/dashboards/", "grafana/plugins/")  # in dashboards/generated and plugin/dist


def generated_files(root: Path) -> dict[str, bytes]:
    """Map path below the checkout ``root`` to content, for the registry of the examples."""
    registry = load_registry(root / "examples" / "modelplane.yaml")
    files = {
        "docs/metrics.md": metrics_page().encode(),
        "docs/registry.md": registry_page().encode(),
        "docs/settings.md": settings_page().encode(),
        "datasource_backend/modelplane_datasource/api/runbooks.html": runbooks_page(
            _text(root / "docs" / "runbooks.md")
        ).encode(),
        "docs/exporter-settings.md": exporter_settings_page().encode(),
        "alerts/modelplane_alerts/mixin/schema.json": schema_json().encode(),
    }
    boards = modelplane_dashboards.files(registry)
    files[f"dashboards/generated/{MANIFEST}"] = modelplane_dashboards.manifest_content(boards)
    for path, content in boards.items():
        files[f"dashboards/generated/{path}"] = content
    files |= boards_page(_text(root / PAGE), map(json.loads, boards.values()))
    files["alerts/modelplane_alerts/mixin/dashboards.json"] = _mixin_dashboards(registry)
    bundle = container_files(registry, _USER, root / "examples")
    files[HARDENING_PAGE] = hardening_page(_text(root / HARDENING_PAGE), bundle["compose.yaml"])
    files[AIR_GAP_PAGE] = air_gap_page(_text(root / AIR_GAP_PAGE))
    for path, content in bundle.items():
        if not path.startswith(_ELSEWHERE):
            files[f"provisioning/generated/{path}"] = content
    return files


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _mixin_dashboards(registry: Registry) -> bytes:
    """The boards of all tenants and models by file name, for those who use the mixin alone."""
    boards = modelplane_dashboards.build(registry, "none")
    content = {f"{board.uid}.json": modelplane_dashboards.render(board, "none") for board in boards}
    return (json.dumps(content, ensure_ascii=False, indent=2, sort_keys=True) + "\n").encode()


def main() -> None:
    """Bring every generated file up to date below the current folder, which must be a checkout."""
    root = Path.cwd()
    if not (root / "examples" / "modelplane.yaml").is_file():
        sys.exit("Error: run this in the root of a modelplane checkout, where examples/modelplane.yaml lies")
    files = generated_files(root)
    written = replace_files(root, files)
    removed = surplus_files(root, GENERATED_FOLDERS, files)
    for path in removed:
        path.unlink()
    sys.stdout.write(f"{len(files)} generated files: {len(written)} written, {len(removed)} removed\n")


if __name__ == "__main__":
    main()
