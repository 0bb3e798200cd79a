"""Restrict PromQL to the series of some tenants, and prove it.

A query is parsed and written anew from its syntax tree; neither its text nor the parser's printer, which
does not escape, has a part in what is sent. Every selector is written as matchers alone, with one matcher
on the tenant that is made here. What the writer does not support is refused. The written text is parsed once
more: it must be written in the same way again, and each of its selectors must hold that one matcher.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from typing import cast

import promql_parser as promql

from modelplane_datasource.tenancy.promql_text import (
    InvalidQueryError,
    RefusedError,
    panic,
    parsed,
    tree,
)
from modelplane_schema.metrics import TENANT_ID
from modelplane_schema.promql import Matcher, MatchOp, one_of, quote

_CACHED_QUERIES = 1024
_LONGEST_SECONDS = 2**32 - 1  # the parser reads no longer duration
_NONE: frozenset[str] = frozenset()

_METRIC = "__name__"
_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_ALTERNATIVES = re.compile(r"(?:[^\\.+*?()\[\]{}^$]|\\[^a-zA-Z0-9\s])*")
_ANYTHING = (".*", ".+")
_OPERATORS: dict[str, MatchOp] = {
    "MatchOp.Equal": "=",
    "MatchOp.NotEqual": "!=",
    "MatchOp.Re": "=~",
    "MatchOp.NotRe": "!~",
}


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_BINARY = _words("+ - * / % ^ == != > < >= <= and or unless atan2")
_AGGREGATIONS = _words("sum avg count min max group stddev stdvar topk bottomk quantile count_values")
# info() reads series that its text does not name, and so is not here.
_FUNCTIONS = _words(
    """
    abs absent absent_over_time acos acosh asin asinh atan atanh avg_over_time ceil changes clamp clamp_max
    clamp_min cos cosh count_over_time day_of_month day_of_week day_of_year days_in_month deg delta deriv
    double_exponential_smoothing exp floor histogram_avg histogram_count histogram_fraction
    histogram_quantile histogram_stddev histogram_stdvar histogram_sum hour idelta increase irate label_join
    label_replace last_over_time ln log10 log2 max_over_time min_over_time minute month pi predict_linear
    present_over_time quantile_over_time rad rate resets round scalar sgn sin sinh sort sort_by_label
    sort_by_label_desc sort_desc sqrt stddev_over_time stdvar_over_time sum_over_time tan tanh time timestamp
    vector year
    """
)
_LABEL_WRITERS = ("label_replace", "label_join")

_Selector = Callable[[promql.VectorSelector], str]


def restricted(query: str, tenants: Sequence[str], unowned: frozenset[str] = _NONE) -> str:
    """``query`` over the series of ``tenants`` alone; RefusedError, InvalidQueryError.

    Matchers on the tenant may narrow the tenants: ``=`` and ``!=``, or a regular expression that lists ids
    or is ``.*`` or ``.+``. Selecting none of the tenants is refused. ValueError without a tenant.
    Selectors of a metric in ``unowned`` stay as they are: never give it for a text from outside.
    """
    if not tenants or "" in tenants:
        raise ValueError("at least one tenant is needed, and no empty id")
    return _restricted_text(query, tuple(sorted(set(tenants))), unowned)


def restricted_selector(text: str, tenants: Sequence[str]) -> str:
    """A series selector, as ``match[]`` takes it, over ``tenants`` alone; RefusedError,
    InvalidQueryError, ValueError."""
    node = parsed(text)
    if not isinstance(node, promql.VectorSelector) or node.offset is not None or node.at is not None:
        raise InvalidQueryError("must be a series selector, for example up{job='a'}, without offset and @")
    return restricted(text, tenants)


def count_restricted_selectors(query: str, tenants: Collection[str]) -> int:
    """How many selectors ``query`` has when each selects nothing but ``tenants``; else
    RefusedError, InvalidQueryError."""
    selectors = []

    def count(node: promql.VectorSelector) -> str:
        selectors.append(node)
        return _proven(node, tenants)

    _text(parsed(query), count)
    return len(selectors)


@lru_cache(maxsize=_CACHED_QUERIES)
def _restricted_text(query: str, tenants: tuple[str, ...], unowned: frozenset[str]) -> str:
    node = parsed(query)
    try:
        text = _text(node, partial(_restricted_selector, tenants=tenants, unowned=unowned))
        again = _read_again(text, partial(_proven, tenants=tenants, unowned=unowned))
    except RecursionError as error:
        raise RefusedError("the query is nested too deeply") from error
    if again != text:
        raise RefusedError("the restricted query does not read as it was written")
    return text


def _read_again(text: str, selector: _Selector) -> str:
    """What a text of ours says once it is parsed and written anew; RefusedError."""
    try:
        return _text(tree(text), selector)
    except InvalidQueryError as error:
        raise RefusedError(f"the restricted query cannot be read again: {error}") from error


def _text(node: promql.Expr, selector: _Selector) -> str:
    """``node`` as canonical PromQL, its selectors written by ``selector``; RefusedError for the unknown."""
    match node:
        case promql.NumberLiteral() | promql.StringLiteral():
            return quote(node.val) if isinstance(node, promql.StringLiteral) else _number(node.val)
        case promql.VectorSelector():
            return selector(node) + _moment(node)
        case promql.MatrixSelector():
            inner = node.vector_selector
            return f"{selector(inner)}[{_duration(node.range)}]{_moment(inner)}"
        case promql.ParenExpr():
            return f"({_text(node.expr, selector)})"
        case promql.UnaryExpr():
            return f"-{_operand(node.expr, selector)}"
    return _compound(node, selector)


def _compound(node: promql.Expr, selector: _Selector) -> str:
    match node:
        case promql.SubqueryExpr():
            return _subquery(node, selector)
        case promql.BinaryExpr():
            return _binary(node, selector)
        case promql.AggregateExpr():
            return _aggregation(node, selector)
        case promql.Call():
            return _call(node, selector)
    raise RefusedError(f"{type(node).__name__} is not supported here")


def _operand(node: promql.Expr, selector: _Selector) -> str:
    """``node`` in parentheses, so that precedence does not matter."""
    text = _text(node, selector)
    return text if isinstance(node, promql.ParenExpr) else f"({text})"


def _subquery(node: promql.SubqueryExpr, selector: _Selector) -> str:
    if node.range is None:
        raise RefusedError("a subquery needs a range")
    step = "" if node.step is None else _duration(node.step)
    return f"{_operand(node.expr, selector)}[{_duration(node.range)}:{step}]{_moment(node)}"


def _binary(node: promql.BinaryExpr, selector: _Selector) -> str:
    operator = _allowed_word(str(node.op), _BINARY, "operator")
    left, right = _operand(node.lhs, selector), _operand(node.rhs, selector)
    return f"{left} {operator}{_matching(node.modifier)} {right}"


def _matching(modifier: promql.BinModifier | None) -> str:
    if modifier is None:
        return ""
    fills = modifier.fill_values
    if fills.lhs is not None or fills.rhs is not None:
        raise RefusedError("fill modifiers are not supported here")
    parts = [" bool"] if modifier.return_bool else []
    if modifier.matching is not None:
        is_on = modifier.matching.type == promql.LabelModifierType.Include
        parts.append(f" {'on' if is_on else 'ignoring'} {_labels(modifier.matching.labels)}")
    for cardinality, word in (
        (promql.VectorMatchCardinality.ManyToOne, "group_left"),
        (promql.VectorMatchCardinality.OneToMany, "group_right"),
    ):
        if modifier.card == cardinality:
            parts.append(f" {word} {_labels(modifier.group_labels or ())}")
    return "".join(parts)


def _aggregation(node: promql.AggregateExpr, selector: _Selector) -> str:
    operation = _allowed_word(str(node.op), _AGGREGATIONS, "aggregation")
    if operation == "count_values":
        _check_written_label(node.param)
    grouping = ""
    if node.modifier is not None:
        is_by = node.modifier.type == promql.AggModifierType.By
        grouping = f" {'by' if is_by else 'without'} {_labels(node.modifier.labels)} "
    arguments = ([] if node.param is None else [node.param]) + [node.expr]
    return f"{operation}{grouping}({_joined(arguments, selector)})"


def _call(node: promql.Call, selector: _Selector) -> str:
    name = _allowed_word(node.func.name, _FUNCTIONS, "function")
    if name in _LABEL_WRITERS:
        _check_written_label(node.args[1])
    return f"{name}({_joined(node.args, selector)})"


def _joined(nodes: Iterable[promql.Expr], selector: _Selector) -> str:
    return ", ".join(_text(node, selector) for node in nodes)


def _check_written_label(node: promql.Expr | None) -> None:
    """RefusedError when a label that a query writes is, or may be, the tenant."""
    while isinstance(node, promql.ParenExpr):
        node = node.expr
    if not isinstance(node, promql.StringLiteral):
        raise RefusedError("the label to write must be a string")
    if node.val == TENANT_ID:
        raise RefusedError(f"a query may not write the label {TENANT_ID}")


def _allowed_word(word: str, words: Collection[str], what: str) -> str:
    if word not in words:
        raise RefusedError(f"the {what} {word} is not allowed here")
    return word


def _labels(names: Iterable[str]) -> str:
    for name in names:
        if not _LABEL_NAME.fullmatch(name):
            raise RefusedError(f"{name!r} is not a label name that is supported here")
    return f"({', '.join(names)})"


def _moment(node: promql.VectorSelector | promql.SubqueryExpr) -> str:
    """The ``@`` and ``offset`` of a node, with a blank before each."""
    at = "" if node.at is None else f" @ {_instant(node.at)}"
    return at + (f" offset {_duration(node.offset)}" if node.offset else "")


def _instant(modifier: promql.AtModifier) -> str:
    if modifier.type == promql.AtModifierType.Start:
        return "start()"
    if modifier.type == promql.AtModifierType.End:
        return "end()"
    try:
        since = cast("datetime", modifier.at) - datetime.fromtimestamp(0, UTC)
    except (OverflowError, ValueError) as error:
        raise InvalidQueryError("the time of an @ modifier is out of range") from error
    except BaseException as error:
        raise panic(error) from error
    return f"{round(since / timedelta(milliseconds=1)) / 1000:.3f}"


def _duration(length: timedelta) -> str:
    milliseconds, rest = divmod(abs(length), timedelta(milliseconds=1))
    if rest or not milliseconds:
        raise InvalidQueryError("a duration must be whole milliseconds, and more than none")
    seconds, milliseconds = divmod(milliseconds, 1000)
    if seconds > _LONGEST_SECONDS:
        raise InvalidQueryError(f"a duration is out of range; allowed: at most {_LONGEST_SECONDS}s")
    # The parser cannot read more than 2**32 milliseconds as such.
    parts = (f"{seconds}s" if seconds else "") + (f"{milliseconds}ms" if milliseconds else "")
    return f"-{parts}" if length < timedelta(0) else parts


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Inf" if value > 0 else "-Inf"
    return repr(value)


def _restricted_selector(
    node: promql.VectorSelector, tenants: Collection[str], unowned: frozenset[str] = _NONE
) -> str:
    """A selector of ``tenants``, or of those among them that its own matchers select."""
    matchers = _matchers(node)
    if _is_metric_of(matchers, unowned):
        return _braces(matchers)
    selected = set(tenants)
    for matcher in matchers:
        if matcher.label == TENANT_ID:
            selected = _narrowed(selected, matcher)
    if not selected:
        raise RefusedError(f"a selector on {TENANT_ID} selects no tenant of yours")
    others = [matcher for matcher in matchers if matcher.label != TENANT_ID]
    return _braces([*others, one_of(TENANT_ID, selected)])


def _proven(node: promql.VectorSelector, tenants: Collection[str], unowned: frozenset[str] = _NONE) -> str:
    """The selector as it is; RefusedError unless its one matcher on the tenant selects only ``tenants``."""
    matchers = _matchers(node)
    if _is_metric_of(matchers, unowned):
        return _braces(matchers)
    on_tenant = [matcher for matcher in matchers if matcher.label == TENANT_ID]
    if len(on_tenant) != 1 or not _selects_only(on_tenant[0], tenants):
        raise RefusedError("a selector is not restricted to its tenant")
    return _braces(matchers)


def _is_metric_of(matchers: Iterable[Matcher], names: frozenset[str]) -> bool:
    """Whether a selector is of one metric, by its exact name, which is in ``names``."""
    of_name = [matcher for matcher in matchers if matcher.label == _METRIC]
    return len(of_name) == 1 and of_name[0].op == "=" and of_name[0].value in names


def _selects_only(matcher: Matcher, tenants: Collection[str]) -> bool:
    if matcher.op == "=":
        return matcher.value in tenants
    listed = _listed(matcher.value)
    return matcher.op == "=~" and bool(listed) and set(listed or ()) <= set(tenants)


def _narrowed(tenants: set[str], matcher: Matcher) -> set[str]:
    if matcher.op in ("=", "!="):
        listed = {matcher.value}
    elif matcher.value in _ANYTHING:
        listed = tenants
    else:
        alternatives = _listed(matcher.value)
        if alternatives is None:
            raise RefusedError(
                f"a regular expression on {TENANT_ID} may only list ids, such as a|b, or be .*"
            )
        listed = set(alternatives)
    return tenants & listed if matcher.op in ("=", "=~") else tenants - listed


def _listed(pattern: str) -> list[str] | None:
    """The texts that a regular expression of plain alternatives matches, None for any other.

    Takes ``a|b`` and ``(a|b)``, the two forms that Grafana's variables give.
    """
    if pattern.startswith("(") and pattern.endswith(")") and not pattern.endswith("\\)"):
        pattern = pattern[1:-1]
    if not _ALTERNATIVES.fullmatch(pattern):
        return None
    listed = [""]
    for character in re.findall(r"\\.|.", pattern, re.DOTALL):
        if character == "|":
            listed.append("")
        else:
            listed[-1] += character[-1]
    return listed


def _matchers(node: promql.VectorSelector) -> list[Matcher]:
    if node.matchers.or_matchers:
        raise RefusedError("matchers joined by or are not allowed here")
    name = [] if node.name is None else [Matcher(_METRIC, node.name)]
    return name + [
        Matcher(matcher.name, matcher.value, _OPERATORS[str(matcher.op)])
        for matcher in node.matchers.matchers
    ]


def _braces(matchers: Iterable[Matcher]) -> str:
    try:
        return "{" + ",".join(sorted(map(str, matchers))) + "}"
    except ValueError as error:
        raise RefusedError(f"a label's name is not supported here: {error}") from error
