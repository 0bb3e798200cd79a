"""Which series a query of a board is about, by its text; pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from typing import Any, NamedTuple

import promql_parser

from modelplane_schema.metrics import ALL_TENANTS, MODEL_NAME, TENANT_ID

RECORDED = "modelplane:"
_OF_MODELS = (RECORDED, "model_")
_Matchers = tuple[tuple[str, str, str], ...]


class Selection(NamedTuple):
    """Names of series, and the models and tenants that its matchers let through.

    A query of the backend does not say its names.
    """

    names: frozenset[str]
    models: frozenset[str]
    tenants: frozenset[str]

    @property
    def is_of_models(self) -> bool:
        """Whether models report what it reads, or rules record it of them."""
        return not self.names or any(name.startswith(_OF_MODELS) for name in self.names)


def selection(text: str, models: Collection[str], tenants: Collection[str]) -> Selection:
    """What the PromQL of a query selects; ValueError where it is none."""
    selectors = list(_selectors(text))
    return Selection(
        frozenset(name for name, _ in selectors),
        _allowed(MODEL_NAME, models, selectors),
        _allowed(TENANT_ID, tenants, selectors) | _counted_together(tenants, selectors),
    )


def _selectors(text: str) -> Iterator[tuple[str, _Matchers]]:
    nodes: list[Any] = []
    promql_parser.walk(promql_parser.parse(text), pre_visit=nodes.append)
    for node in nodes:
        if isinstance(node, promql_parser.VectorSelector):
            matchers = ((each.name, str(each.op), each.value) for each in node.matchers.matchers)
            yield node.name or "", tuple(matchers)


def _counted_together(tenants: Iterable[str], selectors: Iterable[tuple[str, _Matchers]]) -> frozenset[str]:
    """All ``tenants`` where the matchers let through what is counted for all of them."""
    return frozenset(tenants if _allowed(TENANT_ID, (ALL_TENANTS,), selectors) else ())


def _allowed(
    label: str, values: Collection[str], selectors: Iterable[tuple[str, _Matchers]]
) -> frozenset[str]:
    conditions = {(op, wanted) for _, matchers in selectors for name, op, wanted in matchers if name == label}
    return frozenset(value for value in values if all(_matches(op, each, value) for op, each in conditions))


def _matches(op: str, wanted: str, value: str) -> bool:
    is_pattern = op in ("MatchOp.Re", "MatchOp.NotRe")
    is_negated = op in ("MatchOp.NotEqual", "MatchOp.NotRe")
    matches = re.fullmatch(wanted, value) is not None if is_pattern else wanted == value
    return matches != is_negated
