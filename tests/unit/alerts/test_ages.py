"""No rule computes with series of different ages: under vmalert, which writes late, such a result is wrong.

The age of a series is how many rules lie between it and what is scraped. Constants of the registry
have any age. A series that only says whether there is a result, such as the right side of a
comparison, is not computed with.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from modelplane_alerts.render import rule_files
from modelplane_schema.registry import load_registry

EXAMPLE = load_registry(Path(__file__).parents[3] / "examples" / "modelplane.yaml")
ARITHMETIC = {"+", "-", "*", "/", "%", "^", "atan2"}
TESTS = {"==", "!=", "<", ">", "<=", ">=", "and", "unless"}

Expression = Any  # promql_parser has no common type of nodes


def parts(node: Expression) -> list[Expression]:
    if isinstance(node, promql_parser.BinaryExpr):
        return [node.lhs, node.rhs]
    if isinstance(node, promql_parser.Call):
        return list(node.args)
    if isinstance(node, promql_parser.MatrixSelector):
        return [node.vector_selector]
    if isinstance(node, promql_parser.AggregateExpr | promql_parser.ParenExpr | promql_parser.UnaryExpr):
        return [node.expr]
    if isinstance(node, promql_parser.SubqueryExpr):
        return [node.expr]
    leaves = promql_parser.VectorSelector | promql_parser.NumberLiteral | promql_parser.StringLiteral
    assert isinstance(node, leaves), node
    return []


def nodes(node: Expression) -> Iterator[Expression]:
    yield node
    for part in parts(node):
        yield from nodes(part)


def series_of(node: Expression) -> set[str]:
    """What an expression reads, without constants of the registry."""
    names = {each.name or "" for each in nodes(node) if isinstance(each, promql_parser.VectorSelector)}
    assert "" not in names
    return {name for name in names if not name.endswith(":config")}


def values_of(node: Expression) -> set[str]:
    """The series whose values make up those of an expression."""
    if isinstance(node, promql_parser.BinaryExpr) and str(node.op) in TESTS:
        return values_of(node.lhs)
    names = series_of(node) if isinstance(node, promql_parser.VectorSelector) else set()
    return names.union(*(values_of(part) for part in parts(node)))


def ages(expressions: Mapping[str, Iterable[str]]) -> dict[str, int]:
    """The age of each recorded series, from the expressions that record it."""
    reads = {
        name: set().union(*(series_of(promql_parser.parse(text)) for text in texts))
        for name, texts in expressions.items()
    }
    known: dict[str, int] = {}
    while missing := [name for name in reads if name not in known]:
        ready = [
            name for name in missing if all(known.get(r) is not None or r not in reads for r in reads[name])
        ]
        assert ready, f"rules read each other in a circle: {missing}"
        for name in ready:
            known[name] = 1 + max((known.get(read, 0) for read in reads[name]), default=0)
    return known


def mixed(text: str, known: Mapping[str, int]) -> list[str]:
    """The arithmetic of an expression whose operands are of different ages."""
    return [
        str(node)
        for node in nodes(promql_parser.parse(text))
        if isinstance(node, promql_parser.BinaryExpr)
        and str(node.op) in ARITHMETIC
        and differ(*({known.get(name, 0) for name in values_of(side)} for side in (node.lhs, node.rhs)))
    ]


def differ(left: set[int], right: set[int]) -> bool:
    return bool(left and right) and len(left | right) > 1


def rules() -> list[dict[str, Any]]:
    groups = [group for text in rule_files(EXAMPLE).values() for group in yaml.safe_load(text)["groups"]]
    return [rule for group in groups for rule in group["rules"]]


def recording(content: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    texts: dict[str, list[str]] = {}
    for rule in content:
        if "record" in rule:
            texts.setdefault(rule["record"], []).append(rule["expr"])
    return texts


def test_no_rule_computes_with_series_of_different_ages() -> None:
    content = rules()
    known = ages(recording(content))
    assert max(known.values()) >= 3
    found = {rule.get("record") or rule["alert"]: mixed(rule["expr"], known) for rule in content}
    assert {name: faults for name, faults in found.items() if faults} == {}


@pytest.mark.parametrize(
    ("text", "is_mixed"),
    [
        ("c / 2", False), ("sum(c) / on (m) group_left () c", False), ("c * on (m) x:config", False),
        ("c / n", True), ("raw_total / c", True), ("n - on (m) group_left () raw_total", True),
        ("sum(rate(raw_total[5m])) / sum(increase(other_total[5m]))", False),
        ("max_over_time(n[1h]) - sum_over_time(c[1h:5m])", True), ("(c > n) * c", False),
        ("(n > c) * c", True), ("(c or n) * c", True), ("n > c", False),
        ("(c and n) * c", False), ("(c or n) * on (m) x:config", False), ("-(c + n)", True),
    ],
)  # fmt: skip
def test_what_is_of_different_ages(text: str, is_mixed: bool) -> None:
    assert bool(mixed(text, {"c": 1, "n": 2})) == is_mixed


def test_ages_are_counted_from_what_is_scraped() -> None:
    expressions = {"n": ["sum(c)"], "c": ["rate(raw_total[5m])"], "psi": ["c + 1", "n or x:config"]}
    assert ages(expressions) == {"c": 1, "n": 2, "psi": 3}
    with pytest.raises(AssertionError, match="circle"):
        ages({"a": ["b"], "b": ["a"]})
