"""The comparison of a canary with the version in production, as the backend judges it."""

from __future__ import annotations

from modelplane_dashboards.kit.board import ApiQuery, BoardVariable, Field, Panel
from modelplane_dashboards.kit.colours import BAD, GOOD, NEUTRAL, WARNING
from modelplane_dashboards.kit.views import Column, Table, ValueText
from modelplane_schema.grafana_units import NO_UNIT

_VERDICTS = (
    ValueText("worse", "worse", BAD),
    ValueText("better", "better", GOOD),
    ValueText("same", "same", GOOD),
    ValueText("no_difference_found", "no difference found", GOOD),
    ValueText("not_enough_data", "not enough data", WARNING),
    ValueText("no_traffic", "no traffic", NEUTRAL),
)
_VALUES = tuple(
    (f"{version}{end}", f"{title}{end.replace('_', ' ')}")
    for version, title in (("baseline", "Production"), ("candidate", "Canary"))
    for end in ("", "_low", "_high")
)


def canary_against_production(model: str | BoardVariable) -> Panel:
    """Each indicator of the registry's production version and of the canary of ``model``."""
    fields = (
        *(Field(name, name) for name in ("name", "verdict", "unit", "reason")),
        *(Field(name, name, "number") for name, _ in _VALUES),
    )
    return Panel(
        key="canary-against-production",
        title="Canary against production",
        description="Whether the canary is worse, over the calls of the time range; each value lies between "
        "low and high.",
        unit=NO_UNIT,
        queries=(ApiQuery("table", "comparison", (("model-name", model),), "indicators", fields, "compare"),),
        view=Table(
            (
                Column("name", "Indicator"),
                Column("verdict", "Verdict", cell="colour", texts=_VERDICTS),
                Column("unit", "Unit", width=80),
                *(Column(name, title) for name, title in _VALUES),
                Column("reason", "Reason"),
            )
        ),
        decimals=4,
        empty="No canary to compare: the registry declares none of this model",
    )
