"""Alerts: what fires, since when, who looks after it, and which alerts are only noise?"""

from __future__ import annotations

from modelplane_dashboards.kit.board import Board, BoardVariable, Row, Section
from modelplane_dashboards.kit.context import BoardContext
from modelplane_dashboards.kit.scope import several
from modelplane_dashboards.kit.variables import variables
from modelplane_dashboards.measures import alerts as firing
from modelplane_dashboards.measures import incidents
from modelplane_schema.metrics import MODEL_NAME
from modelplane_schema.uids import template_uid


def alerts(context: BoardContext) -> Board:
    """The board of alerts and incidents of the selected tenants and models, all of them at first."""
    scope = context.scope(several("tenant"), several("model"))
    stored = firing.recent_alerts(tenant_id=BoardVariable("tenant"), model_name=BoardVariable("model"))
    now = (
        firing.firing_alerts_now(scope),
        firing.critical_alerts_now(scope),
        incidents.time_to_acknowledge(),
        incidents.time_to_resolve(),
    )
    return Board(
        kind="alerts",
        uid=template_uid("alerts"),
        title="Alerts",
        question="What fires, who looks after it, and which alerts are only noise?",
        advice="Take the first incident without a name beside it and acknowledge it on its page.",
        variables=variables(scope),
        annotations=(firing.version_marks(scope),),
        sections=(
            Section("now", "Now", (Row(now, height=4), Row((firing.firing_alerts(scope),)))),
            Section(
                "incidents",
                "Incidents",
                (
                    Row((firing.alert_timeline(scope, MODEL_NAME),), height=9),
                    Row((incidents.incidents(scope),), height=10),
                    Row((incidents.noisiest(scope), incidents.numbers()), (2, 1)),
                ),
            ),
            Section(
                "suppressed",
                "Silenced and suppressed",
                (Row((incidents.suppressed_alerts(), incidents.silences())),),
            ),
            Section("history", "History", (Row((stored,), height=9),)),
        ),
    )
