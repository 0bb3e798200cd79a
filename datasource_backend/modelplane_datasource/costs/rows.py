"""The rows of a ledger that a request asks for."""

from __future__ import annotations

from dataclasses import replace

from modelplane_datasource.costs.ledger.lines import Ledger, Line
from modelplane_datasource.costs.ledger.report import CostRow, GroupBy, cost_rows, group_of
from modelplane_datasource.costs.parameters import (
    GROUP_BY,
)
from modelplane_datasource.errors import ApiError
from modelplane_datasource.series.selection import Scope


def groups_of(scope: Scope) -> tuple[GroupBy, ...]:
    """The labels by which costs are told apart, each once."""
    return tuple(dict.fromkeys(scope.options[GROUP_BY.name]))


def chosen_rows(ledger: Ledger, scope: Scope, step: int | None, most: int) -> tuple[CostRow, ...]:
    """Rows of the models, tenants and versions asked for, grouped as asked.

    Without any of them also what belongs to nobody: idle, unknown and over, capacity. ApiError 422 when there
    may be more than ``most`` rows.
    """
    by = groups_of(scope)
    lines = tuple(line for line in ledger.lines if is_asked(line, scope))
    groups = {(group_of(line, by), line.kind) for line in lines}
    check_rows(len(groups) * len(ledger.window.first_of_each(step)), most)
    return cost_rows(replace(ledger, lines=lines), by, step)


def check_rows(rows: int, most: int) -> None:
    """ApiError 422 when an answer may have more than ``most`` rows."""
    if rows > most:
        raise ApiError(
            422,
            "too_many_rows",
            f"The answer may have {rows} rows, and at most {most} are allowed: "
            "ask for a larger step, a shorter range, fewer groups or one tenant.",
            {"rows": rows, "max_rows": most},
        )


def is_asked(line: Line, scope: Scope) -> bool:
    """Whether a line is of the models, tenants and versions asked for; without any of them each is."""
    who = line.identity
    if who is None:
        return not (scope.models or scope.tenants or scope.versions)
    asked = (
        (who.model_name, scope.models),
        (who.tenant_id, scope.tenants),
        (who.model_version, scope.versions),
    )
    return all(value in values for value, values in asked if values)
