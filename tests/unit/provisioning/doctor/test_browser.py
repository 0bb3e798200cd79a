"""Variables, All and repeats of a dashboard's JSON become queries as in the browser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from modelplane_provisioning.doctor.browser import Selected, interpolated, targets, variable_values

TENANTS = ["a.b", "c"]


def variable(name: str, value: Any, **keys: Any) -> dict[str, Any]:
    return {"name": name, "type": "query", "current": {"value": value}, **keys}


def panel(title: str, expr: str, **keys: Any) -> dict[str, Any]:
    target = {"refId": "A", "expr": expr, "datasource": {"uid": "${datasource}", "type": "prometheus"}}
    return {"type": "stat", "title": title, "targets": [target], **keys}


def asked(panels: Sequence[Mapping[str, Any]], *variables: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    source = {"name": "datasource", "type": "datasource", "current": {"value": "prom"}}
    dashboard = {"templating": {"list": [source, *variables]}, "panels": panels}
    values = variable_values(dashboard, {"model": "m.1"}, {"tenant": TENANTS})
    return [(each.panel, each.uid, each.content["expr"]) for each in targets(dashboard, values)]


ALL = variable("tenant", ["$__all"], multi=True, includeAll=True, allValue=".+")
EACH = variable("tenant", ["$__all"], multi=True, includeAll=True)


@pytest.mark.parametrize(
    ("chosen", "expr", "result"),
    [
        (ALL, 'x{t=~"$tenant"}', 'x{t=~".+"}'),
        (EACH, 'x{t=~"$tenant"}', r'x{t=~"(a\.b|c)"}'),
        (variable("tenant", ["c"], multi=True), 'x{t=~"${tenant}"}', 'x{t=~"c"}'),
        (variable("model", ""), 'x{t="$model"}', 'x{t="m.1"}'),
        (variable("other", "v"), 'x{t="[[other]]"}', 'x{t="v"}'),
        (ALL, "rate(x[$__rate_interval])", "rate(x[$__rate_interval])"),
        (ALL, "x $unknown", "x $unknown"),
    ],
)
def test_variables_in_promql(chosen: Mapping[str, Any], expr: str, result: str) -> None:
    assert asked([panel("p", expr)], chosen) == [("p", "prom", result)]


def test_addresses_are_encoded() -> None:
    values = {"tenant": Selected((), ".+", is_multiple=True), "name": Selected(("a b&c",))}
    text = interpolated(
        "/api?t=${tenant:percentencode}&n=${name:percentencode}&f=${__from}", values, is_pattern=False
    )
    assert text == "/api?t=.%2B&n=a%20b%26c&f=${__from}"


def test_a_repeated_panel_asks_once_for_each_value_and_never_with_all() -> None:
    repeated = panel("of $tenant", 'x{t=~"$tenant"}', repeat="tenant")
    assert asked([repeated], ALL) == [("of a.b", "prom", r'x{t=~"a\.b"}'), ("of c", "prom", 'x{t=~"c"}')]


def test_a_repeated_row_repeats_what_lies_below_it_up_to_the_next_row() -> None:
    row = {"type": "row", "title": "r", "repeat": "tenant", "panels": []}
    other_row = {"type": "row", "title": "s", "panels": [panel("folded", "z")]}
    below = [row, panel("p", 'x{t=~"$tenant"}'), other_row]
    assert asked(below, ALL) == [
        ("p", "prom", r'x{t=~"a\.b"}'),
        ("p", "prom", 'x{t=~"c"}'),
        ("folded", "prom", "z"),
    ]


def test_hidden_queries_and_panels_without_any_ask_nothing() -> None:
    hidden = panel("p", "x")
    hidden["targets"][0]["hide"] = True
    assert asked([hidden, {"type": "text", "title": "t"}], ALL) == []
