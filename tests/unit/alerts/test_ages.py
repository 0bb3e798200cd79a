"""What is of different ages, and how ages are counted. That no rule mixes them is one of the conventions."""

from __future__ import annotations

import pytest

from modelplane_alerts.checks.ages import ages, mixed
from modelplane_alerts.checks.syntax_tree import parse


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
    assert bool(mixed(parse(text), {"c": 1, "n": 2})) == is_mixed


def test_ages_are_counted_from_what_is_scraped() -> None:
    expressions = {"n": ["sum(c)"], "c": ["rate(raw_total[5m])"], "psi": ["c + 1", "n or x:config"]}
    assert ages(expressions) == {"c": 1, "n": 2, "psi": 3}
    with pytest.raises(ValueError, match="circle: a, b"):
        ages({"a": ["b"], "b": ["a"]})
