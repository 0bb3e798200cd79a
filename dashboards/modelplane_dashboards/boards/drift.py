"""Drift: which signals moved, since when, and by which arm?"""

from __future__ import annotations

from collections.abc import Iterator

from modelplane_dashboards.kit.board import Board, Row, Section, Variable
from modelplane_dashboards.kit.context import BoardContext
from modelplane_dashboards.kit.menu import LabelValues, QueryResult
from modelplane_dashboards.kit.scope import BoardScope, single
from modelplane_dashboards.kit.variables import variables
from modelplane_dashboards.measures import alerts, signals
from modelplane_dashboards.measures.drift import SIGNALS_MOVED, excess_psi
from modelplane_schema.metrics import ALL_TENANTS, TENANT_ID
from modelplane_schema.promql import Matcher
from modelplane_schema.recorded import SIGNAL_INCREASE
from modelplane_schema.uids import template_uid

# What every model with a baseline has; for those who ask the board's queries outside Grafana.
_EXAMPLE_SIGNAL = (("kind", "output"), ("signal", "prediction"), ("tenant", ALL_TENANTS))


def drift(context: BoardContext) -> Board:
    """All signals that moved, and one signal of one version. The tenant is ``__all__`` unless signals are
    counted for each."""
    version = context.scope(single("tenant"), single("model"), single("version"))
    scope = context.scope(*version.matchers, *(Matcher(name, f"${name}") for name in ("kind", "signal")))
    return Board(
        kind="drift",
        uid=template_uid("drift"),
        title="Drift",
        question="Which signals moved, since when, and by which arm?",
        advice="Take the first line of the table: its signal leads to its course and distribution below.",
        variables=_variables(context, scope),
        annotations=(alerts.version_marks(context.scope(single("model"))),),
        sections=(
            Section("all", "All models", _all_models(context.scope())),
            Section("signal", "The selected signal", _selected(context, scope)),
            Section("limits", "Against training and its own past", _limits(context, scope)),
            Section("model", "The selected version", (Row((signals.moved_of_model(version),)),)),
        ),
        examples=(
            ("model", context.example_model),
            ("version", context.example_version),
            *_EXAMPLE_SIGNAL,
        ),
        start="now-24h",
    )


def _all_models(scope: BoardScope) -> tuple[Row, ...]:
    now = (
        SIGNALS_MOVED.stat(scope, trend=False),
        signals.models_moved(scope),
        signals.warming_up(scope),
        signals.too_few_rows(scope),
    )
    return Row(now, height=4), Row((signals.moved_signals(scope),), height=9)


def _selected(context: BoardContext, scope: BoardScope) -> tuple[Row, ...]:
    now = (
        signals.state_now(scope),
        signals.psi_now(scope, context.psi),
        signals.noise_now(scope),
        signals.rows_now(scope),
    )
    return (
        Row(now, height=5),
        Row((signals.state_over_time(scope),), height=5),
        Row((signals.distribution(),)),
    )


def _limits(context: BoardContext, scope: BoardScope) -> tuple[Row, ...]:
    return (
        Row((signals.psi_and_limits(scope, context.psi), signals.rows_over_time(scope)), (2, 1)),
        Row(tuple(signals.arm_and_limits(scope, arm) for arm in signals.ARMS)),
    )


def _variables(context: BoardContext, scope: BoardScope) -> tuple[Variable, ...]:
    """Clusters, then what tells one signal: whose it is, model, version, kind and name."""
    of_version = variables(context.scope(single("model"), single("version")))
    clusters, identity = of_version[: len(scope.clusters)], of_version[len(scope.clusters) :]
    rows = context.scope(single("model")).select(SIGNAL_INCREASE.over(signals.WINDOW).name)
    tenant = Variable("tenant", "Tenant", LabelValues(TENANT_ID, rows))
    return (*clusters, tenant, *identity, *_ranked(scope))


def _ranked(scope: BoardScope) -> Iterator[Variable]:
    """Kinds and signals, those first whose psi is highest; those with too few rows for one come last."""
    for name in ("kind", "signal"):
        place = scope.labels.index(name)
        earlier = BoardScope(scope.matchers[:place], scope.clusters)
        rows = earlier.select(SIGNAL_INCREASE.over(signals.WINDOW).name)
        psi = f"max by ({name}) ({excess_psi(earlier, signals.WINDOW)})"
        menu = QueryResult(name, f"sort_desc({psi} or 0 * max by ({name}) ({rows}))")
        yield Variable(name, name.capitalize(), menu, ranked=True)
