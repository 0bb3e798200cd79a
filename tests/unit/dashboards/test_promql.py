"""Every PromQL expression parses and obeys the rules for queries, for any name of a tenant or model."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import promql_parser
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dashboards_support.grafana_variables import variables_in
from modelplane_dashboards import Board, build, expand, panel_queries, render
from modelplane_dashboards.promql import confidence_share
from modelplane_dashboards.scope import BoardScope
from modelplane_schema.metrics import METRICS, RESERVED_TENANTS
from modelplane_schema.promql import escape_regex
from modelplane_schema.recorded import RECORDED
from modelplane_schema.registry import Registry

VALUES = {
    "__rate_interval": "1m",
    "__interval": "15s",
    "__from": "1700000000000",
    "__to": "1700003600000",
    "tenant": "(a|b)",
    "model": "(a|b)",
    "version": ".+",
}
VARIABLES = {"$tenant", "$model", "$version", "$tenant|", "$model|", "$version|"}
SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("",), "gauge": ("",)}
SERIES = {metric.name + suffix: metric for metric in METRICS for suffix in SUFFIXES[metric.type]}
COUNTERS = {name for name, metric in SERIES.items() if metric.type != "gauge"}
LABELS: dict[str, tuple[str, ...]] = {
    **{name: metric.labels for name, metric in SERIES.items()},
    **{series.name: series.labels for series in RECORDED},
    "ALERTS": ("tenant_id", "model_name", "model_version"),
}

NAMES = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=30) | st.text(
    "$[]{}()|\\\"'.*+?^,&=%#/:;`~ aé", min_size=1, max_size=30
)


def expressions(boards: Iterable[Board]) -> Iterator[str]:
    """All PromQL of ``boards``: panels, annotations and variables."""
    for query in panel_queries(boards):
        if query.datasource == "prometheus":
            yield query.text
    for board in boards:
        yield from (annotation.expr for annotation in board.annotations)
        yield from (re.sub(r"^label_values\((.*), \w+\)$", r"\1", item.query) for item in board.variables)


def nodes(expression: Any) -> list[Any]:
    visited: list[Any] = []
    promql_parser.walk(expression, pre_visit=lambda node: visited.append(node))
    return visited


def selectors(text: str) -> list[Any]:
    return [node for node in nodes(parse(text)) if isinstance(node, promql_parser.VectorSelector)]


def parse(text: str) -> Any:
    return promql_parser.parse(expand(text, VALUES))


def matchers(selector: Any) -> dict[str, list[str]]:
    by_name: dict[str, list[str]] = {}
    for matcher in selector.matchers.matchers:
        by_name.setdefault(matcher.name, []).append(matcher.value)
    return by_name


def registry_of(tenant: str, model: str) -> Registry:
    return Registry.model_validate(
        {
            "apiVersion": "modelplane/v1",
            "tenants": [{"id": tenant, "name": tenant}],
            "models": [
                {
                    "name": model,
                    "framework": "pytorch",
                    "owner": "x",
                    "tenants": [tenant],
                    "versions": [{"version": "v1"}],
                }
            ],
        }
    )


def registry_of_or_skip(tenant: str, model: str) -> Registry:
    assume(all(text.isprintable() and text.strip() for text in (tenant, model)))
    assume(tenant.strip() not in RESERVED_TENANTS)  # the registry refuses them
    return registry_of(tenant, model)


def test_every_expression_parses(boards: tuple[Board, ...]) -> None:
    assert len([parse(text) for text in expressions(boards)]) > 100


def test_selectors_name_declared_series(boards: tuple[Board, ...]) -> None:
    for text in expressions(boards):
        assert {selector.name for selector in selectors(text)} <= LABELS.keys(), text


def test_selectors_match_every_label_that_the_board_fixes_or_offers(boards: tuple[Board, ...]) -> None:
    for query in panel_queries(boards):
        if query.datasource == "api":
            continue
        for selector in selectors(query.text):
            identity = {"tenant_id", "model_name", "model_version"} & set(LABELS[selector.name])
            assert identity <= matchers(selector).keys(), query


def test_fixed_names_are_equality_matchers(boards: tuple[Board, ...], registry: Registry) -> None:
    tenant, model = registry.tenants[0].id, registry.models[0].name
    for uid, text in ((f"mp-tenant-{tenant}", f'tenant_id="{tenant}"'), (f"mp-model-{model}", f'"{model}"')):
        queries = [query for query in panel_queries(boards) if query.board_uid == uid]
        calls = [query.text for query in queries if "model_inference" in query.text]
        assert calls
        assert all(text in call for call in calls)


def test_variables_are_matched_by_pattern(boards: tuple[Board, ...]) -> None:
    for text in expressions(boards):
        for operator, value in re.findall(r'(=~|!~|!=|=)"(\$[^"]*)"', text):
            assert (operator, value in VARIABLES) == ("=~", True), text


def test_counters_are_only_read_through_a_rate(boards: tuple[Board, ...]) -> None:
    for text in expressions(boards):
        tree = nodes(parse(text))
        rated = [
            argument.vector_selector.name
            for call in tree
            if isinstance(call, promql_parser.Call) and call.func.name == "rate"
            for argument in call.args
        ]
        read = [node.name for node in tree if isinstance(node, promql_parser.VectorSelector)]
        assert sorted(name for name in read if name in COUNTERS) == sorted(rated), text


def test_every_range_is_the_rate_interval(boards: tuple[Board, ...]) -> None:
    ranges = [item for text in expressions(boards) for item in re.findall(r"\[([^\]]*)\]", text)]
    assert set(ranges) == {"$__rate_interval"}


def test_ratios_never_divide_by_zero(boards: tuple[Board, ...]) -> None:
    for text in expressions(boards):
        assert text.count(" / ") == text.count(" > 0)"), text


def test_the_firing_alerts_stat_is_zero_and_not_empty_without_alerts(boards: tuple[Board, ...]) -> None:
    texts = [query.text for query in panel_queries(boards) if query.text.startswith("count(max")]
    assert len(texts) == len(boards)
    assert all(text.endswith(" or vector(0)") for text in texts)


def test_a_tenants_alerts_include_those_about_its_models_alone() -> None:
    scope = BoardScope(by=(), tenant="t", models=("m.1", "m2"))
    named, shared = (matchers(selector) for selector in selectors(scope.firing()))
    assert named["tenant_id"] == ["t"]
    assert shared["tenant_id"] == [""]
    assert shared["model_name"] == ["(a|b)", r"m\.1|m2"]


def test_a_share_needs_a_bound_of_the_histogram() -> None:
    with pytest.raises(ValueError, match="is not a bound"):
        confidence_share(0.55, BoardScope(by=()))


@settings(max_examples=60)
@given(tenant=NAMES, model=NAMES)
def test_any_printable_name_is_matched_literally(tenant: str, model: str) -> None:
    registry = registry_of_or_skip(tenant, model)
    tenant, model = registry.tenants[0].id, registry.models[0].name
    _, tenant_board, model_board = build(registry)
    for text in expressions([tenant_board]):
        for selector in selectors(text):
            values = matchers(selector)
            if "tenant_id" in values and values["tenant_id"] != [""]:
                assert values["tenant_id"] == [tenant]
            else:
                assert values["model_name"] == ["(a|b)", model] or values["model_name"] == [
                    "(a|b)",
                    escape_regex(model),
                ]
    for text in expressions([model_board]):
        assert all(matchers(selector)["model_name"] == [model] for selector in selectors(text))


@settings(max_examples=60)
@given(tenant=NAMES, model=NAMES)
def test_grafana_finds_only_our_variables_in_any_board(tenant: str, model: str) -> None:
    boards = build(registry_of_or_skip(tenant, model))
    known = {"tenant", "model", "version", "__rate_interval", "__interval", "__from", "__to"}
    for text in (*expressions(boards), *(query.text for query in panel_queries(boards))):
        assert variables_in(text) <= known, text


@settings(max_examples=60)
@given(tenant=NAMES, model=NAMES)
def test_any_printable_name_gives_valid_json_and_exact_parameters(tenant: str, model: str) -> None:
    registry = registry_of_or_skip(tenant, model)
    tenant, model = registry.tenants[0].id, registry.models[0].name
    boards = build(registry)
    for board in boards:
        content = render(board)
        assert json.loads(json.dumps(content)) == content
    for query in panel_queries(boards):
        if query.datasource == "api":
            url = expand(query.text, VALUES | dict(query.defaults))
            parameters = parse_qs(urlsplit(url).query, strict_parsing=True)
            assert parameters.get("tenant-id", [tenant]) == [tenant]
            assert parameters.get("model-name", [model]) == [model]


@pytest.mark.parametrize(
    "name", ["$tenant", "${model}", "[[version]]", 'a"} or up{x="', "a|b", "a\\", "é$", "`{{x}}`"]
)
def test_hostile_names(name: str) -> None:
    _, tenant_board, model_board = build(registry_of(name, name))
    for board in (tenant_board, model_board):
        board_selectors = [selector for text in expressions([board]) for selector in selectors(text)]
        assert any([name] in matchers(selector).values() for selector in board_selectors)
        assert {selector.name for selector in board_selectors} <= LABELS.keys()
