"""Selectors cannot be broken out of, and sums and ratios say what they are over."""

from __future__ import annotations

import re

import promql_parser
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from modelplane_schema.promql import Matcher, MatchOp, escape_regex, one_of, rate, ratio, selector, total

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@pytest.mark.slow
@given(texts, st.sampled_from(["=", "!="]))
@example('a"} or up{x="', "=")
@example("back\\slash", "=")
@example("line\nbreak\r\t\0", "=")
def test_a_matcher_means_exactly_its_value(value: str, op: MatchOp) -> None:
    tree = promql_parser.parse(selector("up", [Matcher("tenant_id", value, op)]))
    assert isinstance(tree, promql_parser.VectorSelector)
    (matcher,) = tree.matchers.matchers
    assert (matcher.name, matcher.value) == ("tenant_id", value)


@pytest.mark.slow
@given(st.lists(texts, min_size=1, max_size=4, unique=True))
def test_one_of_matches_exactly_the_values(values: list[str]) -> None:
    matcher = one_of("tenant_id", values)
    if matcher.op == "=":
        assert matcher.value == values[0]
        return
    for value in values:
        assert re.fullmatch(matcher.value, value, re.DOTALL)
        assert not re.fullmatch(matcher.value, value + "x", re.DOTALL) or value + "x" in values


@given(texts)
def test_an_escaped_text_is_a_literal_pattern(text: str) -> None:
    assert re.fullmatch(escape_regex(text), text, re.DOTALL)


def test_names_are_checked() -> None:
    with pytest.raises(ValueError, match="not a metric name"):
        selector("up{}")
    with pytest.raises(ValueError, match="not a label name"):
        selector("up", [Matcher('a="1",b', "x")])


def test_a_total_is_for_each_combination_of_labels_or_over_all() -> None:
    assert total(rate("a_total", "5m"), ("x", "y")) == "sum by (x, y) (rate(a_total[5m]))"
    assert total("a") == "sum(a)"


def test_a_ratio_is_absent_or_nan_where_the_divisor_is_zero() -> None:
    assert ratio("a", "b") == "a / (b > 0)"
    assert ratio("a", "b", keep_nan=True) == "a / b"
