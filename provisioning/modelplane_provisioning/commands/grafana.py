"""``modelplane grafana``: what concerns a Grafana that runs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.markup import escape
from rich.table import Table

from modelplane_provisioning.clients.grafana import GrafanaClient, Login
from modelplane_provisioning.commands.grafana_apply import grafana_apply
from modelplane_provisioning.commands.grafana_options import grafana_option
from modelplane_provisioning.commands.grafana_prove import grafana_prove
from modelplane_provisioning.commands.options import console, out_option
from modelplane_provisioning.commands.text import print_json
from modelplane_provisioning.pictures.board_search import boards_of
from modelplane_provisioning.pictures.shots import THEMES, WIDTHS, Choice, Theme
from modelplane_provisioning.secret_files import read_token

if TYPE_CHECKING:
    from modelplane_provisioning.pictures.findings import SeenFinding, Severity
    from modelplane_provisioning.pictures.sights import BoardSight

# Below them are click's own: 1 when there is nothing to look at, 2 for wrong options.
EXIT_STATUS: dict[Severity | None, int] = {None: 0, "note": 0, "warning": 3, "error": 4}
_COLOURS = {"note": "dim", "warning": "yellow", "error": "red"}


def _variables(
    _context: click.Context, _option: click.Parameter, texts: tuple[str, ...]
) -> tuple[tuple[str, str], ...]:
    pairs = [text.partition("=") for text in texts]
    if not all(name and equals for name, equals, _ in pairs):
        raise click.BadParameter("must be NAME=VALUE, such as tenant=vision-lab")
    return tuple((name, value) for name, _, value in pairs)


@click.group("grafana")
def grafana_group() -> None:
    """Look after a Grafana that runs.

    Example: modelplane grafana pictures --grafana http://localhost:3000 --token-file grafana-token
    """


@grafana_group.command("pictures")
@grafana_option
@click.option(
    "--token-file",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="File with the token of a service account of Grafana; the role Viewer is enough.",
)
@out_option("docs/pictures", "Folder for the pictures.")
@click.option("--board", "uids", multiple=True, metavar="UID", help="Only this board; repeatable.")
@click.option(
    "--var", "variables", multiple=True, metavar="NAME=VALUE", callback=_variables,
    help="Value of a variable of the boards; repeatable.",
)  # fmt: skip
@click.option("--from", "start", default="", metavar="TIME", help="Start of the time, such as now-6h.")
@click.option("--to", "end", default="", metavar="TIME", help="End of the time, such as now.")
@click.option(
    "--width", "widths", multiple=True, type=click.IntRange(320, 7680), default=WIDTHS, show_default=True,
    help="Pixels of the window; repeatable.",
)  # fmt: skip
@click.option(
    "--theme", "themes", multiple=True, type=click.Choice(THEMES), default=THEMES, show_default=True,
    help="Repeatable.",
)  # fmt: skip
@click.option(
    "--timeout", "seconds", type=click.FloatRange(min=1), default=60, show_default=True,
    help="Seconds after which a board is taken as it is.",
)  # fmt: skip
@click.option(
    "--jobs", type=click.IntRange(1, 16), default=2, show_default=True, help="Pictures at the same time."
)
@click.option(
    "--chromium", envvar="MODELPLANE_CHROMIUM", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    show_envvar=True, help="The browser; by default a Chromium on PATH, else that of playwright.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def grafana_pictures(
    url: str, token_file: Path, out: Path, uids: tuple[str, ...], widths: tuple[int, ...],
    themes: tuple[Theme, ...], jobs: int, seconds: float, chromium: Path | None, as_json: bool, **choice: Any,
) -> None:  # fmt: skip
    """Take pictures of the boards of a running Grafana, and say what is wrong on them.

    The exit status is 0 when nothing is, 3 for warnings (no data, cut titles, errors of the console, failed
    requests), 4 for errors (panels in error, boards that did not finish), 1 when no picture could be tried.

    Example: modelplane grafana pictures --grafana http://localhost:3000 --token-file grafana-token
    --board mp-tenant --var tenant=vision-lab --out docs/pictures
    """
    from modelplane_provisioning.pictures.album import Order, take_pictures
    from modelplane_provisioning.pictures.findings import findings, worst

    token = read_token(token_file)
    boards = boards_of(GrafanaClient(url, Login.of_token(token), number=""), uids)
    order = Order(tuple(dict.fromkeys(widths)), tuple(dict.fromkeys(themes)), Choice(**choice), jobs, seconds)
    out.mkdir(parents=True, exist_ok=True)
    tell = (lambda _: None) if as_json else _tell
    sights = asyncio.run(take_pictures(url, token, boards, order, out, chromium, tell))
    seen = findings(sights)
    if as_json:
        print_json(_document(url, sights, seen))
    else:
        _print(sights, seen, out)
    raise SystemExit(EXIT_STATUS[worst(seen)])


def _tell(sight: BoardSight) -> None:
    state = (
        "not taken" if not sight.page else "taken" if sight.is_complete else "taken before it was complete"
    )
    console.print(f"[dim]{sight.shot.file}: {state}[/dim]")


def _print(sights: Sequence[BoardSight], seen: Sequence[SeenFinding], out: Path) -> None:
    table = Table("board", "severity", "what", "panel", "text", "pictures")
    for each in seen:
        colour = _COLOURS[each.finding.severity]
        table.add_row(
            each.uid,
            f"[{colour}]{each.finding.severity}[/{colour}]",
            each.finding.kind,
            escape(each.finding.panel),
            escape(each.finding.text),
            ", ".join(name.removeprefix(f"{each.uid}-").removesuffix(".png") for name in each.pictures),
        )
    if seen:
        console.print(table)
    taken = sum(sight.page is not None for sight in sights)
    boards = len({sight.board.uid for sight in sights})
    console.print(
        f"{out}: {taken} of {len(sights)} pictures of {boards} boards; {len(seen)} findings", markup=False
    )


def _document(url: str, sights: Sequence[BoardSight], seen: Sequence[SeenFinding]) -> dict[str, Any]:
    from modelplane_provisioning.pictures.findings import worst

    boards = {sight.board.uid: sight.board for sight in sights}
    return {
        "grafana": url,
        "severity": worst(seen),
        "boards": [
            {
                "uid": board.uid,
                "title": board.title,
                "pictures": [sight.shot.file for sight in sights if sight.board is board and sight.page],
                "findings": [
                    {
                        "severity": each.finding.severity,
                        "kind": each.finding.kind,
                        "panel": each.finding.panel,
                        "text": each.finding.text,
                        "pictures": list(each.pictures),
                    }
                    for each in seen
                    if each.uid == board.uid
                ],
            }
            for board in boards.values()
        ],
    }


grafana_group.add_command(grafana_apply)
grafana_group.add_command(grafana_prove)

COMMANDS = (grafana_group,)
