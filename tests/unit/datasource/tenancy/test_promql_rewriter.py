"""Queries restricted to tenants: what is written, what is refused, what is proven."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable

import promql_parser
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generations import Servers
from modelplane_datasource.tenancy.promql_rewriter import (
    count_restricted_selectors,
    restricted,
    restricted_selector,
)
from modelplane_datasource.tenancy.promql_text import (
    MAX_OPERATORS,
    MAX_QUERY,
    InvalidQueryError,
    RefusedError,
)
from modelplane_provisioning.processes import PATIENCE_SECONDS

RESTRICTED = '{__name__="x",tenant_id="a"}'

WRITTEN = {
    "a name": ("x", RESTRICTED),
    "a name among the matchers": ('{"x"}', RESTRICTED),
    "empty braces": ("x{}", RESTRICTED),
    "no name": ('{job="j"}', '{job="j",tenant_id="a"}'),
    "a name by regular expression": ('{__name__=~".+"}', '{__name__=~".+",tenant_id="a"}'),
    "the same tenant": ('x{tenant_id="a"}', RESTRICTED),
    "a keyword as a name": ("offset", '{__name__="offset",tenant_id="a"}'),
    "every operator": (
        'x{b="1",c!="2",d=~"3",e!~"4"}',
        '{__name__="x",b="1",c!="2",d=~"3",e!~"4",tenant_id="a"}',
    ),
    "a range": ("rate(x[5m])", f"rate({RESTRICTED}[300s])"),
    "a range with offset and @": (
        "rate(x[1h30m] offset -5m @ 7)",
        f"rate({RESTRICTED}[5400s] @ 7.000 offset -300s)",
    ),
    "milliseconds": ("rate(x[1500ms])", f"rate({RESTRICTED}[1s500ms])"),
    "a long range": ("rate(x[1y])", f"rate({RESTRICTED}[31536000s])"),
    "@ start": ("x @ start()", f"{RESTRICTED} @ start()"),
    "@ end": ("x @ end() offset 1w", f"{RESTRICTED} @ end() offset 604800s"),
    "a subquery": (
        "max_over_time(rate(x[5m])[1h:1m] offset 2m)",
        f"max_over_time((rate({RESTRICTED}[300s]))[3600s:60s] offset 120s)",
    ),
    "a subquery without a step": (
        "min_over_time(x[5m:] @ end())",
        f"min_over_time(({RESTRICTED})[300s:] @ end())",
    ),
    "an aggregation": ("sum by (b, tenant_id) (x)", f"sum by (b, tenant_id) ({RESTRICTED})"),
    "an aggregation without": ("SUM(x) WITHOUT (b)", f"sum without (b) ({RESTRICTED})"),
    "a selector in an aggregation's parameter": (
        "topk(scalar(x), x)",
        f"topk(scalar({RESTRICTED}), {RESTRICTED})",
    ),
    "one in a quantile's": ("quantile(scalar(x), x)", f"quantile(scalar({RESTRICTED}), {RESTRICTED})"),
    "a string as a parameter": ('count_values("b", x)', f'count_values("b", {RESTRICTED})'),
    "group_left": (
        "x * on (b) group_left (tenant_id) x",
        f"({RESTRICTED}) * on (b) group_left (tenant_id) ({RESTRICTED})",
    ),
    "group_right": (
        "x / ignoring () group_right () x",
        f"({RESTRICTED}) / ignoring () group_right () ({RESTRICTED})",
    ),
    "bool": ("x > bool 1", f"({RESTRICTED}) > bool (1.0)"),
    "precedence": ("-2 ^ 2", "-((2.0) ^ (2.0))"),
    "set operators": ("x unless x or x", f"(({RESTRICTED}) unless ({RESTRICTED})) or ({RESTRICTED})"),
    "label_replace": (
        'label_replace(x, "b", "$1", "c", "(.*)")',
        f'label_replace({RESTRICTED}, "b", "$1", "c", "(.*)")',
    ),
    "comments": ("x # or secret\n + # x\n x", f"({RESTRICTED}) + ({RESTRICTED})"),
    "escapes": ('x{b="\\x41\\u0042\\"\\\\\\n"}', '{__name__="x",b="AB\\"\\\\\\n",tenant_id="a"}'),
    "unicode": ('x{b="é😀"}', '{__name__="x",b="é😀",tenant_id="a"}'),
    "other quotes": ("x{b='\"', c=`d`}", '{__name__="x",b="\\"",c="d",tenant_id="a"}'),
    "a selector in a string": (
        'x{b="y\\"} or secret{c=\\"z"}',
        '{__name__="x",b="y\\"} or secret{c=\\"z",tenant_id="a"}',
    ),
    "Grafana's health check": ("1+1", "(1.0) + (1.0)"),
    "special numbers": ("Inf - -Inf * NaN", "(Inf) - ((-Inf) * (NaN))"),
    "absence": ("absent(x)", f"absent({RESTRICTED})"),
    "nothing selected": ("vector(time())", "vector(time())"),
}


@pytest.mark.parametrize(("query", "expected"), WRITTEN.values(), ids=WRITTEN)
def test_every_selector_gets_the_tenant(query: str, expected: str) -> None:
    assert restricted(query, ["a"]) == expected


REFUSED = {
    "matchers joined by or": ('x{tenant_id="a" or tenant_id="b"}', "joined by or"),
    "or without the tenant": ('x{b="1" or c="2"}', "joined by or"),
    "another tenant": ('x{tenant_id="b"}', "no tenant of yours"),
    "two tenants at once": ('x{tenant_id="a",tenant_id="b"}', "no tenant of yours"),
    "no tenant": ('x{tenant_id=""}', "no tenant of yours"),
    "all but the tenant": ('x{tenant_id!="a"}', "no tenant of yours"),
    "all but any": ('x{tenant_id!~".*"}', "no tenant of yours"),
    "a pattern of tenants": ('x{tenant_id=~"a.*"}', "may only list ids"),
    "a flag in the pattern": ('x{tenant_id=~"(?i)A"}', "may only list ids"),
    "two groups": ('x{tenant_id=~"(a)|(b)"}', "may only list ids"),
    "the sum of all tenants": ('x{tenant_id="__all__"}', "no tenant of yours"),
    "an escaped other tenant": ('x{tenant_id="\\x62"}', "no tenant of yours"),
    "a quoted label": ('x{"tenant_id"="b"}', "no tenant of yours"),
    "in a parameter": ('topk(scalar(secret{tenant_id="b"}), x)', "no tenant of yours"),
    "in a subquery": ('max_over_time(x{tenant_id="b"}[5m:1m])', "no tenant of yours"),
    "count_values on the tenant": ('count_values("tenant_id", x)', "may not write"),
    "the same in parentheses": ('count_values(("tenant_id"), x)', "may not write"),
    "the same escaped": ('count_values("tenant\\x5fid", x)', "may not write"),
    "label_replace on the tenant": ('label_replace(x, "tenant_id", "b", "", "")', "may not write"),
    "label_join on the tenant": ('label_join(x, "tenant_id", "", "b")', "may not write"),
    "info": ("info(x)", "function info is not allowed"),
    "info with a selector": ('info(x, {b="c"})', "function info is not allowed"),
    "a function of newer versions": ("start()", "function start is not allowed"),
    "an experimental aggregation": ("limitk(1, x)", "aggregation limitk is not allowed"),
    "fill": ("x + fill(0) x", "fill modifiers"),
    "a label in other letters": ('x{"b\\"} or y{c"="d"}', "label"),
    "an empty label": ('{""="b"}', "label"),
    "grouping by other letters": ('sum by ("b) (y) or (x") (x)', "label"),
    "joining on other letters": ('x + on ("b c") x', "label"),
}


@pytest.mark.parametrize(("query", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_proven_is_refused_with_a_reason(query: str, reason: str) -> None:
    with pytest.raises(RefusedError, match=reason):
        restricted(query, ["a"])


@pytest.mark.parametrize(
    "query",
    ["", "# only a comment", "x{", "x[5m", "sum(", "{}", '{b!="c"}', "foo(x)", "x[5m + 1m]", "\ud800"],
)
def test_what_is_no_query_is_invalid(query: str) -> None:
    with pytest.raises(InvalidQueryError, match="parse error"):
        restricted(query, ["a"])


TIMES = {
    "a time before 1970": "x @ -5",
    "a far time": "x @ 99999999999999",
    "a time after the year 9999": "x @ 253402300800",
    "a time in microseconds": "x @ 1e15",
    "of a range": "rate(x[5m] @ 1e15)",
    "of a subquery": "max_over_time(x[5m:] @ 1e18 offset 1m)",
    "no time at all": "x @ 1e300",
    "a duration that makes the parser panic": "x[1e30]",
    "an offset that makes the parser panic": "x offset 1e30",
    "a duration that the parser cannot read again": "x[292y]",
    "a far offset": "x offset -200y",
}


@pytest.mark.parametrize("query", TIMES.values(), ids=TIMES)
def test_a_time_out_of_range_is_invalid(query: str) -> None:
    with pytest.raises(InvalidQueryError, match="out of range"):
        restricted(query, ["a"])


@pytest.mark.parametrize("query", ["x[0]", "x[0.0001]", "x offset 0.0001", "max_over_time(x[5m:0])"])
def test_a_duration_is_whole_milliseconds(query: str) -> None:
    with pytest.raises(InvalidQueryError, match="whole milliseconds"):
        restricted(query, ["a"])


def test_the_longest_duration_is_read_again() -> None:
    assert restricted("x[4294967295s]", ["a"]) == f"{RESTRICTED}[4294967295s]"


@pytest.mark.parametrize(
    "query",
    [
        "x[5m*2]", "rate(x[5m + 1m])", "x[5m:1m/2]", "x[(5m)]", "x[step()]", "x[max(step(), 5m)]", "x[2^3]",
        "x offset (5m*2)", "x offset -(1m)", "x offset step()", 'x{b="]"}[5m % 2m]', "x[5m-1m] # [5m]",
    ],
)  # fmt: skip
def test_arithmetic_in_durations_has_a_sentence(query: str) -> None:
    with pytest.raises(InvalidQueryError, match="arithmetic in a duration is not supported here"):
        restricted(query, ["a"])


@pytest.mark.parametrize("query", ['x{b="[5m*2]"', '"offset (5m" + x{', "x[5m # *2", "x[-5m]"])
def test_other_mistakes_are_not_called_arithmetic(query: str) -> None:
    with pytest.raises(InvalidQueryError, match=r"^parse error: (?!arithmetic)"):
        restricted(query, ["a"])


def test_arithmetic_with_an_offset_is_none_in_it() -> None:
    assert restricted("x offset 5m * 2", ["a"]) == f"({RESTRICTED} offset 300s) * (2.0)"


NARROWED = {
    "none": ("x", '=~"a|b|c"'),
    "one": ('x{tenant_id="b"}', '="b"'),
    "all but one": ('x{tenant_id!="b"}', '=~"a|c"'),
    "Grafana's list": ('x{tenant_id=~"(a|c)"}', '=~"a|c"'),
    "a list with others": ('x{tenant_id=~"b|d|__all__|"}', '="b"'),
    "all but a list": ('x{tenant_id!~"a|d"}', '=~"b|c"'),
    "Grafana's All": ('x{tenant_id=~".*"}', '=~"a|b|c"'),
    "any": ('x{tenant_id=~".+",tenant_id!=""}', '=~"a|b|c"'),
    "several matchers": ('x{tenant_id=~"a|b",tenant_id!="a"}', '="b"'),
}


@pytest.mark.parametrize(("query", "expected"), NARROWED.values(), ids=NARROWED)
def test_matchers_narrow_several_tenants(query: str, expected: str) -> None:
    assert restricted(query, ["c", "a", "b", "a"]) == f'{{__name__="x",tenant_id{expected}}}'


def test_ids_are_escaped_in_a_list_of_tenants() -> None:
    assert restricted("x", ["a.b", "c|d"]) == '{__name__="x",tenant_id=~"a\\\\.b|c\\\\|d"}'
    assert restricted('x{tenant_id=~"a\\\\.b"}', ["a.b", "c|d"]) == '{__name__="x",tenant_id="a.b"}'


@pytest.mark.parametrize("tenants", [[], [""], ["a", ""]])
def test_without_a_tenant_nothing_is_written(tenants: list[str]) -> None:
    with pytest.raises(ValueError, match="at least one tenant"):
        restricted("x", tenants)


def test_a_series_selector_has_no_times() -> None:
    assert restricted_selector('x{b="c"}', ["a"]) == '{__name__="x",b="c",tenant_id="a"}'
    for text in ("x offset 5m", "x @ 5", "x[5m]", "sum(x)", "(x)", "1"):
        with pytest.raises(InvalidQueryError, match="series selector"):
            restricted_selector(text, ["a"])


def test_own_selectors_are_counted() -> None:
    assert count_restricted_selectors('x{tenant_id="a"} / y{tenant_id=~"a|b"}', ["a", "b"]) == 2
    assert count_restricted_selectors("vector(1)", ["a"]) == 0
    for query in ("x", 'x{tenant_id="b"}', 'x{tenant_id!="b"}', 'x{tenant_id=~"a|b"}', 'x{tenant_id=~"a?"}'):
        with pytest.raises(RefusedError):
            count_restricted_selectors(query, ["a"])


DEEP: dict[str, Callable[[int], str]] = {
    "parentheses": lambda n: "(" * n + "x" + ")" * n,
    "signs": lambda n: "-" * n + "x",
    "sums": lambda n: "+".join(["x"] * (n + 1)),
    "powers": lambda n: "^".join(["x"] * (n + 1)),
    "calls": lambda n: "abs(" * n + "x" + ")" * n,
    "aggregations": lambda n: "sum(" * n + "x" + ")" * n,
}


@pytest.mark.slow
@pytest.mark.parametrize("nested", DEEP.values(), ids=DEEP)
def test_depth_has_a_limit_that_fits_the_stack_of_a_thread(nested: Callable[[int], str]) -> None:
    result: list[str] = []
    thread = threading.Thread(target=lambda: result.append(restricted(nested(MAX_OPERATORS), ["a"])))
    thread.start()
    thread.join()
    assert 'tenant_id="a"' in result[0]
    with pytest.raises(RefusedError, match="operators"):
        restricted(nested(MAX_OPERATORS + 1), ["a"])


def test_what_overflows_the_stack_is_refused() -> None:
    nested = "(" * MAX_OPERATORS + "x" + ")" * MAX_OPERATORS
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(_frames() + MAX_OPERATORS // 2)
    try:
        with pytest.raises(RefusedError, match="nested too deeply"):
            restricted(nested, ["deep"])
    finally:
        sys.setrecursionlimit(limit)


def _frames() -> int:
    frame, count = sys._getframe(), 0
    while frame.f_back is not None:
        frame, count = frame.f_back, count + 1
    return count


def test_operators_in_strings_and_comments_do_not_count() -> None:
    text = "-(" * MAX_OPERATORS
    for query in (
        f'x{{b="{text}"}}',
        f"x{{b='{text}'}}",
        f"x{{b=`{text}`}}",
        f"x # {text}",
        f'x{{b="\\"{text}"}}',
    ):
        assert 'tenant_id="a"' in restricted(query, ["a"])


def test_length_has_a_limit() -> None:
    with pytest.raises(RefusedError, match=f"at most {MAX_QUERY}"):
        restricted("x" * (MAX_QUERY + 1), ["a"])


# Ids that break a naive printer or a naive pattern.
IDS = st.text(st.sampled_from("ab|\\\"{}().*+?^$\n\t'`,=~#é😀"), min_size=1, max_size=6)


@pytest.mark.slow
@given(st.lists(IDS, min_size=1, max_size=3, unique=True))
@settings(max_examples=200)
def test_any_id_is_selected_and_nothing_else(tenants: list[str]) -> None:
    text = restricted("x", tenants)
    tree = promql_parser.parse(text)
    assert isinstance(tree, promql_parser.VectorSelector)
    name, matcher = tree.matchers.matchers
    assert (name.name, matcher.name) == ("__name__", "tenant_id")
    assert count_restricted_selectors(text, tenants) == 1
    for tenant in tenants if len(tenants) > 1 else []:
        others = [other for other in tenants if other != tenant]
        with pytest.raises(RefusedError):
            count_restricted_selectors(text, others)


FRAGMENTS = st.sampled_from(
    ["x", "y{", "}", "tenant_id", "=", "=~", "!=", '"a"', '"b"', '"a|b"', " or ", ",", "(", ")", "[5m]",
     "[5m:]", "sum", "topk", "by", "on", "group_left", " offset ", "5m", " @ ", "1", "start()", "+", "-", "#",
     "\n", "\\", '"', "'", "`", "\u2028", "\x00", "count_values", "label_replace", "info", "absent",
     "__name__",
     "{", " "]
)  # fmt: skip


@pytest.mark.slow
@given(st.one_of(st.lists(FRAGMENTS, max_size=25).map("".join), st.text(max_size=40)))
@settings(max_examples=500)
def test_any_text_is_restricted_or_refused(text: str) -> None:
    try:
        written = restricted(text, ["a"])
    except (RefusedError, InvalidQueryError):
        return
    assert restricted(written, ["a"]) == written
    assert count_restricted_selectors(written, ["a"]) == written.count('tenant_id="a"')


def test_our_text_means_the_same_to_prometheus(servers: Servers) -> None:
    """promtool reads every text that is written, with the parser of Prometheus itself."""
    rules = "\n".join(
        f"  - record: r{number}\n    expr: {_yaml(restricted(query, ['a']))}"
        for number, (query, _) in enumerate(WRITTEN.values())
    )
    ran = subprocess.run(
        [servers.promtool, "check", "rules", "--lint=none", "/dev/stdin"],
        input=f"groups:\n- name: written\n  rules:\n{rules}\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def _yaml(text: str) -> str:
    escaped = text.replace("'", "''")
    return f"'{escaped}'"
