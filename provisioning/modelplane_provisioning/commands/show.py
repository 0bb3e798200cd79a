"""What commands print, and how they end on Ctrl-C."""

from __future__ import annotations

import contextlib
import shutil
import signal
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rich.markup import escape
from rich.table import Table

from modelplane_provisioning.bundle import credentials
from modelplane_provisioning.clients.plane import Connection, Plane
from modelplane_provisioning.clients.plane_errors import PlaneError
from modelplane_provisioning.commands.options import console

if TYPE_CHECKING:
    from modelplane_provisioning.doctor.finding import BoardState, Finding, Problem, Severity

# Asked in turn until one answers: the API of Mimir is at another address than its readiness.
_READY_PATHS: Mapping[str, tuple[str, ...]] = {
    "prometheus": ("/-/ready", "/api/v1/query?query=vector(1)"),
    "alertmanager": ("/-/ready",),
    "backend": ("/readyz",),
    "grafana": ("/api/health",),
}
_MOST_PROBLEMS = 20
_MOST_PLACES = 3
_MOST_LETTERS = 100
_COLOURS = {"error": "red", "warning": "yellow", "note": "dim"}
_MARKS = {
    "ok": "[green]ok[/green]  ",
    "note": "[green]ok[/green]  ",
    "warning": "[yellow]warn[/yellow]",
    "error": "[red]FAIL[/red]",
    "not checked": "[dim]-[/dim]   ",
}


class PartHealth(NamedTuple):
    """One part of a running plane."""

    name: str
    url: str
    log: str
    problem: str

    @property
    def healthy(self) -> bool:
        """Whether it can be used; ``problem`` says why not."""
        return not self.problem


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
    """Ask every part of a local plane whether it can be used."""
    urls = {
        "prometheus": plane.prometheus_url,
        "alertmanager": plane.alertmanager_url,
        "backend": plane.backend_url,
        "grafana": plane.grafana_url,
    }
    return health_of({name: Connection(name, url) for name, url in urls.items() if url}, plane.logs)


def health_of(connections: Mapping[str, Connection], logs: Mapping[str, str]) -> list[PartHealth]:
    """Ask each part whether it can be used; ``logs`` has the log file of those that have one."""
    return [
        PartHealth(name, connection.url, logs.get(name, ""), _problem(name, connection))
        for name, connection in connections.items()
    ]


def _problem(name: str, connection: Connection) -> str:
    """Why none of a part's routes answers; empty when one does."""
    problem = ""
    for path in _READY_PATHS[name]:
        try:
            connection.check(path)
        except PlaneError as error:
            problem = str(error)
        else:
            return ""
    return problem


def status_table(parts: Iterable[PartHealth]) -> Table:
    """Parts, URLs, health and logs."""
    table = Table("part", "URL", "health", "log")
    for part in parts:
        health = "[green]ok[/green]" if part.healthy else f"[red]{escape(part.problem)}[/red]"
        table.add_row(part.name, part.url, health, escape(shown(part.log)) if part.log else "")
    return table


def print_findings(findings: Iterable[Finding]) -> Severity | None:
    """Print each finding as it comes; the worst severity, None when all is well."""
    from modelplane_provisioning.doctor.finding import worst

    problems: list[Problem] = []
    for finding in findings:
        console.print(_headline(finding))
        if finding.boards:
            console.print(_boards_table(finding.boards))
        _print_problems(finding)
        problems += finding.problems
    return worst(problems)


def _headline(finding: Finding) -> str:
    text = f"{finding.check}: {finding.not_checked or finding.summary}"
    return f"{_MARKS[finding.state]} {escape(text)}"


def _print_problems(finding: Finding) -> None:
    for problem in finding.problems[:_MOST_PROBLEMS]:
        colour = _COLOURS[problem.severity]
        console.print(f"       [{colour}]{problem.severity}[/{colour}]: {escape(problem.sentence)}")
        if problem.explains:
            console.print(f"         so {escape(_listed(problem.explains))}")
    if len(finding.problems) > _MOST_PROBLEMS:
        console.print(f"       and {len(finding.problems) - _MOST_PROBLEMS} more; --json has all")
    for problem in finding.repeated[:_MOST_PROBLEMS]:
        follows = f", so {_listed(problem.explains)}" if problem.explains else ""
        console.print(f"       [dim]as above: {escape(_shortened(problem.text) + follows)}[/dim]")
    if len(finding.repeated) > _MOST_PROBLEMS:
        console.print(f"       [dim]and {len(finding.repeated) - _MOST_PROBLEMS} more as above[/dim]")


def _shortened(text: str) -> str:
    """What was told in full before."""
    return text if len(text) <= _MOST_LETTERS else f"{text[:_MOST_LETTERS]} ..."


def _listed(places: Sequence[str]) -> str:
    if len(places) <= _MOST_PLACES:
        return f"no data in {'; '.join(places)}"
    return f"no data in {len(places)} places, such as {places[0]}"


def _boards_table(boards: Iterable[BoardState]) -> Table:
    table = Table("board", "panels", "with data", "not reported here", "explained", "at fault")
    for board in boards:
        counts = (board.with_data, board.not_reported, board.explained, board.faulty)
        table.add_row(escape(board.title), *map(str, (sum(counts), *counts)))
    return table


def explain_grafana(plane: Plane, compose: Path) -> None:
    """Say where Grafana is, or how to open one on this plane."""
    password = shown(Path(plane.credentials) / credentials.GRAFANA_PASSWORD.path)
    if plane.grafana_url:
        console.print(f"Grafana: {plane.grafana_url} (user admin, password in {escape(password)})")
        return
    engine = "" if shutil.which("docker") else " (on a machine with Docker)"
    console.print(
        f"Grafana is not on PATH. Open it on this plane with{engine}:\n"
        f"  docker compose -f {escape(shown(compose))} up\n"
        f"then http://localhost:3000, user admin, password in {escape(password)}"
    )
