"""Commands about the files of boards: generate, check."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from rich.console import Console
from rich.progress import track

from modelplane_provisioning.commands.options import api_option, console, out_option, registry_option
from modelplane_schema.registry import load_registry

if TYPE_CHECKING:
    from modelplane_dashboards import ApiAccess, BoardFormat, PerEntity

Command = TypeVar("Command", bound=Callable[..., Any])

_DEFAULT_OUT = "dashboards/generated"
_BOARDS_WITHOUT_PROGRESS = 200

_per_entity_option = click.option(
    "--per-entity",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    show_default=True,
    help="Also a board for each tenant and each model: auto has them up to 100 in all.",
)
_format_option = click.option(
    "--format",
    "form",
    type=click.Choice(["classic", "resource"]),
    default="classic",
    show_default=True,
    help="Grafana's classic JSON, or resources of its Kubernetes-style API (dashboard.grafana.app/v1beta1).",
)


def _content_options(command: Command) -> Command:
    """The options that say which files there are and what is in them."""
    return registry_option(api_option(_per_entity_option(_format_option(command))))


@click.group("dashboards")
def dashboards_group() -> None:
    """Generate Grafana dashboards from the registry, and compare them.

    Example: modelplane dashboards generate --registry modelplane.yaml --out dashboards/generated
    """


@dashboards_group.command("generate")
@_content_options
@out_option(_DEFAULT_OUT, "Folder for the dashboard files.")
def dashboards_generate(
    registry: Path, out: Path, api: ApiAccess, per_entity: PerEntity, form: BoardFormat
) -> None:
    """Write one file for each board; files that are current stay untouched, stale ones are removed.

    A manifest in the folder names the files that are ours. No other file is changed or removed.

    Example: modelplane dashboards generate --registry examples/modelplane.yaml --out dashboards/generated
    """
    import modelplane_dashboards

    files = modelplane_dashboards.files(load_registry(registry), api, per_entity, form)
    changes = modelplane_dashboards.write(files, out, _progress("Writing boards", files))
    if changes.adopted:
        _print(f"{out}: took over {len(changes.adopted)} boards that a version without a manifest wrote")
    for path in changes.left:
        _print(f"{out}/{path}: is no board of modelplane any more, and stays")
    _print(f"{out}: {len(files)} boards, {len(changes.written)} written, {len(changes.removed)} removed")


@dashboards_group.command("check")
@_content_options
@out_option(_DEFAULT_OUT, "Folder of the dashboard files.")
def dashboards_check(
    registry: Path, out: Path, api: ApiAccess, per_entity: PerEntity, form: BoardFormat
) -> None:
    """Fail when the files in a folder are not what the registry gives.

    Example: modelplane dashboards check --registry examples/modelplane.yaml --out dashboards/generated
    """
    import modelplane_dashboards

    files = modelplane_dashboards.files(load_registry(registry), api, per_entity, form)
    problems = modelplane_dashboards.check(files, out, _progress("Checking boards", files))
    for problem in problems:
        _print(problem)
    if problems:
        raise click.ClickException(
            f"{len(problems)} files are not current; run: "
            f"modelplane dashboards generate --registry {registry} --out {out} --api {api} "
            f"--per-entity {per_entity} --format {form}"
        )
    _print(f"{out}: all {len(files)} boards are current")


def _progress(doing: str, files: Mapping[str, bytes]) -> Callable[[Iterable[str]], Iterable[str]]:
    """Shows on a terminal how far a long run is."""
    terminal = Console(stderr=True)
    is_silent = not terminal.is_terminal or len(files) < _BOARDS_WITHOUT_PROGRESS

    def shown(paths: Iterable[str]) -> Iterable[str]:
        return track(paths, doing, total=len(files), console=terminal, transient=True, disable=is_silent)

    return shown


def _print(text: str) -> None:
    console.print(text, markup=False)


COMMANDS = (dashboards_group,)
