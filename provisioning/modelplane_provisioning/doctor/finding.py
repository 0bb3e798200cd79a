"""What a check comes to: frozen data, which one command prints and another reads as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")  # the worst first
State = Literal["ok", "note", "warning", "error", "not checked"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, however much follows from it.

    ``cause`` names it among all checks, as ``kind:subject``: what has the same cause is told once. ``text``
    says what is wrong, ``advice`` what to do next, and ``explains`` the panels that have no data for it. A
    ``note`` is no fault: nothing need be done about it.
    """

    severity: Severity
    cause: str
    text: str
    advice: str = ""
    explains: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """What is wrong and what to do, in one line."""
        return f"{self.text}; {self.advice}" if self.advice else self.text


@dataclass(frozen=True, slots=True)
class BoardState:
    """How many panels of a board have data, say why they have none, lack it for a cause, are at fault."""

    title: str
    with_data: int = 0
    not_reported: int = 0
    explained: int = 0
    faulty: int = 0


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of a check: what is wrong, and, of what an earlier check has told, what it ``repeated``.

    ``not_checked`` says why the check could not be made; ``boards`` is what panels show.
    """

    check: str
    summary: str
    problems: tuple[Problem, ...] = ()
    boards: tuple[BoardState, ...] = ()
    repeated: tuple[Problem, ...] = ()
    not_checked: str = ""

    @property
    def state(self) -> State:
        """``ok``, or the worst of what is wrong, told here or before."""
        if self.not_checked:
            return "not checked"
        return worst((*self.problems, *self.repeated)) or "ok"

    @property
    def ok(self) -> bool:
        """Whether nothing need be done."""
        return self.state in ("ok", "note")


def worst(problems: Iterable[Problem]) -> Severity | None:
    """The worst severity; None without a problem."""
    present = {problem.severity for problem in problems}
    return next((severity for severity in SEVERITIES if severity in present), None)


def errors(kind: str, texts: Iterable[str]) -> tuple[Problem, ...]:
    """An error for each text, which says by itself what to do."""
    return tuple(Problem("error", f"{kind}:{text}", text) for text in texts)
