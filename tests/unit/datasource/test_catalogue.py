from __future__ import annotations

from collections.abc import Callable
from typing import Any

import promql_parser
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelplane_datasource.catalogue import SERIES_METRICS
from modelplane_datasource.series.metric import Promql, SeriesMetric
from modelplane_datasource.series.selection import Selection
from modelplane_schema.metrics import METRICS
from modelplane_schema.recorded import RECORDED

NAMES = st.text(min_size=1, max_size=20)
HOSTILE = 'a"} or up{x="'
CONSTANTS = {series.name for series in RECORDED if series.name.endswith(":config")}
SELECTION = Selection(("resnet50",), ("user-A",), (), {"quantile": 0.95})

PROMQL_METRICS = [metric for metric in SERIES_METRICS if isinstance(metric.source, Promql)]


def query(metric: SeriesMetric) -> Callable[[Selection, str], str]:
    assert isinstance(metric.source, Promql)
    return metric.source.query


def selectors(node: Any) -> list[Any]:
    """All vector selectors below an expression of promql_parser."""
    match node:
        case promql_parser.VectorSelector():
            return [node]
        case promql_parser.MatrixSelector():
            return [node.vector_selector]
        case promql_parser.BinaryExpr():
            return selectors(node.lhs) + selectors(node.rhs)
        case promql_parser.AggregateExpr():
            return selectors(node.expr)
        case promql_parser.Call():
            return [result for argument in node.args for result in selectors(argument)]
        case promql_parser.NumberLiteral():
            return []
    raise TypeError(f"unexpected node {node!r}")


def matchers(selector: Any) -> dict[str, tuple[str, str]]:
    return {result.name: (str(result.op), result.value) for result in selector.matchers.matchers}


@pytest.mark.slow
@pytest.mark.parametrize("metric", PROMQL_METRICS, ids=lambda metric: metric.name)
@given(model=NAMES, tenant=st.one_of(NAMES, st.just(HOSTILE)), version=NAMES)
def test_every_selector_denotes_exactly_the_scope(
    metric: SeriesMetric, model: str, tenant: str, version: str
) -> None:
    scope = Selection((model,), (tenant,), (version,), {"quantile": 0.95})
    result = selectors(promql_parser.parse(query(metric)(scope, "60s")))
    assert result
    for selector in result:
        values = matchers(selector)
        assert values["model_name"] == ("MatchOp.Equal", model)
        if selector.name in CONSTANTS:
            continue  # the registry's, of a model and no tenant
        assert values["tenant_id"] == ("MatchOp.Equal", tenant)
        assert values["model_version"] == ("MatchOp.Equal", version)


@pytest.mark.parametrize("metric", PROMQL_METRICS, ids=lambda metric: metric.name)
def test_only_metrics_of_the_schema_are_queried(metric: SeriesMetric) -> None:
    exposed = CONSTANTS | {
        name for declared in METRICS for name in (declared.name, *histogram_parts(declared.name))
    }
    names = {selector.name for selector in selectors(promql_parser.parse(query(metric)(SELECTION, "60s")))}
    assert names <= exposed


def histogram_parts(name: str) -> tuple[str, ...]:
    return tuple(f"{name}_{part}" for part in ("bucket", "sum", "count"))


def test_the_queries() -> None:
    select = 'model_name="resnet50",tenant_id="user-A"'
    by = "sum by (model_name, model_version, tenant_id"
    requests = "model_inference_requests_total"
    expected = {
        "latency": f"histogram_quantile(0.95, {by}, le) "
        f"(rate(model_inference_latency_seconds_bucket{{{select}}}[60s])))"
        f" or histogram_quantile(0.94999999905, {by}) "
        f"(rate(model_inference_latency_seconds{{{select}}}[60s])))",
        "throughput": f"{by}) (rate({requests}{{{select}}}[60s]))",
        "errors": f'{by}) (rate({requests}{{{select},outcome="failure"}}[60s]))'
        f' / {by}) (rate({requests}{{{select},outcome=~"success|failure"}}[60s]))',
        "confidence": f"{by}) (rate(model_prediction_confidence_sum{{{select}}}[60s]))"
        f" / {by}) (rate(model_prediction_confidence_count{{{select}}}[60s]))"
        f" or {by}) (rate(model_prediction_confidence{{{select}}}[60s]))",
        "active": f"{by}) (model_active_inference_requests{{{select}}})",
        "tokens": f"{by}, kind) (rate(model_inference_tokens_total{{{select}}}[60s]))",
        "saturation": f"{by}) (model_active_inference_requests{{{select}}})"
        " / on (model_name) group_left () "
        'max by (model_name) (modelplane:max_in_flight:config{model_name="resnet50"})',
    }
    assert {metric.name: query(metric)(SELECTION, "60s") for metric in PROMQL_METRICS} == expected


def test_several_values_become_an_escaped_alternative() -> None:
    scope = Selection(("resnet50",), ("b.c", "a|b"), (), {})
    values = matchers(selectors(promql_parser.parse(query(SERIES_METRICS[1])(scope, "60s")))[0])
    assert values["tenant_id"] == ("MatchOp.Re", r"a\|b|b\.c")
