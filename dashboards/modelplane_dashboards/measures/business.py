"""What the business sees of a model: events, values, and whether predictions were right."""

from __future__ import annotations

from modelplane_dashboards.kit.board import Panel, PromQuery
from modelplane_dashboards.kit.scope import BoardScope, largest, legend
from modelplane_dashboards.kit.views import TimeSeries
from modelplane_dashboards.measures.calls import WINDOW
from modelplane_schema.grafana_units import NO_UNIT, RATIO, rate_unit
from modelplane_schema.metrics import (
    BUSINESS_EVENTS,
    BUSINESS_VALUE_COUNT,
    BUSINESS_VALUE_NEGATIVE_SUM,
    BUSINESS_VALUE_SUM,
    FEEDBACK,
    MODEL_VERSION,
)
from modelplane_schema.promql import Matcher, rate, ratio, total


def events(scope: BoardScope) -> Panel:
    return Panel(
        key="business-events",
        title="Business events",
        description="Events per second that the model's team declares, such as clicks and orders.",
        unit=rate_unit(BUSINESS_EVENTS),
        queries=(PromQuery(_sum(scope, BUSINESS_EVENTS.name, "event"), legend("event")),),
        view=TimeSeries(),
        empty="Not reported here: no business event is declared",
    )


def values(scope: BoardScope) -> Panel:
    positive, negative, count = (
        _sum(scope, metric.name, "value")
        for metric in (BUSINESS_VALUE_SUM, BUSINESS_VALUE_NEGATIVE_SUM, BUSINESS_VALUE_COUNT)
    )
    return Panel(
        key="business-values",
        title="Mean of business values",
        description="Mean of each declared value over calls, in the unit of the value.",
        unit=NO_UNIT,
        queries=(PromQuery(ratio(f"({positive} - {negative})", count), legend("value")),),
        view=TimeSeries(minimum=None),
        empty="Not reported here: no business value is declared",
    )


def accuracy(scope: BoardScope) -> Panel:
    correct, judged = (
        total(rate(scope.select(FEEDBACK.name, *matchers), WINDOW), (MODEL_VERSION,))
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


def _sum(scope: BoardScope, name: str, label: str) -> str:
    """A counter's growth per second for each value of a label, of which a graph shows the 20 highest."""
    expression = total(rate(scope.select(name), WINDOW), (label,))
    ranking = total(f"rate({scope.select(name)}[{WINDOW}] @ end())", (label,))
    return largest(expression, ranking, (label,))
