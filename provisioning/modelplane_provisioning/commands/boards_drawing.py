"""``modelplane dashboards draw``: boards as drawings and as text, for reviews."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modelplane_provisioning.commands.options import api_option, console, out_option, registry_option
from modelplane_schema.files import replace_files
from modelplane_schema.registry import load_registry

if TYPE_CHECKING:
    from modelplane_dashboards import ApiAccess


@click.command("draw")
@click.argument("boards", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@registry_option
@out_option("drawings", "Folder for the drawings and texts.")
@api_option
def dashboards_draw(boards: tuple[Path, ...], registry: Path, out: Path, api: ApiAccess) -> None:
    """Write a drawing (SVG) and an outline (Markdown) of each board.

    BOARDS are files of dashboards in Grafana's classic JSON; without any it draws those of the registry.

    Example: modelplane dashboards draw --registry examples/modelplane.yaml --out drawings
    """
    from modelplane_dashboards.drawing import draw
    from modelplane_dashboards.outline import markdown, outline

    files: dict[str, bytes] = {}
    for name, dashboard in _read(boards) if boards else _of_registry(registry, api):
        files[f"{name}.svg"] = draw(dashboard).encode()
        files[f"{name}.md"] = (
            f"# {markdown(str(dashboard.get('title', name)))}\n\n{outline(dashboard)}".encode()
        )
    written = replace_files(out, files)
    console.print(f"{out}: {len(files) // 2} boards, {len(written)} files written", markup=False)


def _of_registry(registry: Path, api: ApiAccess) -> Iterator[tuple[str, dict[str, Any]]]:
    import modelplane_dashboards

    for path, content in modelplane_dashboards.files(load_registry(registry), api).items():
        yield Path(path).stem, json.loads(content)


def _read(paths: tuple[Path, ...]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Drawings get the names of files; click.ClickException for what is no dashboard, and for equal names."""
    names: set[str] = set()
    for path in paths:
        try:
            content = json.loads(path.read_bytes())
        except ValueError as error:
            raise click.ClickException(f"{path}: is no JSON: {error}") from error
        dashboard = content.get("spec", content) if isinstance(content, dict) else None
        if not isinstance(dashboard, dict) or not isinstance(dashboard.get("panels"), list):
            raise click.ClickException(f"{path}: is no dashboard in Grafana's classic JSON: it has no panels")
        if path.stem in names:
            raise click.ClickException(f"{path}: another file has this name; draw it into another folder")
        names.add(path.stem)
        yield path.stem, dashboard
