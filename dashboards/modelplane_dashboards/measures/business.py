"""What the business sees of a model: events, values, and whether predictions were right."""

from __future__ import annotations

from modelplane_dashboards.kit.board import Panel, PromQuery
from modelplane_dashboards.kit.scope import BoardScope, highest, legend
from modelplane_dashboards.kit.views import TimeSeries
from modelplane_schema import level_expressions as levels
from modelplane_schema.grafana_units import NO_UNIT, RATIO, rate_unit
from modelplane_schema.metrics import BUSINESS_EVENTS, MODEL_VERSION
from modelplane_schema.promql import Matcher, ratio


def events(scope: BoardScope) -> Panel:
    return Panel(
        key="business-events",
        title="Business events",
        description="Events per second that the model's team declares, such as clicks and orders.",
        unit=rate_unit(BUSINESS_EVENTS),
        queries=(PromQuery(_highest(scope, "business_events", "event"), legend("event")),),
        view=TimeSeries(),
        empty="Not reported here: no business event is declared",
    )


def values(scope: BoardScope) -> Panel:
    positive, negative, count = (
        levels.summed(f"business_value_{part}", scope.select, scope.labels, ("value",))
        for part in ("sum", "negative_sum", "count")
    )
    most = _highest(scope, "business_value_count", "value")
    return Panel(
        key="business-values",
        title="Mean of business values",
        description="Mean of each declared value over calls, in the unit of the value.",
        unit=NO_UNIT,
        queries=(
            PromQuery(f"{ratio(f'({positive} - {negative})', count)} and on (value) {most}", legend("value")),
        ),
        view=TimeSeries(minimum=None),
        empty="Not reported here: no business value is declared",
    )


def accuracy(scope: BoardScope) -> Panel:
    correct, judged = (
        levels.summed("feedback", scope.select, scope.labels, (MODEL_VERSION,), *matchers)
        for matchers in ((Matcher("verdict", "correct"),), ())
    )
    return Panel(
        key="accuracy",
        title="Correct of judged",
        description="Predictions that later proved correct, as a share of those that were judged.",
        unit=RATIO,
        queries=(PromQuery(ratio(correct, judged), legend(MODEL_VERSION)),),
        view=TimeSeries(maximum=1.0),
        empty="Not reported here: nobody reports which predictions were right",
    )


def _highest(scope: BoardScope, quantity: str, label: str) -> str:
    """A quantity for each value of a label, of which a graph shows the 20 highest."""
    by = (label,)
    return highest(lambda when: levels.summed(quantity, when.select, when.labels, by), scope, by)
