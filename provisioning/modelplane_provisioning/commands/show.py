"""What commands print, and how they end on Ctrl-C."""

from __future__ import annotations

import contextlib
import shutil
import signal
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rich.markup import escape
from rich.table import Table

from modelplane_provisioning import credentials
from modelplane_provisioning.commands.options import console
from modelplane_provisioning.plane import Plane
from modelplane_provisioning.processes import answers

if TYPE_CHECKING:
    from modelplane_provisioning.checks import BoardState, Finding

_MOST_PROBLEMS = 20


class PartHealth(NamedTuple):
    """One part of a running plane."""

    name: str
    url: str
    log: str
    healthy: bool


@contextlib.contextmanager
def until_interrupted() -> Iterator[None]:
    """Ctrl-C and SIGTERM end the block quietly; what it opened is closed on the way."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    except KeyboardInterrupt:
        console.print("stopped")
    finally:
        signal.signal(signal.SIGTERM, previous)


def progress(text: str) -> None:
    """One line with the time of day."""
    console.print(f"[dim]{time.strftime('%H:%M:%S')}[/dim] {escape(text)}")


def shown(path: str | Path) -> str:
    """A path as people type it here: relative when it lies below the current folder."""
    absolute = Path(path)
    here = Path.cwd()
    return str(absolute.relative_to(here) if absolute.is_relative_to(here) else absolute)


def part_health(plane: Plane) -> list[PartHealth]:
    """Ask every part whether it can be used."""
    urls = [
        ("prometheus", plane.prometheus_url, "/-/ready"),
        ("alertmanager", plane.alertmanager_url, "/-/ready"),
        ("backend", plane.backend_url, "/readyz"),
    ]
    if plane.grafana_url:
        urls.append(("grafana", plane.grafana_url, "/api/health"))
    return [PartHealth(name, url, plane.logs.get(name, ""), answers(url + path)) for name, url, path in urls]


def status_table(plane: Plane) -> Table:
    """Parts, URLs, health and logs."""
    table = Table("part", "URL", "health", "log")
    for part in part_health(plane):
        health = "[green]ok[/green]" if part.healthy else "[red]no answer[/red]"
        table.add_row(part.name, part.url, health, escape(shown(part.log)))
    return table


def print_findings(findings: Iterable[Finding]) -> bool:
    """Print each finding as it comes; whether all are well."""
    well = True
    for finding in findings:
        mark = "[green]ok[/green]  " if finding.ok else "[red]FAIL[/red]"
        console.print(f"{mark} {escape(finding.check)}: {escape(finding.summary)}")
        if finding.boards:
            console.print(_boards_table(finding.boards))
        for problem in finding.problems[:_MOST_PROBLEMS]:
            console.print(f"       {escape(problem)}")
        if len(finding.problems) > _MOST_PROBLEMS:
            console.print(f"       and {len(finding.problems) - _MOST_PROBLEMS} more")
        well = well and finding.ok
    return well


def _boards_table(boards: Iterable[BoardState]) -> Table:
    table = Table("board", "panels", "with data", "not reported here", "at fault")
    for board in boards:
        counts = (board.with_data, board.not_reported, board.faulty)
        table.add_row(escape(board.title), *map(str, (sum(counts), *counts)))
    return table


def explain_grafana(plane: Plane, compose: Path) -> None:
    """Say where Grafana is, or how to open one on this plane."""
    password = shown(Path(plane.credentials) / credentials.GRAFANA_PASSWORD_FILE)
    if plane.grafana_url:
        console.print(f"Grafana: {plane.grafana_url} (user admin, password in {escape(password)})")
        return
    engine = "" if shutil.which("docker") else " (on a machine with Docker)"
    console.print(
        f"Grafana is not on PATH. Open it on this plane with{engine}:\n"
        f"  docker compose -f {escape(shown(compose))} up\n"
        f"then http://localhost:3000, user admin, password in {escape(password)}"
    )
