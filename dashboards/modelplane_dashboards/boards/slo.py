"""SLO: which promises are in danger, since when, and for how long is there budget?"""

from __future__ import annotations

from modelplane_dashboards.kit.board import Board, Row, Section
from modelplane_dashboards.kit.context import BoardContext
from modelplane_dashboards.kit.scope import BoardScope, several, single
from modelplane_dashboards.kit.variables import variables
from modelplane_dashboards.measures import alerts, budgets
from modelplane_dashboards.measures.slo import burning_now
from modelplane_schema.uids import template_uid


def slo(context: BoardContext) -> Board:
    """The budgets of all models of the selected tenants, and the course of those of one model."""
    everything = context.scope(several("tenant"))
    scope = context.scope(several("tenant"), single("model"), several("version"))
    return Board(
        kind="slo",
        uid=template_uid("slo"),
        title="SLO",
        question="Which promises are in danger, how fast, and when is the budget spent?",
        advice="Take the first line of the table: its SLO leads to its course below, its model to the cause.",
        variables=variables(scope),
        annotations=(alerts.version_marks(scope),),
        sections=(
            Section("all", "All models", _all_models(everything)),
            Section("model", "The selected model", _selected(scope)),
        ),
        examples=(("model", context.example_model),),
        start="now-24h",
    )


def _all_models(scope: BoardScope) -> tuple[Row, ...]:
    now = (
        burning_now(scope),
        budgets.burn_against_limit(scope),
        budgets.spent_now(scope),
        budgets.first_exhaustion(scope),
    )
    return Row(now, height=4), Row((budgets.least_left(scope),), height=10)


def _selected(scope: BoardScope) -> tuple[Row, ...]:
    burns = tuple(budgets.burn_over(scope, *windows) for windows in budgets.BURN_WINDOWS)
    return (
        Row((budgets.promises(scope), budgets.left_over_time(scope))),
        Row(burns),
        Row((budgets.burn_by_tenant(scope), budgets.events(scope))),
    )
