"""What is wrong on boards, judged from what the browser saw; pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from modelplane_provisioning.pictures.selectors import NO_DATA
from modelplane_provisioning.pictures.sights import BoardSight, PanelSight

Severity = Literal["note", "warning", "error"]
SEVERITIES: Final[tuple[Severity, ...]] = ("note", "warning", "error")
_NO_TEXT = "the text behind its red corner could not be read"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that somebody should know. ``panel`` is its title, or nothing for the whole board."""

    severity: Severity
    kind: str
    panel: str
    text: str


@dataclass(frozen=True, slots=True)
class SeenFinding:
    """A finding, with the pictures (file names) in which it was seen."""

    uid: str
    finding: Finding
    pictures: tuple[str, ...]


def findings(sights: Iterable[BoardSight]) -> list[SeenFinding]:
    """What was seen, the worst first within each board, each thing once."""
    pictures: dict[tuple[str, Finding], list[str]] = {}
    for sight in sights:
        for finding in dict.fromkeys(_of_board(sight)):
            pictures.setdefault((sight.board.uid, finding), []).append(sight.shot.file)
    uids = list(dict.fromkeys(uid for uid, _ in pictures))
    return sorted(
        (SeenFinding(uid, finding, tuple(files)) for (uid, finding), files in pictures.items()),
        key=lambda seen: (uids.index(seen.uid), -SEVERITIES.index(seen.finding.severity)),
    )


def worst(seen: Iterable[SeenFinding]) -> Severity | None:
    """The highest severity; None when there is no finding."""
    present = {each.finding.severity for each in seen}
    return max(present, key=SEVERITIES.index, default=None)


def _of_board(sight: BoardSight) -> Iterator[Finding]:
    if sight.failure:
        yield Finding("error", "not seen", "", sight.failure)
    elif not sight.is_complete:
        yield from _unfinished(sight)
    if sight.page:
        for panel in sight.page.panels:
            yield from _of_panel(panel, sight.board.reasons)
        if sight.page.theme not in ("", sight.shot.theme):
            yield Finding(
                "warning", "theme", "", f"Grafana drew it {sight.page.theme}, not {sight.shot.theme}"
            )
    for line in sight.failed_requests:
        yield Finding("warning", "failed request", "", line)
    for line in sight.console_errors:
        yield Finding("warning", "console error", "", line)


def _unfinished(sight: BoardSight) -> Iterator[Finding]:
    panels = sight.page.panels if sight.page else ()
    absent = sight.board.panels - len(panels)
    if not panels:
        yield Finding("error", "unfinished", "", "no panel appeared")
    elif absent > 0:
        yield Finding("error", "unfinished", "", f"{absent} of {sight.board.panels} panels did not appear")
    for panel in panels:
        if not panel.has_answered:
            text = "it is still loading" if panel.is_loading else "it shows nothing"
            yield Finding("error", "unfinished", panel.title, text)
    if panels and absent <= 0 and all(panel.has_answered for panel in panels):
        yield Finding(
            "error", "unfinished", "", "all panels have answered, but the page did not come to rest"
        )


def _of_panel(panel: PanelSight, reasons: frozenset[str]) -> Iterator[Finding]:
    if panel.crash:
        yield Finding("error", "panel error", panel.title, panel.crash)
    if panel.status == "error":
        yield Finding("error", "panel error", panel.title, panel.status_text or _NO_TEXT)
    elif panel.status:
        yield Finding("note", "notice", panel.title, panel.status_text)
    if panel.is_cut:
        yield Finding("warning", "cut title", panel.title, "the title is wider than its panel")
    yield from _of_data(panel, reasons)


def _of_data(panel: PanelSight, reasons: frozenset[str]) -> Iterator[Finding]:
    """An error explains why there is no data, so that is not said again."""
    if panel.crash or panel.status == "error":
        return
    shown = panel.texts | {panel.message}
    explained = sorted(shown & reasons)
    if NO_DATA in shown:
        yield Finding("warning", "no data", panel.title, NO_DATA)
    elif explained:
        yield Finding("note", "not reported", panel.title, explained[0])
    elif panel.message:
        yield Finding("warning", "message", panel.title, panel.message)
