"""Who spends what: by tenant and model, in each currency by itself, against budgets and prices."""

from __future__ import annotations

from modelplane_dashboards.kit.board import Annotation, ApiQuery, BoardVariable, Field, Panel, PromQuery
from modelplane_dashboards.kit.colours import BAD, COST_COLOURS, GOOD, WARNING
from modelplane_dashboards.kit.links import model_link, tenant_link
from modelplane_dashboards.kit.scope import BoardScope, Labels, highest, legend
from modelplane_dashboards.kit.views import (
    Column,
    Stat,
    Table,
    TimeSeries,
    ValueText,
    limit_steps,
)
from modelplane_dashboards.measures.cost import NO_DEVICE, NO_PRICE, per_hour
from modelplane_schema.grafana_units import NO_UNIT, RATIO
from modelplane_schema.metrics import MODEL_NAME, MODEL_VERSION, TENANT_ID
from modelplane_schema.promql import Matcher, aggregate
from modelplane_schema.recorded import (
    BUDGET,
    COST,
    DEVICE_COST,
    DEVICE_COST_ALLOCATED,
    DEVICE_PRICE,
    TOKEN_COST,
    TOKEN_COST_ALLOCATED,
    TOKEN_PRICE,
    UNPRICED_DEVICE_SECONDS,
)

NO_BUDGET = "Not reported here: no tenant has a budget"
NO_TOKENS = "Not reported here: no model has tokens with a price"
_HOUR, _MONTH = 3600, 30 * 86_400
_ROWS, _LINES = 50, 20
_BY_TENANT: Labels = (TENANT_ID, "currency")
_BY_MODEL: Labels = (MODEL_NAME, "currency")
_ANY = 1e-9  # of what should not be there at all
# Half of a device's time unused asks whether fewer will do; most of it says so.
_IDLE_WARNING, _IDLE_BAD = 0.5, 0.8
_PACE_STEPS = limit_steps(warning=0.8, bad=1.0)
_VERDICTS = (
    ValueText("over", "over", BAD),
    ValueText("uncertain", "uncertain", WARNING),
    ValueText("within", "within", GOOD),
    ValueText("no_budget", "no budget"),
)


def idle_now(scope: BoardScope) -> Panel:
    """``scope`` has no tenant: idle time is nobody's."""
    allocated, used = (
        f"sum by (currency) ({scope.select(s.name)})" for s in (DEVICE_COST_ALLOCATED, DEVICE_COST)
    )
    return Panel(
        key="idle-now",
        title="Idle of devices",
        description="The share of what devices cost in the last hour that no call used, over all tenants.",
        unit=RATIO,
        queries=(PromQuery(f"1 - {used} / ({allocated} > 0)", legend("currency"), instant=True),),
        view=Stat(limit_steps(warning=_IDLE_WARNING, bad=_IDLE_BAD), shows_name=True),
        decimals=0,
        empty=NO_DEVICE,
    )


def unpriced_now(scope: BoardScope) -> Panel:
    unpriced, priced = (
        f"sum({scope.select(UNPRICED_DEVICE_SECONDS.name)})",
        f"0 * count({scope.select(COST.name)})",
    )
    return Panel(
        key="unpriced-now",
        title="Unpriced devices",
        description="Device seconds per second of the last hour without a price: costs lack them.",
        unit=NO_UNIT,
        queries=(PromQuery(f"{unpriced} or {priced}", instant=True),),
        view=Stat(limit_steps(warning=_ANY)),
        decimals=2,
        empty=NO_DEVICE,
    )


def pace_now(scope: BoardScope) -> Panel:
    return Panel(
        key="pace-now",
        title="Worst budget pace",
        description="A month at the cost of the last hour, as a share of the budget of the worst tenant.",
        unit=RATIO,
        queries=(PromQuery(f"max({_pace(scope)})", instant=True),),
        view=Stat(_PACE_STEPS),
        decimals=0,
        empty=NO_BUDGET,
    )


def by_tenant(scope: BoardScope, of_tenants: BoardScope) -> Panel:
    """The tenants that cost most; a budget is of all models, so its pace is that of ``of_tenants``."""
    cost, devices = (per_hour(scope.select(s.name), _BY_TENANT) for s in (COST, DEVICE_COST))
    on = f"on ({', '.join(_BY_TENANT)})"
    budget = aggregate("max", scope.select(BUDGET.name), _BY_TENANT)
    dearest = f"topk by (currency) ({_ROWS}, {cost})"
    others = (devices, f"{cost} - ({devices} or 0 * {cost})", budget, _pace(of_tenants))
    link = tenant_link(*scope.clusters)
    return Panel(
        key="cost-of-tenants",
        title="Tenants, dearest first",
        description=f"Money per hour of the last hour, without idle time; {_ROWS} tenants of each currency.",
        unit=NO_UNIT,
        queries=tuple(
            PromQuery(text, instant=True)
            for text in (dearest, *(f"({other}) and {on} {dearest}" for other in others))
        ),
        view=Table(
            (
                Column(TENANT_ID, "Tenant", link=link),
                Column("currency", "Currency"),
                Column("Value #A", "Per hour", decimals=2),
                Column("Value #B", "Devices per hour", decimals=2),
                Column("Value #C", "Tokens per hour", decimals=2),
                Column("Value #D", "Budget of a month", decimals=2),
                Column("Value #E", "Pace of budget", RATIO, cell="colour", steps=_PACE_STEPS, decimals=0),
            ),
            sort_by="Per hour",
        ),
        empty=NO_PRICE,
    )


def by_model(scope: BoardScope) -> Panel:
    """What calls of a model used, and what its share of idle time adds; ``scope`` has no tenant."""
    allocated, used = (
        per_hour(scope.select(s.name), _BY_MODEL) for s in (DEVICE_COST_ALLOCATED, DEVICE_COST)
    )
    dearest = f"topk by (currency) ({_ROWS}, {allocated})"
    on = f"on ({', '.join(_BY_MODEL)})"
    link = model_link(*scope.clusters)
    return Panel(
        key="cost-of-models",
        title="Devices by model, dearest first",
        description="Money per hour over all tenants: what calls used, and the idle time that use shares.",
        unit=NO_UNIT,
        queries=(
            PromQuery(dearest, instant=True),
            PromQuery(f"{used} and {on} {dearest}", instant=True),
            PromQuery(f"({allocated} - {used}) and {on} {dearest}", instant=True),
        ),
        view=Table(
            (
                Column(MODEL_NAME, "Model", link=link),
                Column("currency", "Currency"),
                Column("Value #A", "Per hour", decimals=2),
                Column("Value #B", "Used per hour", decimals=2),
                Column("Value #C", "Idle per hour", decimals=2),
            ),
            sort_by="Per hour",
        ),
        empty=NO_DEVICE,
    )


def model_cost_over_time(scope: BoardScope) -> Panel:
    """``scope`` has no tenant."""
    return Panel(
        key="model-cost-over-time",
        title="Devices per hour by model, idle included",
        description=f"Money per hour, over 1h and all tenants; the {_LINES} dearest models.",
        unit=NO_UNIT,
        queries=(
            PromQuery(
                highest(
                    lambda when: per_hour(when.select(DEVICE_COST_ALLOCATED.name), _BY_MODEL),
                    scope,
                    _BY_MODEL,
                    _LINES,
                ),
                legend(*_BY_MODEL),
            ),
        ),
        view=TimeSeries(stacked=True),
        decimals=2,
        empty=NO_DEVICE,
    )


def ledger() -> Panel:
    """The rows of the ledger that cost most, and those without a price."""
    texts = ("tenant", "model", "kind", "currency", "unit", "state")
    fields = (
        *(Field(name, name) for name in texts),
        *(Field(name, name, "number") for name in ("amount", "quantity", "estimated")),
    )
    kinds = tuple(ValueText(kind, kind.replace("_", " "), colour) for kind, colour in COST_COLOURS.items())
    states = (ValueText("priced", colour=GOOD), ValueText("unpriced", colour=COST_COLOURS["unpriced"]))
    parameters = (*_selected(), ("group-by", "{tenant,model}"), ("limit", str(_ROWS)))
    return Panel(
        key="ledger",
        title="Costs of the time range, dearest first",
        description="Rows of the cost ledger. Idle and unknown time are nobody's, so they go when tenants "
        "or models are selected; estimated is what was spread over gaps in scraping.",
        unit=NO_UNIT,
        queries=(ApiQuery("table", "costs", parameters, "rows", fields),),
        view=Table(
            (
                Column("tenant", "Tenant"),
                Column("model", "Model"),
                Column("kind", "Kind", cell="colour", texts=kinds),
                Column("amount", "Amount", decimals=2),
                Column("currency", "Currency"),
                Column("quantity", "Quantity", decimals=0),
                Column("unit", "Of"),
                Column("estimated", "Estimated", decimals=0),
                Column("state", "State", cell="colour", texts=states),
            )
        ),
        empty="Nothing was used in whole periods of 5 minutes of this time range",
    )


def ledger_over_time() -> Panel:
    """Direct, idle and unknown time of each device type, and tokens, as money."""
    fields = (
        Field("time", "time", "timestamp_epoch"),
        Field("series", "series"),
        Field("value", "Value", "number"),
    )
    parameters = (*_selected(), ("group-by", "device_type"))
    return Panel(
        key="ledger-over-time",
        title="Costs by device type and kind of charge",
        description="Money in each step by the ledger: direct, idle and unknown time of devices, and tokens.",
        unit=NO_UNIT,
        queries=(ApiQuery("series", "cost", parameters, "rows", fields),),
        view=TimeSeries(stacked=True, bars=True),
        decimals=2,
        empty=NO_PRICE,
    )


def forecasts() -> Panel:
    amounts = ("spent", "low", "expected", "high", "budget")
    fields = (
        *(Field(name, name) for name in ("tenant", "currency", "verdict")),
        *(Field(name, name, "number") for name in (*amounts, "days")),
    )
    return Panel(
        key="forecast",
        title="The month of each tenant against its budget",
        description="Spent so far, and the range in which the month ends in 80 of 100 cases.",
        unit=NO_UNIT,
        queries=(
            ApiQuery(
                "table", "cost_forecast", (("tenant-id", BoardVariable("tenant")),), "rows", fields,
                "costs/forecast", times=("to",),
            ),
        ),
        view=Table(
            (
                Column("tenant", "Tenant"),
                Column("verdict", "Verdict", cell="colour", texts=_VERDICTS),
                Column("currency", "Currency"),
                *(Column(name, name.capitalize(), decimals=2) for name in amounts),
                Column("days", "Days of data", decimals=0),
            ),
            sort_by="Expected",
        ),
        empty="Not reported here: no tenant has costs or a budget",
    )  # fmt: skip


def tokens_over_time(scope: BoardScope) -> Panel:
    """``scope`` has no tenant."""
    by: Labels = (MODEL_NAME, MODEL_VERSION, "currency")
    return Panel(
        key="token-cost-over-time",
        title="Cost of a million tokens, idle included",
        description=f"Money for a million tokens of all kinds, over 1h; the {_LINES} dearest versions.",
        unit=NO_UNIT,
        queries=(
            PromQuery(
                highest(
                    lambda when: aggregate(
                        "max", when.select(TOKEN_COST_ALLOCATED.name, Matcher("kind", "all")), by
                    ),
                    scope,
                    by,
                    _LINES,
                ),
                legend(*by),
            ),
        ),
        view=TimeSeries(),
        decimals=2,
        empty=NO_TOKENS,
    )


def tokens_by_kind(scope: BoardScope) -> Panel:
    by: Labels = (MODEL_NAME, "kind", "currency")
    cost = aggregate("max", scope.select(TOKEN_COST.name), by)
    return Panel(
        key="token-cost-by-kind",
        title="Cost of a million tokens by kind",
        description=f"By device seconds used and token prices over 1h, at the dearest tenant; {_ROWS} rows.",
        unit=NO_UNIT,
        queries=(PromQuery(f"topk({_ROWS}, {cost})", instant=True),),
        view=Table(
            (
                Column(MODEL_NAME, "Model"),
                Column("kind", "Kind"),
                Column("currency", "Currency"),
                Column("Value", "Per million", decimals=2),
            ),
            sort_by="Per million",
        ),
        empty=NO_TOKENS,
    )


def device_prices(scope: BoardScope) -> Panel:
    by: Labels = ("device_type", "currency")
    return Panel(
        key="device-prices",
        title="Price of an hour of each device type",
        description=f"What the registry says that an hour costs; the {_LINES} dearest types.",
        unit=NO_UNIT,
        queries=(
            PromQuery(
                highest(lambda when: aggregate("max", when.select(DEVICE_PRICE.name), by), scope, by, _LINES),
                legend(*by),
            ),
        ),
        view=TimeSeries(),
        decimals=2,
        empty=NO_PRICE,
    )


def price_marks(scope: BoardScope) -> tuple[Annotation, ...]:
    """Marks where a price of the registry begins to count."""
    return tuple(
        _price_mark(name, scope.select(series.name), labels)
        for name, series, labels in (
            ("Price of devices", DEVICE_PRICE, ("device_type", "currency")),
            ("Price of tokens", TOKEN_PRICE, (MODEL_NAME, "kind", "currency")),
        )
    )


def _price_mark(name: str, series: str, labels: Labels) -> Annotation:
    now, before = (aggregate("max", text, labels) for text in (series, f"{series} offset $__interval"))
    return Annotation(name, f"{now} != {before}", name, f"{legend(*labels)}: {{{{value}}}}", labels, "purple")


def _selected() -> tuple[tuple[str, str | BoardVariable], ...]:
    return ("tenant-id", BoardVariable("tenant")), ("model-name", BoardVariable("model"))


def _pace(scope: BoardScope) -> str:
    by = ", ".join(_BY_TENANT)
    month = f"sum by ({by}) ({scope.select(COST.name)}) * {_MONTH}"
    return f"{month} / max by ({by}) ({scope.select(BUDGET.name)} > 0)"
