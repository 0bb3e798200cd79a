"""Variables of boards, in one order everywhere: clusters, tenant, model, version.

Menus are read from recorded levels, of which there are few series, and each is limited to what those before
it select.
"""

from __future__ import annotations

from collections.abc import Iterator

from modelplane_dashboards.kit.board import Variable
from modelplane_dashboards.kit.menu import LabelValues, Menu, QueryResult
from modelplane_dashboards.kit.scope import VARIABLE_LABELS, BoardScope
from modelplane_schema.level_expressions import level_series
from modelplane_schema.metrics import TENANT_ID

ALL_CLUSTERS = ".*"  # a series need not have the label of a cluster
ALL = ".+"


def variables(scope: BoardScope) -> tuple[Variable, ...]:
    """The variables that a scope's matchers refer to."""
    return (*_clusters(scope), *_identity(scope))


def _clusters(scope: BoardScope) -> Iterator[Variable]:
    series = level_series("active", ()).name
    for label in scope.clusters:
        yield Variable(label, label.capitalize(), LabelValues(label, series), ALL_CLUSTERS)


def _identity(scope: BoardScope) -> Iterator[Variable]:
    earlier = BoardScope((), scope.clusters)
    names = {label: name for name, label in VARIABLE_LABELS.items()}
    for matcher in scope.matchers:
        if matcher.value == f"${names[matcher.label]}":
            name = names[matcher.label]
            series = earlier.select(level_series("active", (*earlier.labels, matcher.label)).name)
            all_value = ALL if matcher.op == "=~" else ""
            yield Variable(name, name.capitalize(), _menu(series, matcher.label), all_value)
        earlier = BoardScope((*earlier.matchers, matcher), scope.clusters)


def _menu(series: str, label: str) -> Menu:
    """The menu of a label.

    Prometheus looks each value of a label up in all blocks of the time range: a thousand tenants take 1.7 s,
    where a query of the end of the range reads a thousand samples.
    """
    if label != TENANT_ID:
        return LabelValues(label, series)
    return QueryResult(label, f"group by ({label}) ({series})")
