"""The committed files that are generated: ``make generate`` writes them, a test compares them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import modelplane_dashboards
from modelplane_alerts.render import schema_json
from modelplane_datasource.settings import settings_page
from modelplane_provisioning.container_bundle import container_files
from modelplane_schema.reference import metrics_page
from modelplane_schema.registry import load_registry

# Folders in which every file is generated: others are removed.
OWNED = ("dashboards/generated", "provisioning/generated")
_OWNER = "1000:1000"


def generated_files(root: Path) -> dict[str, bytes]:
    """Map path below the checkout ``root`` to content, for the registry of the examples."""
    registry = load_registry(root / "examples" / "modelplane.yaml")
    files = {
        "docs/metrics.md": metrics_page().encode(),
        "docs/settings.md": settings_page().encode(),
        "alerts/modelplane_alerts/mixin/schema.json": schema_json().encode(),
    }
    for path, content in modelplane_dashboards.files(registry).items():
        files[f"dashboards/generated/{path}"] = content
    for path, content in container_files(registry, _OWNER, root / "examples").items():
        if not path.startswith("grafana/dashboards/"):  # they lie in dashboards/generated
            files[f"provisioning/generated/{path}"] = content
    return files


def surplus(root: Path, files: Mapping[str, bytes]) -> list[Path]:
    """Files in owned folders that nothing generates any more."""
    present = (path for folder in OWNED for path in (root / folder).rglob("*") if path.is_file())
    return sorted(path for path in present if path.relative_to(root).as_posix() not in files)


def main() -> None:
    """Bring every generated file up to date below the current folder, which must be a checkout."""
    root = Path.cwd()
    if not (root / "examples" / "modelplane.yaml").is_file():
        sys.exit("Error: run this in the root of a modelplane checkout, where examples/modelplane.yaml lies")
    files = generated_files(root)
    changed = [path for path, content in files.items() if _read(root / path) != content]
    for path in changed:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(files[path])
    removed = surplus(root, files)
    for leftover in removed:
        leftover.unlink()
    sys.stdout.write(f"{len(files)} generated files: {len(changed)} written, {len(removed)} removed\n")


def _read(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


if __name__ == "__main__":
    main()
