"""Variables of boards, in one order everywhere: clusters, tenant, model, version.

Menus are read from recorded levels, of which there are few series, and each is limited to what those before
it select.
"""

from __future__ import annotations

from collections.abc import Iterator

from modelplane_dashboards.kit.board import Variable
from modelplane_dashboards.kit.scope import VARIABLE_LABELS, BoardScope
from modelplane_schema.level_expressions import level_series

ALL_CLUSTERS = ".*"  # a series need not have the label of a cluster
ALL = ".+"


def variables(scope: BoardScope) -> tuple[Variable, ...]:
    """The variables that a scope's matchers refer to."""
    return (*_clusters(scope), *_identity(scope))


def _clusters(scope: BoardScope) -> Iterator[Variable]:
    series = level_series("active", ()).name
    for label in scope.clusters:
        yield Variable(label, label.capitalize(), f"label_values({series}, {label})", ALL_CLUSTERS)


def _identity(scope: BoardScope) -> Iterator[Variable]:
    earlier = BoardScope((), scope.clusters)
    names = {label: name for name, label in VARIABLE_LABELS.items()}
    for matcher in scope.matchers:
        if matcher.value == f"${names[matcher.label]}":
            name = names[matcher.label]
            series = earlier.select(level_series("active", (*earlier.labels, matcher.label)).name)
            query = f"label_values({series}, {matcher.label})"
            yield Variable(name, name.capitalize(), query, ALL if matcher.op == "=~" else "")
        earlier = BoardScope((*earlier.matchers, matcher), scope.clusters)
