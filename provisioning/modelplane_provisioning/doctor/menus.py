"""The menus of boards: what each offers, and what a board shows when it is opened."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import modelplane_dashboards
from modelplane_dashboards import Board, LabelValues, Menu, Variable
from modelplane_provisioning.clients.plane import Connection, prometheus_query
from modelplane_provisioning.doctor.finding import Finding, Problem
from modelplane_provisioning.doctor.parts import Parts
from modelplane_provisioning.doctor.running import gathered
from modelplane_provisioning.doctor.selections import selection
from modelplane_provisioning.doctor.situation import RANGE_SECONDS, Situation, look

MENUS_OFFER_VALUES = "every menu of a board offers values"
# The plugin's own menus end there, too: nobody finds a value in a longer one.
MOST_VALUES = 10_000
_MAY_LACK_THE_LABEL = ".*"  # what All means for a label that series need not have
Values = Callable[[Menu, str], list[str]]


def menu_values(prometheus: Connection) -> Values:
    """What a menu offers for the PromQL that it has with all variables replaced; each is asked once."""
    known: dict[tuple[str, str], list[str]] = {}

    def values(menu: Menu, text: str) -> list[str]:
        key = (menu.label, text)
        if key not in known:
            known[key] = _asked(prometheus, menu, text)
        return known[key]

    return values


def _asked(prometheus: Connection, menu: Menu, text: str) -> list[str]:
    if isinstance(menu, LabelValues):
        query = {"match[]": text, "start": int(time.time()) - RANGE_SECONDS}
        labels: list[str] = prometheus.get(f"/api/v1/label/{menu.label}/values", query)["data"]
        return [value for value in labels if value]
    rows = prometheus_query(prometheus, text)
    return [row["metric"][menu.label] for row in rows if row["metric"].get(menu.label)]


def opened(board: Board, values: Values) -> Board:
    """The board as it is opened: a menu without All that lacks the example gives its first value."""
    examples = dict(board.examples)
    for variable in board.variables:
        if variable.all_value:
            continue
        offered = values(variable.menu, _text(replace(board, examples=tuple(examples.items())), variable))
        if offered and examples.get(variable.name) not in offered:
            examples[variable.name] = offered[0]
    return replace(board, examples=tuple(examples.items()))


def offered_values(board: Board, values: Values) -> dict[str, list[str]]:
    """What each menu of an opened board offers."""
    return {variable.name: values(variable.menu, _text(board, variable)) for variable in board.variables}


def _text(board: Board, variable: Variable) -> str:
    return modelplane_dashboards.expand(variable.menu.expr, modelplane_dashboards.default_values(board))


def check_menus(parts: Parts) -> Finding:
    """Each menu of each board offers values, and not too many."""
    values = menu_values(parts.prometheus)
    boards = [opened(board, values) for board in modelplane_dashboards.build(parts.registry, parts.api)]
    menus = [(board, variable) for board in boards for variable in board.variables]
    situation: Situation | None = None
    problems: list[Problem] = []
    for board, variable in menus:
        text = _text(board, variable)
        offered = values(variable.menu, text)
        if len(offered) > MOST_VALUES:
            problems.append(_too_many(board, variable, len(offered)))
        if not offered and variable.all_value != _MAY_LACK_THE_LABEL:
            situation = situation or look(parts.prometheus, parts.registry)
            problems += _empty(parts, situation, board, variable, text)
    return Finding(MENUS_OFFER_VALUES, f"{len(menus)} menus", gathered(problems))


def _too_many(board: Board, variable: Variable, count: int) -> Problem:
    text = f"{_place(board, variable)} has {count} values, more than {MOST_VALUES}"
    advice = "narrow it by the menus before it, or link to the board with the value in the address"
    return Problem("warning", f"menu-long:{board.uid}:{variable.name}", text, advice)


def _empty(
    parts: Parts, situation: Situation, board: Board, variable: Variable, text: str
) -> tuple[Problem, ...]:
    models = [model.name for model in parts.registry.models]
    tenants = [tenant.id for tenant in parts.registry.tenants]
    place = _place(board, variable)
    causes = situation.explain(selection(text, models, tenants))
    if causes:
        return tuple(replace(cause, explains=(place,)) for cause in causes)
    cause = f"menu-empty:{board.uid}:{variable.name}"
    if variable.all_value:
        advice = "ask Prometheus without its matchers: is the label there?"
        return (Problem("warning", cause, f"{place} is empty: {text}", advice),)
    advice = "that is right where no model reports what this board is about"
    return (Problem("note", cause, f"{place} is empty, so the board shows nothing", advice),)


def _place(board: Board, variable: Variable) -> str:
    return f"menu {variable.label!r} of board {board.title!r}"
