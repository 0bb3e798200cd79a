"""Measures of service level objectives: how fast their budgets are spent, and what is left."""

from __future__ import annotations

from modelplane_dashboards.kit.board import Panel, PromQuery
from modelplane_dashboards.kit.measure import Measure
from modelplane_dashboards.kit.scope import BoardScope, legend
from modelplane_dashboards.kit.views import Column, Stat, Table, TimeSeries, limit_steps, remaining_steps
from modelplane_schema.grafana_units import COUNT, NO_UNIT, RATIO
from modelplane_schema.metrics import MODEL_NAME, TENANT_ID
from modelplane_schema.promql import aggregate, count_or_zero
from modelplane_schema.recorded_slo import (
    SLO_BUDGET_REMAINING,
    SLO_BURN_RATE,
    SLO_GOOD,
    SLO_OBJECTIVE,
    SLO_TOTAL,
)

NO_SLO = "Not reported here: no SLO is declared or called"
# A burn of 1 spends exactly the budget of the period; by the usual factors a page comes at 14.4.
_SUSTAINABLE, _PAGE = 1.0, 14.4
LITTLE_LEFT = 0.25


def _worst_burn(window: str) -> Measure:
    return Measure(
        f"burn-{window}",
        f"Worst burn {window}",
        f"How many times as fast as it may the worst SLO spends its error budget, over the last {window}.",
        NO_UNIT,
        lambda scope, by: aggregate("max", scope.select(SLO_BURN_RATE.over(window).name), by),
        warning=_SUSTAINABLE,
        bad=_PAGE,
        decimals=1,
        empty=NO_SLO,
    )


BURN_1H = _worst_burn("1h")


def burning_now(scope: BoardScope) -> Panel:
    burn = scope.select(SLO_BURN_RATE.over("1h").name)
    return Panel(
        key="slos-burning-now",
        title="SLOs burning",
        description="SLOs of a tenant and version that spent their budget too fast in the last hour.",
        unit=COUNT,
        queries=(PromQuery(count_or_zero(f"{burn} > {_SUSTAINABLE:g}", burn), instant=True),),
        view=Stat(limit_steps(bad=1)),
        empty=NO_SLO,
    )


def budgets(scope: BoardScope) -> Panel:
    """The state of each SLO, at its worst tenant and version."""
    by = (MODEL_NAME, "slo")
    burn = scope.select(SLO_BURN_RATE.over("1h").name)
    of_tenants = aggregate("max", burn, (TENANT_ID, *by))
    objective = aggregate("max", scope.select(SLO_OBJECTIVE.name), by)
    queries = (
        scope.of_tenant(objective),
        aggregate("max", burn, by),
        aggregate("min", scope.select(SLO_BUDGET_REMAINING.name), by),
        count_or_zero(f"{of_tenants} > {_SUSTAINABLE:g}", of_tenants, by),
    )
    return Panel(
        key="slo-states",
        title="SLOs at their worst tenant",
        description="Burn over the last hour; what is left of the budget of the period; tenants that burn.",
        unit=RATIO,
        queries=tuple(PromQuery(query, instant=True) for query in queries),
        view=Table(
            (
                Column(MODEL_NAME, "Model"),
                Column("slo", "SLO"),
                Column("Value #A", "Objective", RATIO, decimals=2),
                BURN_1H.column("B", "Burn 1h"),
                Column(
                    "Value #C",
                    "Left",
                    RATIO,
                    cell="colour",
                    steps=remaining_steps(warning=LITTLE_LEFT),
                    decimals=0,
                ),
                Column("Value #D", "Burning", COUNT),
            ),
            sort_by="Burn 1h",
        ),
        empty=NO_SLO,
    )


def bad_calls(scope: BoardScope) -> Panel:
    """The share of bad calls of each SLO over its tenants, beside what its objective allows."""
    good, total = (
        f"sum by (slo) ({scope.select(series.over('5m').name)})" for series in (SLO_GOOD, SLO_TOTAL)
    )
    allowed = f"1 - max by (slo) ({scope.select(SLO_OBJECTIVE.name)})"
    return Panel(
        key="bad-calls-by-slo",
        title="Bad calls by SLO",
        description="Share of calls that failed or were too slow, over 5 minutes; dashed what is allowed.",
        unit=RATIO,
        queries=(
            PromQuery(f"1 - {good} / ({total} > 0)", legend("slo")),
            PromQuery(allowed, f"{legend('slo')} allows", style="limit"),
        ),
        view=TimeSeries(maximum=1.0),
        empty=NO_SLO,
    )
