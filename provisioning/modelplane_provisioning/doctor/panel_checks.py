"""Queries of panels, whoever answers them: what each comes to, and what explains that it has no data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

from modelplane_provisioning.clients.plane_errors import NoAnswerError, PlaneError
from modelplane_provisioning.doctor.finding import BoardState, Problem
from modelplane_provisioning.doctor.running import gathered, problem_of
from modelplane_provisioning.doctor.selections import Selection
from modelplane_provisioning.doctor.situation import Situation

# Of these the panel is the cause, and of all others what a panel shows follows.
_EMPTY = "empty:"
_OWN_CAUSES = (_EMPTY, "query-refused:")


@dataclass(frozen=True, slots=True)
class PanelCheck:
    """One query of a panel. ``source`` is who answers it; ``rows`` asks, and raises PlaneError.

    ``selected`` says what the query is about; None where that is not known.
    """

    board: str
    panel: str
    ref_id: str
    source: str
    text: str
    may_be_empty: bool
    rows: Callable[[], Sequence[Any]]
    selected: Callable[[], Selection | None]

    @property
    def place(self) -> str:
        """Where the query is, for people."""
        return f"board {self.board!r}, panel {self.panel!r}, query {self.ref_id}"


@dataclass(slots=True)
class _Asking:
    """A source that gave no answer is not asked again, and the situation is looked at once."""

    look: Callable[[], Situation]
    dead: dict[str, Problem] = field(default_factory=dict)
    situation: Situation | None = None

    def problems(self, query: PanelCheck) -> tuple[bool, tuple[Problem, ...]]:
        """Whether a query has data, and what is wrong otherwise; nothing is where it may be empty."""
        if query.source in self.dead:
            return False, (self.dead[query.source],)
        try:
            rows = query.rows()
        except NoAnswerError as error:
            self.dead[query.source] = problem_of(error)
            return False, (self.dead[query.source],)
        except PlaneError as error:
            return False, (_refused(error),)
        if rows or query.may_be_empty:
            return bool(rows), ()
        return False, self._why_empty(query) or (_empty(query),)

    def _why_empty(self, query: PanelCheck) -> tuple[Problem, ...]:
        selected = query.selected()
        if selected is None:
            return ()
        self.situation = self.situation or self.look()
        return self.situation.explain(selected)


def ask_panels(
    queries: Iterable[PanelCheck], look: Callable[[], Situation]
) -> tuple[tuple[Problem, ...], tuple[BoardState, ...]]:
    """The problems of ``queries``, one for each cause, and the state of their boards; PlaneError.

    Queries of a panel follow one another.
    """
    asking = _Asking(look)
    states: dict[str, BoardState] = {}
    problems: list[Problem] = []
    for (board, _), of_panel in groupby(queries, key=lambda query: (query.board, query.panel)):
        counted, faults = _panel(asking, of_panel)
        problems += faults
        state = states.setdefault(board, BoardState(board))
        states[board] = replace(state, **{counted: getattr(state, counted) + 1})
    return gathered(problems), tuple(states.values())


def _panel(asking: _Asking, queries: Iterable[PanelCheck]) -> tuple[str, list[Problem]]:
    """The field of ``BoardState`` in which a panel counts, and what is wrong with it."""
    problems: list[Problem] = []
    has_data = False
    for query in queries:
        answered, of_query = asking.problems(query)
        has_data = has_data or answered
        problems += [
            problem if problem.cause.startswith(_EMPTY) else replace(problem, explains=(query.place,))
            for problem in of_query
        ]
    causes = [problem.cause for problem in problems]
    if any(cause.startswith(_OWN_CAUSES) for cause in causes):
        return "faulty", problems
    if has_data:
        return "with_data", problems
    return ("explained" if causes else "not_reported"), problems


def _refused(error: PlaneError) -> Problem:
    """All queries that are refused for the same reason have one cause."""
    text = str(error)
    # Path and status differ from query to query, and what follows them is the reason.
    return replace(problem_of(error), cause=f"query-refused:{text.partition('with status')[2] or text}")


def _empty(query: PanelCheck) -> Problem:
    advice = f"ask {query.source} for less, one condition after the other, until it returns something"
    text = f"{query.place} returns nothing: {query.text}"
    return Problem("error", f"{_EMPTY}{query.board}:{query.panel}:{query.ref_id}", text, advice)
