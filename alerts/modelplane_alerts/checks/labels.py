"""Which labels the result of a PromQL expression has, and where one is used that nothing carries.

What is not known to lack a label may have it: the result of ``or`` has the labels of both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import promql_parser

from modelplane_alerts.checks.syntax_tree import Expression

Labels = frozenset[str]
LabelsOf = Callable[[str], Labels | None]
NONE: Labels = frozenset()

_SETS = ("and", "unless", "or")
_WITHOUT_LABELS = ("vector", "scalar", "time")
_LEAVES = promql_parser.NumberLiteral | promql_parser.StringLiteral


class LabelFlow:
    """Follows labels through an expression; ``problems`` has a sentence for each that is used and not there.

    ``labels_of`` gives the labels of a series by its name, or None for a series that nobody declares.
    """

    def __init__(self, labels_of: LabelsOf) -> None:
        self._labels_of = labels_of
        self.problems: list[str] = []

    def result(self, node: Expression) -> Labels:
        """The labels that the result of ``node`` may have."""
        if isinstance(node, promql_parser.VectorSelector):
            return self._selected(node)
        if isinstance(node, promql_parser.MatrixSelector):
            return self._selected(node.vector_selector)
        if isinstance(node, promql_parser.AggregateExpr):
            return self._aggregated(node)
        if isinstance(node, promql_parser.BinaryExpr):
            return self._combined(node)
        if isinstance(node, promql_parser.Call):
            return self._called(node)
        return NONE if isinstance(node, _LEAVES) else self.result(node.expr)

    def _selected(self, node: Expression) -> Labels:
        declared = self._labels_of(node.name or "")
        if declared is None:
            name = node.name or "series without a name"
            self.problems.append(f"reads {name}, which neither the schema nor a rule of ours has")
            return frozenset(matcher.name for matcher in node.matchers.matchers)
        matched = [matcher.name for matcher in node.matchers.matchers]
        self._require(matched, declared, f"a matcher on {node.name}")
        return declared

    def _aggregated(self, node: Expression) -> Labels:
        inner = self.result(node.expr)
        if node.modifier is None:
            return NONE
        if node.modifier.type == promql_parser.AggModifierType.Without:
            self.problems.append(
                "aggregates `without` labels, so that nobody sees which stay; write `by (...)`"
            )
            return inner - frozenset(node.modifier.labels)
        self._require(node.modifier.labels, inner, f"`{node.op} by`")
        return inner & frozenset(node.modifier.labels)

    def _called(self, node: Expression) -> Labels:
        name = node.func.name
        labels = frozenset().union(*(self.result(argument) for argument in node.args)) if node.args else NONE
        if name in _WITHOUT_LABELS:
            return NONE
        if name == "histogram_quantile":
            return labels - {"le"}
        if name == "label_replace":
            self._require(filter(None, [node.args[3].val]), labels, "label_replace")
            return labels | {node.args[1].val}
        return labels

    def _combined(self, node: Expression) -> Labels:
        left, right = self.result(node.lhs), self.result(node.rhs)
        modifier = node.modifier
        matching = modifier.matching if modifier is not None else None
        is_on = matching is not None and matching.type == promql_parser.LabelModifierType.Include
        on = frozenset(matching.labels) if matching is not None and is_on else None
        if on is not None:
            for labels in (left, right):
                self._require(on, labels, f"`{node.op} on`")
        if str(node.op) in _SETS:
            return left | right if str(node.op) == "or" else left
        if modifier is not None and modifier.group_labels is not None:
            return self._grouped(node, left, right, frozenset(modifier.group_labels))
        if _is_scalar(node.lhs) or _is_scalar(node.rhs):
            return left | right
        return left & right if on is None else left & on

    def _grouped(self, node: Expression, left: Labels, right: Labels, included: Labels) -> Labels:
        many, few = left, right
        if node.modifier.card == promql_parser.VectorMatchCardinality.OneToMany:
            many, few = right, left
        if node.modifier.card == promql_parser.VectorMatchCardinality.OneToOne:
            return left & right
        self._require(included, few, f"`{node.op} ... group`")
        return many | (included & few)

    def _require(self, used: Iterable[str], present: Labels, where: str) -> None:
        missing = sorted(set(used) - present)
        if missing:
            self.problems.append(f"{where} names {', '.join(missing)}, which nothing there carries")


def _is_scalar(node: Expression) -> bool:
    if isinstance(node, promql_parser.ParenExpr | promql_parser.UnaryExpr):
        return _is_scalar(node.expr)
    if isinstance(node, promql_parser.BinaryExpr):
        return _is_scalar(node.lhs) and _is_scalar(node.rhs)
    if isinstance(node, promql_parser.Call):
        return node.func.name in ("scalar", "time")
    return isinstance(node, _LEAVES)
