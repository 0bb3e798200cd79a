"""Selectors cannot be broken out of, and uids are stable and distinct."""

from __future__ import annotations

import re

import promql_parser
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from modelplane_schema.promql import Matcher, escape_regex, one_of, selector
from modelplane_schema.uids import MAX_UID, dashboard_uid

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@given(texts, st.sampled_from(["=", "!="]))
@example('a"} or up{x="', "=")
@example("back\\slash", "=")
@example("line\nbreak\r\t\0", "=")
def test_a_matcher_means_exactly_its_value(value: str, op: str) -> None:
    tree = promql_parser.parse(selector("up", [Matcher("tenant_id", value, op)]))
    assert isinstance(tree, promql_parser.VectorSelector)
    (matcher,) = tree.matchers.matchers
    assert (matcher.name, matcher.value) == ("tenant_id", value)


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


@given(st.sampled_from(["tenant", "model"]), st.text(min_size=1, max_size=200))
def test_uids_are_valid_for_any_name(kind: str, name: str) -> None:
    uid = dashboard_uid(kind, name)
    assert re.fullmatch(r"[a-z0-9-]+", uid)
    assert uid.startswith(f"mp-{kind}-")
    assert not uid.endswith("-")
    assert len(uid) <= MAX_UID
    assert uid == dashboard_uid(kind, name)


def test_a_hash_is_appended_exactly_when_the_slug_is_lossy_or_long() -> None:
    assert dashboard_uid("tenant", "user-a") == "mp-tenant-user-a"
    assert re.fullmatch(r"mp-tenant-user-a-[0-9a-f]{6}", dashboard_uid("tenant", "user-A"))
    assert re.fullmatch(r"mp-tenant-[0-9a-f]{6}", dashboard_uid("tenant", "日本"))
    long_uid = dashboard_uid("model", "a" * 100)
    assert re.fullmatch(r"mp-model-a+-[0-9a-f]{6}", long_uid)
    assert len(long_uid) == MAX_UID
    assert len({dashboard_uid("tenant", name) for name in ("user-A", "user_a", "USER A", "user-a")}) == 4
