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
from modelplane_dashboards import Board, build, expand, model_board, panel_queries, render, tenant_board
from modelplane_dashboards.kit.board import MAX_SERIES, PromQuery
from modelplane_dashboards.kit.views import TimeSeries
from modelplane_dashboards.measures.growth import FAULT_WINDOW
from modelplane_schema.metrics import METRICS, RESERVED_TENANTS
from modelplane_schema.plane_series import PLANE_SERIES
from modelplane_schema.recorded import RECORDED
from modelplane_schema.registry import Registry
from modelplane_schema.series_labels import SERIES_LABELS, is_constant

VALUES = {
    "__rate_interval": "1m",
    "__interval": "15s",
    "__from": "1700000000000",
    "__to": "1700003600000",
    "cluster": ".*",
    "tenant": "(a|b)",
    "model": "(a|b)",
    "version": ".+",
    "kind": "input",
    "signal": "age",
    "slo": ".+",
    "device": ".+",
}
VARIABLES = {"$cluster", "$tenant", "$model", "$version", "$kind", "$signal", "$slo", "$device"}
GAUGES = {metric.name for metric in (*METRICS, *PLANE_SERIES) if metric.type == "gauge"}
SCRAPED = SERIES_LABELS.keys() - {series.name for series in RECORDED}
COUNTERS = SCRAPED - GAUGES
LABELS: dict[str, tuple[str, ...]] = {**SERIES_LABELS, "ALERTS": ("tenant_id", "model_name", "model_version")}

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
        yield from (item.menu.expr for item in board.variables)


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


@pytest.mark.slow
def test_selectors_match_the_cluster_and_every_label_that_the_board_limits(boards: tuple[Board, ...]) -> None:
    """Or the board of a tenant, model or cluster would show others'."""
    for board in boards:
        limited = {label for label in ("tenant_id", "model_name", "model_version") if limits(board, label)}
        of_all = {
            panel.title for section in board.sections if section.key == "all" for panel in section.panels
        }
        of_all |= WIDER.get(board.uid, set())
        for query in panel_queries([board]):
            if query.datasource == "api" or query.panel_title in of_all:
                continue
            for selector in selectors(query.text):
                wanted = limited & set(LABELS[selector.name])
                wanted |= set() if is_constant(selector.name) else {"cluster"}
                assert wanted <= matchers(selector).keys(), query


# Devices are shared by tenants, and a budget is for all models of a tenant.
WIDER = {
    "mp-cost": {
        "Idle of devices",
        "Worst budget pace",
        "Tenants, dearest first",
        "Devices by model, dearest first",
    }
}


def test_only_boards_over_all_have_a_section_of_all(boards: tuple[Board, ...]) -> None:
    with_all = {board.uid for board in boards if any(section.key == "all" for section in board.sections)}
    assert with_all == {"mp-drift", "mp-slo"}


def limits(board: Board, label: str) -> bool:
    """Whether a board has a variable for a label, or is about one value of it."""
    variable = {"tenant_id": "tenant", "model_name": "model", "model_version": "version"}[label]
    return variable in {item.name for item in board.variables} or (
        board.entity != "" and board.kind == variable
    )


def test_boards_over_many_read_what_is_recorded(boards: tuple[Board, ...]) -> None:
    """A scraped series has a line for each tenant, model, version and replica: only one of them is cheap."""
    for query in panel_queries(boards):
        if query.datasource == "prometheus":
            for selector in selectors(query.text):
                if selector.name in SCRAPED and "tenant_id" in LABELS[selector.name]:
                    named = {
                        m.name for m in selector.matchers.matchers if m.op == promql_parser.MatchOp.Equal
                    }
                    assert named & {"tenant_id", "model_name"}, query


def test_variables_are_matched_as_they_can_be_chosen(boards: tuple[Board, ...]) -> None:
    """A variable with All by a pattern, one with a single value literally."""
    for board in boards:
        operators = {f"${item.name}": "=~" if item.all_value else "=" for item in board.variables}
        for text in expressions([board]):
            for operator, value in re.findall(r'(=~|!~|!=|=)"(\$[^"]*)"', text):
                name = value.removesuffix("|")
                assert name in VARIABLES, text
                assert operator == operators[name], text


def test_counters_are_only_read_through_a_rate(boards: tuple[Board, ...]) -> None:
    for text in expressions(boards):
        tree = nodes(parse(text))
        rated = [
            argument.vector_selector.name
            for call in tree
            if isinstance(call, promql_parser.Call) and call.func.name in ("rate", "increase")
            for argument in call.args
        ]
        read = [node.name for node in tree if isinstance(node, promql_parser.VectorSelector)]
        assert sorted(name for name in read if name in COUNTERS) == sorted(rated), text


def test_every_range_is_the_rate_interval_or_that_of_the_faults_alerts(boards: tuple[Board, ...]) -> None:
    """What looks back further asks what is recorded again and again: a range with a step."""
    ranges = {item for text in expressions(boards) for item in re.findall(r"\[([^\]]*)\]", text)}
    assert {item for item in ranges if not re.fullmatch(r"\d+[mhd]:\d+[mhd]", item)} == {
        "$__rate_interval", FAULT_WINDOW,
    }  # fmt: skip


def test_a_board_measures_a_quantity_over_one_window(boards: tuple[Board, ...]) -> None:
    """Two panels would say different numbers for one thing."""
    for board in boards:
        names = {selector.name for text in expressions([board]) for selector in selectors(text)}
        scraped = {quantity for quantity in RATED if any(name.startswith(quantity) for name in names)}
        recorded = {quantity for quantity, level in RATED.items() if any(level in name for name in names)}
        assert not scraped & recorded, board.uid


RATED = {
    "model_inference_requests_total": "calls:rate5m",
    "model_inference_latency_seconds_bucket": "latency_buckets:rate5m",
    "model_prediction_confidence": "confidence_",
    "model_active_inference_requests": "active:sum",
}


def test_ratios_never_divide_by_zero(boards: tuple[Board, ...]) -> None:
    for text in expressions(boards):
        divisors = re.findall(r" / (.{0,120})", text)
        constant = [part for part in divisors if ":config" in part or re.match(r"\d", part)]
        assert text.count(" > 0)") >= len(divisors) - len(constant), text


# Labels with few values, so that lines of a graph are few whatever the registry.
OF_THE_PLANE = {"job", "instance", "state", "integration", "operation", "result"}
FEW = OF_THE_PLANE | {
    "le",
    "outcome",
    "model_version",
    "slo",
    "device_type",
    "currency",
    "kind",
    "severity",
    "method",
    "window",
}


def test_no_graph_draws_more_than_20_lines(boards: tuple[Board, ...]) -> None:
    for board in boards:
        for panel in board.panels:
            if not isinstance(panel.view, TimeSeries):
                continue
            for query in panel.queries:
                if isinstance(query, PromQuery) and query.style != "limit":
                    labels = set(re.findall(r"\{\{(\w+)\}\}", query.legend))
                    bounds = [int(count) for count in re.findall(r"topk\((\d+)", query.expr)]
                    assert labels <= FEW or any(count <= MAX_SERIES for count in bounds), (
                        board.uid,
                        panel.title,
                    )


def test_the_highest_are_those_at_the_end_of_the_range(boards: tuple[Board, ...]) -> None:
    for board in boards:
        for panel in board.panels:
            for query in panel.queries:
                if (
                    isinstance(panel.view, TimeSeries)
                    and isinstance(query, PromQuery)
                    and "topk" in query.expr
                ):
                    assert "@ end()" in query.expr.partition("topk")[2], panel.title


def test_the_firing_alerts_stat_is_zero_and_not_empty_without_alerts(boards: tuple[Board, ...]) -> None:
    texts = [query.text for query in panel_queries(boards) if query.panel_title == "Firing alerts"]
    assert texts
    assert all(text.endswith(" or vector(0)") for text in texts)


def entity_boards(registry: Registry) -> tuple[Board, Board]:
    return tenant_board(registry, registry.tenants[0]), model_board(registry, registry.models[0])


@pytest.mark.slow
@settings(max_examples=40)
@given(tenant=NAMES, model=NAMES)
def test_any_printable_name_is_matched_literally(tenant: str, model: str) -> None:
    registry = registry_of_or_skip(tenant, model)
    of_tenant, of_model = entity_boards(registry)
    for board, label, name in (
        (of_tenant, "tenant_id", registry.tenants[0].id),
        (of_model, "model_name", registry.models[0].name),
    ):
        for text in expressions([board]):
            for selector in selectors(text):
                if label in LABELS[selector.name]:
                    values = [value for value in matchers(selector)[label] if value != ""]
                    assert values == [name]


@pytest.mark.slow
@settings(max_examples=40)
@given(tenant=NAMES, model=NAMES)
def test_grafana_finds_only_our_variables_in_any_board(tenant: str, model: str) -> None:
    registry = registry_of_or_skip(tenant, model)
    boards = (*build(registry)[:1], *entity_boards(registry))
    known = {name.removeprefix("$") for name in VARIABLES} | {
        "__rate_interval",
        "__interval",
        "__from",
        "__to",
    }
    for text in (*expressions(boards), *(query.text for query in panel_queries(boards))):
        assert variables_in(text) <= known, text


@pytest.mark.slow
@settings(max_examples=40)
@given(tenant=NAMES, model=NAMES)
def test_any_printable_name_gives_valid_json_and_exact_parameters(tenant: str, model: str) -> None:
    registry = registry_of_or_skip(tenant, model)
    tenant, model = registry.tenants[0].id, registry.models[0].name
    boards = entity_boards(registry)
    for board in boards:
        content = render(board)
        assert json.loads(json.dumps(content)) == content
    # What a board does not fix is the variable's, of which all is chosen.
    given = {boards[0].uid: ([tenant], [".+"]), boards[1].uid: ([".+"], [model])}
    for query in panel_queries(boards):
        if query.datasource == "api":
            url = expand(query.text, VALUES | dict(query.defaults))
            parameters = parse_qs(urlsplit(url).query, strict_parsing=True)
            tenants, models = given[query.board_uid]
            assert parameters.get("tenant-id", tenants) == tenants
            assert parameters.get("model-name", models) == models


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["$tenant", "${model}", "[[version]]", 'a"} or up{x="', "a|b", "a\\", "é$", "`{{x}}`"]
)
def test_hostile_names(name: str) -> None:
    for board in entity_boards(registry_of(name, name)):
        board_selectors = [selector for text in expressions([board]) for selector in selectors(text)]
        assert any([name] in matchers(selector).values() for selector in board_selectors)
        assert {selector.name for selector in board_selectors} <= LABELS.keys()
