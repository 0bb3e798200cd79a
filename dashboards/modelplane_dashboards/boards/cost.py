"""Cost: who spends what, and will it stay within budget?"""

from __future__ import annotations

from modelplane_dashboards.kit.board import Board, Row, Section
from modelplane_dashboards.kit.context import BoardContext
from modelplane_dashboards.kit.scope import BoardScope, several
from modelplane_dashboards.kit.variables import variables
from modelplane_dashboards.measures import spending
from modelplane_dashboards.measures.cost import cost_per_hour_now
from modelplane_schema.uids import PLUGIN_APP_ID, template_uid

_EXPORT = f"[Export as CSV or FOCUS](/a/{PLUGIN_APP_ID}/cost)"


def cost(context: BoardContext) -> Board:
    """Spending of the selected tenants and models; idle time is that of the models, over all tenants."""
    scope = context.scope(several("tenant"), several("model"))
    of_models, of_tenants = context.scope(several("model")), context.scope(several("tenant"))
    return Board(
        kind="cost",
        uid=template_uid("cost"),
        title="Cost",
        question="Who spends what, and will it stay within budget?",
        advice=f"High *Idle*: fewer devices. *Unpriced*: declare a price. {_EXPORT} on the plugin's page.",
        variables=variables(scope),
        annotations=spending.price_marks(scope),
        sections=(
            Section("now", "Now", _now(scope, of_models, of_tenants)),
            Section("spenders", "Who spends what", _spenders(scope, of_models, of_tenants)),
            Section("budget", "Budgets and forecast", (Row((spending.forecasts(),)),)),
            Section("ledger", "The ledger of the time range", _ledger()),
            Section("prices", "Tokens and prices", _prices(scope, of_models)),
        ),
        start="now-24h",
    )


def _now(scope: BoardScope, of_models: BoardScope, of_tenants: BoardScope) -> tuple[Row, ...]:
    now = (
        cost_per_hour_now(scope),
        spending.idle_now(of_models),
        spending.unpriced_now(scope),
        spending.pace_now(of_tenants),
    )
    return (Row(now, height=4),)


def _spenders(scope: BoardScope, of_models: BoardScope, of_tenants: BoardScope) -> tuple[Row, ...]:
    return (
        Row((spending.by_tenant(scope, of_tenants),)),
        Row((spending.by_model(of_models), spending.model_cost_over_time(of_models))),
    )


def _ledger() -> tuple[Row, ...]:
    return Row((spending.ledger_over_time(),)), Row((spending.ledger(),), height=9)


def _prices(scope: BoardScope, of_models: BoardScope) -> tuple[Row, ...]:
    return (
        Row((spending.tokens_over_time(of_models), spending.tokens_by_kind(scope))),
        Row((spending.device_prices(scope),), height=6),
    )
