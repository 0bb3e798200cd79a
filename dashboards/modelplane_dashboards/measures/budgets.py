"""Error budgets: what was promised, what is left, how fast it is spent and by which events."""

from __future__ import annotations

from dataclasses import replace

from modelplane_dashboards.kit.board import Panel, PromQuery
from modelplane_dashboards.kit.links import VALUE, board_link, field
from modelplane_dashboards.kit.scope import BoardScope, Labels, largest, legend
from modelplane_dashboards.kit.views import (
    Column,
    Stat,
    Table,
    TimeSeries,
    highlight_steps,
    limit_steps,
    remaining_steps,
)
from modelplane_dashboards.measures.slo import NO_SLO
from modelplane_schema.grafana_units import COUNT, NO_UNIT, RATIO, unit_of
from modelplane_schema.metrics import MODEL_NAME, MODEL_VERSION, TENANT_ID
from modelplane_schema.promql import Matcher
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
_LITTLE_LEFT = 0.25
# A budget that lasts for a day needs somebody now; the slowest alert looks at three days.
_SOON_SECONDS, _LATER_SECONDS = 86_400.0, 3 * 86_400.0


def spent_now(scope: BoardScope) -> Panel:
    left = scope.select(SLO_BUDGET_REMAINING.name)
    return Panel(
        key="budgets-spent-now",
        title="Budgets spent",
        description="SLOs of a tenant and version that have nothing left of the budget of their period.",
        unit=COUNT,
        queries=(PromQuery(f"count({left} <= 0) or 0 * count({left})", instant=True),),
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
    left = _by("min", _EACH, scope.select(SLO_BUDGET_REMAINING.name))
    lowest = f"bottomk({_ROWS}, {left})"
    others = (
        _by("max", _EACH, scope.select(SLO_BURN_RATE.over("1h").name)),
        _by("max", _EACH, scope.select(SLO_BURN_RATE.over("6h").name)),
        _by("min", _EACH, scope.select(SLO_EXHAUSTION.name)),
        _by("sum", _EACH, scope.select(SLO_GOOD_IN_PERIOD.name)),
        _by("sum", _EACH, scope.select(SLO_TOTAL_IN_PERIOD.name)),
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
    model = board_link("model", "Board of this model", *scope.clusters, model=VALUE)
    tenant = board_link("tenant", "Board of this tenant", *scope.clusters, tenant=VALUE)
    burn = highlight_steps(warning=1.0)
    return (
        Column("slo", "SLO", link=this),
        Column(MODEL_NAME, "Model", link=model),
        Column(MODEL_VERSION, "Version"),
        Column(TENANT_ID, "Tenant", link=tenant),
        Column(
            "Value #A", "Left", RATIO, cell="colour", steps=remaining_steps(warning=_LITTLE_LEFT), decimals=0
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
        _by("max", ("slo", "indicator"), scope.select(SLO_INDICATOR.name)),
        _by("max", ("slo",), scope.select(SLO_OBJECTIVE.name)),
        _by("max", ("slo",), scope.select(SLO_LATENCY_SECONDS.name)),
        _by("max", ("slo", "period"), scope.select(SLO_PERIOD.name)),
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
        _by("min", _OF_MODEL, when.select(SLO_BUDGET_REMAINING.name)) for when in (scope, _at_end(scope))
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
    burn = _by("max", ("slo",), scope.select(SLO_BURN_RATE.over(window).name))
    limit = Matcher("long_window", alert_window)
    factor = _by("max", ("slo",), scope.select(SLO_BURN_FACTOR.name, limit))
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
    current, last = (
        _by("max", _OF_MODEL, when.select(SLO_BURN_RATE.over("1h").name)) for when in (scope, _at_end(scope))
    )
    return Panel(
        key="burn-by-tenant",
        title="Burn 1h by tenant and version",
        description=f"Burn over the last hour; the {_LINES} fastest at the end of the range.",
        unit=NO_UNIT,
        queries=(PromQuery(largest(current, last, _OF_MODEL, _LINES), legend(*_OF_MODEL)),),
        view=TimeSeries(),
        decimals=1,
        empty=NO_SLO,
    )


def events(scope: BoardScope) -> Panel:
    """Good and bad calls of each SLO: a burn on few events means little."""
    good, total = (
        _by("sum", ("slo",), scope.select(series.over(EVENTS_WINDOW).name))
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
    return _by(
        "max", (MODEL_NAME, "slo"), scope.select(SLO_BURN_FACTOR.name, Matcher("long_window", long_window))
    )


def _at_end(scope: BoardScope) -> BoardScope:
    return replace(scope, at_end=True)


def _by(operation: str, by: Labels, series: str) -> str:
    return f"{operation} by ({', '.join(by)}) ({series})"
