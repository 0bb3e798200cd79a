"""The parts of a PromQL expression, as promql_parser has them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import promql_parser

Expression = Any  # promql_parser has no common type of nodes

_LEAVES = promql_parser.VectorSelector | promql_parser.NumberLiteral | promql_parser.StringLiteral
_HOLDERS = (
    promql_parser.AggregateExpr
    | promql_parser.ParenExpr
    | promql_parser.UnaryExpr
    | promql_parser.SubqueryExpr
)


def parse(text: str) -> Expression:
    """The tree of ``text``; ValueError where it is no PromQL."""
    return promql_parser.parse(text)


def parts(node: Expression) -> list[Expression]:
    """The expressions right below ``node``."""
    if isinstance(node, promql_parser.BinaryExpr):
        return [node.lhs, node.rhs]
    if isinstance(node, promql_parser.Call):
        return list(node.args)
    if isinstance(node, promql_parser.MatrixSelector):
        return [node.vector_selector]
    if isinstance(node, _HOLDERS):
        return [node.expr]
    if not isinstance(node, _LEAVES):
        raise TypeError(f"unknown part of PromQL: {node}")
    return []


def nodes(node: Expression) -> Iterator[Expression]:
    """``node`` and everything below it."""
    yield node
    for part in parts(node):
        yield from nodes(part)


def range_functions(node: Expression) -> list[str]:
    """The functions that ``node`` applies to ranges of time."""
    ranges = promql_parser.MatrixSelector | promql_parser.SubqueryExpr
    return [
        each.func.name
        for each in nodes(node)
        if isinstance(each, promql_parser.Call) and any(isinstance(part, ranges) for part in each.args)
    ]


def selectors(node: Expression) -> list[Expression]:
    """The selectors of series in ``node``."""
    return [each for each in nodes(node) if isinstance(each, promql_parser.VectorSelector)]
