"""Commands about the files of boards: generate, check, diff, adopt, draw."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from rich.console import Console
from rich.progress import track

from modelplane_provisioning.commands.boards_drawing import dashboards_draw
from modelplane_provisioning.commands.options import api_option, out_option, registry_option
from modelplane_provisioning.commands.text import print_json, say
from modelplane_provisioning.git_folder import folder_or_revision
from modelplane_schema.files import replace_file, replace_files
from modelplane_schema.registry import load_registry

if TYPE_CHECKING:
    from modelplane_dashboards import ApiAccess, BoardDifference, BoardFormat, PerEntity

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
        say(f"{out}: took over {len(changes.adopted)} boards that a version without a manifest wrote")
    for path in changes.left:
        say(f"{out}/{path}: is no board of modelplane any more, and stays")
    say(f"{out}: {len(files)} boards, {len(changes.written)} written, {len(changes.removed)} removed")


@dashboards_group.command("folders")
@registry_option
@_per_entity_option
@out_option("dashboards/folders", "Folder for the files.")
def dashboards_folders(registry: Path, out: Path, per_entity: PerEntity) -> None:
    """Write the folders of boards as resources of Grafana's API, for tools that push resources.

    Boards of `generate --format resource` name them.

    Example: modelplane dashboards folders --registry examples/modelplane.yaml --out resources/folders
    """
    import modelplane_dashboards

    paths = modelplane_dashboards.files(load_registry(registry), per_entity=per_entity)
    files = modelplane_dashboards.folder_files(paths)
    written = replace_files(out, files)
    say(f"{out}: {len(files)} folders, {len(written)} written")


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
        say(problem)
    if problems:
        raise click.ClickException(
            f"{len(problems)} files are not current; run: "
            f"modelplane dashboards generate --registry {registry} --out {out} --api {api} "
            f"--per-entity {per_entity} --format {form}"
        )
    say(f"{out}: all {len(files)} boards are current")


@dashboards_group.command("diff")
@_content_options
@click.option(
    "--against",
    default=_DEFAULT_OUT,
    show_default=True,
    help="A folder of dashboard files, or REVISION:FOLDER of the git repository here.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with old and new values.")
@click.pass_context
def dashboards_diff(
    context: click.Context,
    registry: Path,
    against: str,
    as_json: bool,
    api: ApiAccess,
    per_entity: PerEntity,
    form: BoardFormat,
) -> None:
    """Say, panel by panel, what the registry gives now that a folder has not; status 1 when they differ.

    In a text, [-words-] are gone and {+words+} are new.

    Example: modelplane dashboards diff --registry modelplane.yaml --against main:dashboards/generated
    """
    import modelplane_dashboards

    files = modelplane_dashboards.files(load_registry(registry), api, per_entity, form)
    with folder_or_revision(against) as folder:
        differences = list(
            modelplane_dashboards.differences(files, folder, _progress("Comparing boards", files))
        )
    _print_differences(differences, as_json)
    if differences:
        context.exit(1)
    if not as_json:
        say(f"{against}: all {len(files)} boards are the same")


@dashboards_group.command("adopt")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@registry_option
@api_option
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the board without what Grafana adds to it.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with old and new values.")
def dashboards_adopt(file: Path, registry: Path, api: ApiAccess, out: Path | None, as_json: bool) -> None:
    """Say, panel by panel, what somebody changed of a board in Grafana, from the browser's export of it.

    FILE is classic JSON or a resource of version v1beta1. What Grafana adds to every board is left out.
    Boards are generated: put the changes that you want into the board's module, and generate it anew.

    Example: modelplane dashboards adopt fleet-export.json --registry modelplane.yaml --out fleet.json
    """
    import modelplane_dashboards

    exported = modelplane_dashboards.read_dashboard(file)
    files = modelplane_dashboards.files(load_registry(registry), api, "always")
    difference = modelplane_dashboards.adopted_difference(files, exported, str(file))
    if out is not None:
        replace_file(out, modelplane_dashboards.to_text(modelplane_dashboards.stripped(exported)).encode())
    _print_differences([] if difference is None else [difference], as_json)
    if difference is None and not as_json:
        say(f"{file}: is the board that the registry gives")


def _print_differences(differences: Sequence[BoardDifference], as_json: bool) -> None:
    from modelplane_dashboards.output import difference_text

    if as_json:
        print_json(difference_text.as_json(differences))
        return
    for line in difference_text.lines(differences):
        say(line)
    if differences:
        states = Counter(difference.state for difference in differences)
        counts = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
        say(f"boards that differ: {counts}")


def _progress(doing: str, files: Mapping[str, bytes]) -> Callable[[Iterable[str]], Iterable[str]]:
    """Shows on a terminal how far a long run is."""
    terminal = Console(stderr=True)
    is_silent = not terminal.is_terminal or len(files) < _BOARDS_WITHOUT_PROGRESS

    def shown(paths: Iterable[str]) -> Iterable[str]:
        return track(paths, doing, total=len(files), console=terminal, transient=True, disable=is_silent)

    return shown


dashboards_group.add_command(dashboards_draw)

COMMANDS = (dashboards_group,)
