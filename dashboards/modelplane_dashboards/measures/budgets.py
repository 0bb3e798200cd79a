"""Error budgets: what was promised, what is left, how fast it is spent and by which events."""

from __future__ import annotations

from modelplane_dashboards.kit.board import Panel, PromQuery
from modelplane_dashboards.kit.links import board_link, field, model_link, tenant_link
from modelplane_dashboards.kit.scope import BoardScope, Labels, highest, largest, legend
from modelplane_dashboards.kit.views import (
    Column,
    Stat,
    Table,
    TimeSeries,
    highlight_steps,
    limit_steps,
    remaining_steps,
)
from modelplane_dashboards.measures.slo import LITTLE_LEFT, NO_SLO
from modelplane_schema.grafana_units import COUNT, NO_UNIT, RATIO, unit_of
from modelplane_schema.metrics import MODEL_NAME, MODEL_VERSION, TENANT_ID
from modelplane_schema.promql import Matcher, aggregate, count_or_zero
from modelplane_schema.recorded_slo import (
    SLO_BUDGET_REMAINING,
    SLO_BURN_FACTOR,
    SLO_BURN_RATE,
    SLO_EXHAUSTION,
    SLO_GOOD,
    SLO_GOOD_IN_PERIOD,
    SLO_INDICATOR,
    SLO_LATENCY_SECONDS,
    SLO_OBJECTIVE,
    SLO_PERIOD,
    SLO_TOTAL,
    SLO_TOTAL_IN_PERIOD,
)

# Windows of burn, and the window whose factor in the registry an alert compares them with.
BURN_WINDOWS = (("5m", "1h"), ("1h", "1h"), ("6h", "6h"), ("3d", "3d"))
EVENTS_WINDOW = "5m"
NOT_SPENT = "No budget is being spent"
_EACH: Labels = (TENANT_ID, MODEL_NAME, MODEL_VERSION, "slo")
_OF_MODEL: Labels = (TENANT_ID, MODEL_VERSION, "slo")
_ROWS, _LINES = 50, 20
# A budget that lasts for a day needs somebody now; the slowest alert looks at three days.
_SOON_SECONDS, _LATER_SECONDS = 86_400.0, 3 * 86_400.0


def spent_now(scope: BoardScope) -> Panel:
    left = scope.select(SLO_BUDGET_REMAINING.name)
    return Panel(
        key="budgets-spent-now",
        title="Budgets spent",
        description="SLOs of a tenant and version that have nothing left of the budget of their period.",
        unit=COUNT,
        queries=(PromQuery(count_or_zero(f"{left} <= 0", left), instant=True),),
        view=Stat(limit_steps(bad=1)),
        empty=NO_SLO,
    )


def burn_against_limit(scope: BoardScope) -> Panel:
    """The worst burn rate as a share of the registry's factor, which differs between SLOs."""
    burn, factor = scope.select(SLO_BURN_RATE.over("1h").name), _factor(scope, "1h")
    share = f"{burn} / on ({MODEL_NAME}, slo) group_left () {factor}"
    return Panel(
        key="burn-against-limit",
        title="Burn against limit",
        description="The worst burn over the last hour as a share of what its SLO alerts at.",
        unit=RATIO,
        queries=(PromQuery(f"max({share})", instant=True),),
        view=Stat(limit_steps(warning=0.5, bad=1.0), trend=False),
        decimals=0,
        empty=NO_SLO,
    )


def first_exhaustion(scope: BoardScope) -> Panel:
    return Panel(
        key="first-exhaustion",
        title="First spent in",
        description="The time until the first budget is spent, at the pace of the last hour.",
        unit=unit_of(SLO_EXHAUSTION),
        queries=(PromQuery(f"min({scope.select(SLO_EXHAUSTION.name)})", instant=True),),
        view=Stat(remaining_steps(warning=_LATER_SECONDS, bad=_SOON_SECONDS)),
        empty=NOT_SPENT,
    )


def least_left(scope: BoardScope) -> Panel:
    """The SLOs of tenants and versions of which least is left."""
    on = f"on ({', '.join(_EACH)})"
    left = aggregate("min", scope.select(SLO_BUDGET_REMAINING.name), _EACH)
    lowest = f"bottomk({_ROWS}, {left})"
    others = (
        aggregate("max", scope.select(SLO_BURN_RATE.over("1h").name), _EACH),
        aggregate("max", scope.select(SLO_BURN_RATE.over("6h").name), _EACH),
        aggregate("min", scope.select(SLO_EXHAUSTION.name), _EACH),
        aggregate("sum", scope.select(SLO_GOOD_IN_PERIOD.name), _EACH),
        aggregate("sum", scope.select(SLO_TOTAL_IN_PERIOD.name), _EACH),
    )
    expressions = (lowest, *(f"{other} and {on} {lowest}" for other in others))
    return Panel(
        key="least-left",
        title="Budgets, least left first",
        description=f"The {_ROWS} SLOs of a tenant and version with least left of their period now; "
        "the SLO leads to its course below.",
        unit=COUNT,
        queries=tuple(PromQuery(expression, instant=True) for expression in expressions),
        view=Table(_budget_columns(scope), sort_by="Left", descending=False),
        empty=NO_SLO,
    )


def _budget_columns(scope: BoardScope) -> tuple[Column, ...]:
    row = {"tenant": field("Tenant"), "model": field("Model"), "version": field("Version")}
    this = board_link("slo", "Only this SLO's tenant and version", *scope.clusters, **row)
    model = model_link(*scope.clusters)
    tenant = tenant_link(*scope.clusters)
    burn = highlight_steps(warning=1.0)
    return (
        Column("slo", "SLO", link=this),
        Column(MODEL_NAME, "Model", link=model),
        Column(MODEL_VERSION, "Version"),
        Column(TENANT_ID, "Tenant", link=tenant),
        Column(
            "Value #A", "Left", RATIO, cell="colour", steps=remaining_steps(warning=LITTLE_LEFT), decimals=0
        ),
        Column("Value #B", "Burn 1h", NO_UNIT, cell="fill", steps=burn, decimals=1),
        Column("Value #C", "Burn 6h", NO_UNIT, cell="fill", steps=burn, decimals=1),
        Column("Value #D", "Spent in", unit_of(SLO_EXHAUSTION)),
        Column("Value #E", "Good in period", COUNT),
        Column("Value #F", "Calls in period", COUNT),
    )


def promises(scope: BoardScope) -> Panel:
    """What the registry says of each SLO of a model."""
    expressions = (
        aggregate("max", scope.select(SLO_INDICATOR.name), ("slo", "indicator")),
        aggregate("max", scope.select(SLO_OBJECTIVE.name), ("slo",)),
        aggregate("max", scope.select(SLO_LATENCY_SECONDS.name), ("slo",)),
        aggregate("max", scope.select(SLO_PERIOD.name), ("slo", "period")),
    )
    return Panel(
        key="promises",
        title="What is promised",
        description="The SLOs of this model in the registry: of how many calls, which are good, how long.",
        unit=NO_UNIT,
        queries=tuple(PromQuery(expression, instant=True) for expression in expressions),
        view=Table(
            (
                Column("slo", "SLO"),
                Column("indicator", "Of"),
                Column("Value #A", "Declared", hidden=True),
                Column("Value #B", "Objective", RATIO, decimals=2),
                Column("Value #C", "Bound", unit_of(SLO_LATENCY_SECONDS)),
                Column("period", "Period"),
                Column("Value #D", "Seconds of period", hidden=True),
            ),
            sort_by="SLO",
            descending=False,
            join="slo",
        ),
        empty="Not reported here: this model declares no SLO",
    )


def left_over_time(scope: BoardScope) -> Panel:
    current, last = (
        aggregate("min", when.select(SLO_BUDGET_REMAINING.name), _OF_MODEL) for when in (scope, scope.ending)
    )
    return Panel(
        key="budget-left",
        title="Budget left by tenant and version",
        description=f"The {_LINES} budgets with least left; below 0 more was spent than there was.",
        unit=RATIO,
        queries=(PromQuery(largest(current, f"-({last})", _OF_MODEL, _LINES), legend(*_OF_MODEL)),),
        view=TimeSeries(minimum=None, maximum=1.0),
        decimals=0,
        empty=NO_SLO,
    )


def burn_over(scope: BoardScope, window: str, alert_window: str) -> Panel:
    """The burn of each SLO at its worst tenant and version, and the factor that alerts compare it with."""
    burn = aggregate("max", scope.select(SLO_BURN_RATE.over(window).name), ("slo",))
    limit = Matcher("long_window", alert_window)
    factor = aggregate("max", scope.select(SLO_BURN_FACTOR.name, limit), ("slo",))
    return Panel(
        key=f"burn-over-{window}",
        title=f"Worst burn {window}",
        description=f"Burn over {window} at the worst tenant and version; dashed where it alerts.",
        unit=NO_UNIT,
        queries=(
            PromQuery(burn, legend("slo")),
            PromQuery(factor, f"{legend('slo')} alerts", style="limit"),
        ),
        view=TimeSeries(),
        decimals=1,
        empty=NO_SLO,
    )


def burn_by_tenant(scope: BoardScope) -> Panel:
    return Panel(
        key="burn-by-tenant",
        title="Burn 1h by tenant and version",
        description=f"Burn over the last hour; the {_LINES} fastest at the end of the range.",
        unit=NO_UNIT,
        queries=(PromQuery(highest(_burn_of_each, scope, _OF_MODEL, _LINES), legend(*_OF_MODEL)),),
        view=TimeSeries(),
        decimals=1,
        empty=NO_SLO,
    )


def _burn_of_each(scope: BoardScope) -> str:
    return aggregate("max", scope.select(SLO_BURN_RATE.over("1h").name), _OF_MODEL)


def events(scope: BoardScope) -> Panel:
    """Good and bad calls of each SLO: a burn on few events means little."""
    good, total = (
        aggregate("sum", scope.select(series.over(EVENTS_WINDOW).name), ("slo",))
        for series in (SLO_GOOD, SLO_TOTAL)
    )
    return Panel(
        key="events-by-slo",
        title="Good and bad events",
        description=f"Calls over {EVENTS_WINDOW} that count for each SLO. On few events a burn means little.",
        unit=COUNT,
        queries=(
            PromQuery(good, f"good {legend('slo')}"),
            PromQuery(f"{total} - {good}", f"bad {legend('slo')}", style="dotted"),
        ),
        view=TimeSeries(),
        decimals=0,
        empty=NO_SLO,
    )


def _factor(scope: BoardScope, long_window: str) -> str:
    """The burn rate above which each SLO alerts."""
    return aggregate(
        "max", scope.select(SLO_BURN_FACTOR.name, Matcher("long_window", long_window)), (MODEL_NAME, "slo")
    )
