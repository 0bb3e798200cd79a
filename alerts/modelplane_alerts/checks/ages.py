"""No rule may compute with series of different ages: under vmalert, which writes late, the result is wrong.

The age of a series is how many rules lie between it and what is scraped. Constants of the registry have any
age. A series that only says whether there is a result, such as the right side of a comparison, is not
computed with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import promql_parser

from modelplane_alerts.checks.syntax_tree import Expression, nodes, parse, parts, selectors

_ARITHMETIC = {"+", "-", "*", "/", "%", "^", "atan2"}
_TESTS = {"==", "!=", "<", ">", "<=", ">=", "and", "unless"}


def series_of(node: Expression) -> set[str]:
    """What an expression reads, without constants of the registry."""
    names = {selector.name or "" for selector in selectors(node)}
    return {name for name in names if not name.endswith(":config")}


def ages(expressions: Mapping[str, Iterable[str]]) -> dict[str, int]:
    """The age of each recorded series, from the expressions that record it; ValueError for a circle."""
    reads = {
        name: set().union(*(series_of(parse(text)) for text in texts)) for name, texts in expressions.items()
    }
    known: dict[str, int] = {}
    while missing := [name for name in reads if name not in known]:
        ready = [name for name in missing if all(read in known or read not in reads for read in reads[name])]
        if not ready:
            raise ValueError(f"rules read each other in a circle: {', '.join(missing)}")
        for name in ready:
            known[name] = 1 + max((known.get(read, 0) for read in reads[name]), default=0)
    return known


def mixed(node: Expression, known: Mapping[str, int]) -> list[str]:
    """The arithmetic of an expression whose operands are of different ages."""
    return [
        str(each)
        for each in nodes(node)
        if isinstance(each, promql_parser.BinaryExpr)
        and str(each.op) in _ARITHMETIC
        and _differ(*({known.get(name, 0) for name in _values_of(side)} for side in (each.lhs, each.rhs)))
    ]


def _values_of(node: Expression) -> set[str]:
    """The series whose values make up those of an expression."""
    if isinstance(node, promql_parser.BinaryExpr) and str(node.op) in _TESTS:
        return _values_of(node.lhs)
    names = series_of(node) if isinstance(node, promql_parser.VectorSelector) else set()
    return names.union(*(_values_of(part) for part in parts(node)))


def _differ(left: set[int], right: set[int]) -> bool:
    return bool(left and right) and len(left | right) > 1
