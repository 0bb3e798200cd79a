"""Build PromQL from matchers and selectors, so that no text from outside is ever pasted into a query."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

MatchOp = Literal["=", "!=", "=~", "!~"]

LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_METRIC_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")


@dataclass(frozen=True, slots=True)
class Matcher:
    """One label matcher. The value is any text; it is escaped when rendered."""

    label: str
    value: str
    op: MatchOp = "="

    def __str__(self) -> str:
        if not LABEL_NAME.fullmatch(self.label):
            raise ValueError(f"not a label name: {self.label!r}")
        return f"{self.label}{self.op}{quote(self.value)}"


# What the mixin puts its configuration in place of: labels of the cluster, and its selector. Both are valid
# PromQL, so that an expression can be parsed before.
CLUSTER_LABELS = "__cluster_labels__"
SELECTOR = Matcher("__selector__", "")


def quote(text: str) -> str:
    """A PromQL string literal that denotes exactly ``text``."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def one_of(label: str, values: Iterable[str]) -> Matcher:
    """A matcher for any of the literal ``values``: ``=`` for one, an escaped ``=~`` for several."""
    distinct = sorted(set(values))
    if len(distinct) == 1:
        return Matcher(label, distinct[0])
    return Matcher(label, "|".join(escape_regex(value) for value in distinct), "=~")


def escape_regex(text: str) -> str:
    """``text`` as a literal in RE2, the regular expressions of Prometheus."""
    return re.sub(r"([\\.+*?()|\[\]{}^$])", r"\\\1", text)


def duration_seconds(duration: str) -> int:
    """Seconds of a PromQL duration of one unit, such as ``5m``; ValueError for any other text."""
    seconds = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    if not re.fullmatch(r"[1-9][0-9]*[smhd]", duration):
        raise ValueError(f"must be a number and one of s, m, h, d, for example 5m (got {duration!r})")
    return int(duration[:-1]) * seconds[duration[-1]]


def selector(name: str, matchers: Iterable[Matcher] = ()) -> str:
    """``name{matchers}``; ValueError when the metric or a label is not a valid name."""
    if not _METRIC_NAME.fullmatch(name):
        raise ValueError(f"not a metric name: {name!r}")
    inner = ",".join(str(matcher) for matcher in matchers)
    return f"{name}{{{inner}}}" if inner else name


def rate(series: str, window: str) -> str:
    """What a counter grows by in a second; ``window`` is a PromQL duration or a variable of Grafana."""
    return f"rate({series}[{window}])"


def aggregate(operation: str, expression: str, by: Iterable[str] = ()) -> str:
    """An aggregation such as ``max`` of ``expression``, for each combination of the labels ``by``."""
    labels = ", ".join(by)
    return f"{operation} by ({labels}) ({expression})" if labels else f"{operation}({expression})"


def total(expression: str, by: Iterable[str] = ()) -> str:
    """The sum of ``expression``, for each combination of the labels ``by``."""
    return aggregate("sum", expression, by)


def count_or_zero(matching: str, every: str, by: Iterable[str] = ()) -> str:
    """How many series ``matching`` has; 0 where only ``every`` has some, and absent where neither has."""
    labels = tuple(by)
    return f"{aggregate('count', matching, labels)} or 0 * {aggregate('count', every, labels)}"


def ratio(numerator: str, denominator: str, *, keep_nan: bool = False) -> str:
    """A quotient; where the denominator is 0 it is absent, or NaN with ``keep_nan``."""
    divisor = denominator if keep_nan else f"({denominator} > 0)"
    return f"{numerator} / {divisor}"
