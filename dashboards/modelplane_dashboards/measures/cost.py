"""Measures of money and of the device time that it is spent on."""

from __future__ import annotations

from modelplane_dashboards.kit.board import Panel, PromQuery
from modelplane_dashboards.kit.measure import Measure
from modelplane_dashboards.kit.scope import BoardScope, Labels, highest, legend
from modelplane_dashboards.kit.views import Stat, TimeSeries
from modelplane_schema import level_expressions as levels
from modelplane_schema.grafana_units import NO_UNIT
from modelplane_schema.promql import total
from modelplane_schema.recorded import COST

NO_PRICE = "Not reported here: no price is declared"
NO_DEVICE = "Not reported here: no device time is charged"
_HOUR = 3600

DEVICES_BUSY = Measure(
    "devices-busy",
    "Devices busy",
    "Device seconds per second: how many devices the calls of the last 5 minutes kept busy.",
    NO_UNIT,
    lambda scope, by: levels.summed("device_seconds", scope.select, scope.labels, by),
    decimals=2,
    empty=NO_DEVICE,
)


def per_hour(series: str, by: Labels) -> str:
    """Money per hour, of series that are money per second."""
    return f"{_HOUR} * {total(series, by)}"


def cost_per_hour_now(scope: BoardScope) -> Panel:
    """What calls cost, in each currency by itself."""
    return Panel(
        key="cost-per-hour-now",
        title="Cost per hour",
        description="Money per hour that device seconds and tokens of the last hour cost, without idle time.",
        unit=NO_UNIT,
        queries=(
            PromQuery(per_hour(scope.select(COST.name), ("currency",)), legend("currency"), instant=True),
        ),
        view=Stat(shows_name=True),
        decimals=2,
        empty=NO_PRICE,
    )


def cost_by(scope: BoardScope, label: str, title: str) -> Panel:
    """Money per hour for each value of a label, in each currency by itself."""
    by = (label, "currency")
    return Panel(
        key=f"cost-by-{label.replace('_', '-')}",
        title=title,
        description="Money per hour that device seconds and tokens of the last hour cost, without idle time.",
        unit=NO_UNIT,
        queries=(
            PromQuery(highest(lambda when: per_hour(when.select(COST.name), by), scope, by), legend(*by)),
        ),
        view=TimeSeries(stacked=True),
        decimals=2,
        empty=NO_PRICE,
    )


def devices_busy_by_type(scope: BoardScope) -> Panel:
    return DEVICES_BUSY.graph(scope, ("device_type",), "Devices busy by type", stacked=True)
