"""The expressions parse, say whose calls they mean, and treat times without traffic as they are told to."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import promql_parser
import pytest

from modelplane_schema.expressions import (
    error_ratio,
    everything,
    mean,
    quantile,
    request_rate,
)
from modelplane_schema.metrics import COMPLETED_OUTCOMES, CONFIDENCE, LATENCY, OUTCOMES, Metric
from modelplane_schema.promql import Matcher, selector

ROOT = Path(__file__).parents[3]
WRITTEN_ONCE = re.compile(r"histogram_quantile\(|success\|failure|failure\|success")
TENANT = Matcher("tenant_id", "a")


def of_tenant(name: str, /, *matchers: Matcher) -> str:
    return selector(name, (TENANT, *matchers))


EXPRESSIONS: dict[str, Callable[[tuple[str, ...]], str]] = {
    "request_rate": lambda by: request_rate(of_tenant, "5m", by),
    "error_ratio": lambda by: error_ratio(of_tenant, "5m", by),
    "quantile": lambda by: quantile(0.95, LATENCY, of_tenant, "5m", ("le", *by)),
    "mean": lambda by: mean(CONFIDENCE, of_tenant, "5m", by),
}


def selectors(text: str) -> Iterator[promql_parser.VectorSelector]:
    nodes: list[promql_parser.Expr] = []
    promql_parser.walk(promql_parser.parse(text), pre_visit=lambda node: nodes.append(node))
    return (node for node in nodes if isinstance(node, promql_parser.VectorSelector))


@pytest.mark.parametrize("by", [(), ("model_name",), ("model_name", "model_version")], ids=len)
@pytest.mark.parametrize("name", EXPRESSIONS)
def test_every_selector_is_limited_to_the_selection(name: str, by: tuple[str, ...]) -> None:
    for node in selectors(EXPRESSIONS[name](by)):
        matchers = {matcher.name: matcher.value for matcher in node.matchers.matchers}
        assert matchers["tenant_id"] == "a"


def test_the_error_ratio_leaves_cancelled_and_rejected_calls_out() -> None:
    assert set(OUTCOMES) - set(COMPLETED_OUTCOMES) == {"cancelled", "rejected"}
    assert error_ratio(everything, "1m") == (
        'sum(rate(model_inference_requests_total{outcome="failure"}[1m]))'
        ' / (sum(rate(model_inference_requests_total{outcome=~"success|failure"}[1m])) > 0)'
    )


def test_the_request_rate_counts_every_outcome() -> None:
    assert request_rate(everything, "1m", ("outcome",)) == (
        "sum by (outcome) (rate(model_inference_requests_total[1m]))"
    )


@pytest.mark.parametrize("metric", [LATENCY, CONFIDENCE], ids=lambda metric: metric.name)
def test_a_quantile_is_absent_or_nan_without_observations(metric: Metric) -> None:
    text = f"histogram_quantile(0.99, sum by (le) (rate({metric.name}_bucket[1m])))"
    assert quantile(0.99, metric, everything, "1m", keep_nan=True) == text
    assert quantile(0.99, metric, everything, "1m") == f"{text} >= 0"


def test_a_mean_is_absent_or_nan_without_observations() -> None:
    sums, counts = (f"sum(rate(model_prediction_confidence_{part}[1m]))" for part in ("sum", "count"))
    assert mean(CONFIDENCE, everything, "1m", keep_nan=True) == f"{sums} / {counts}"
    assert mean(CONFIDENCE, everything, "1m") == f"{sums} / ({counts} > 0)"


def test_a_quantile_keeps_all_digits() -> None:
    assert quantile(0.9999999, LATENCY, everything, "1m").startswith("histogram_quantile(0.9999999, ")


def test_a_quantile_needs_the_buckets() -> None:
    with pytest.raises(ValueError, match=r"by must have the label 'le' \(got model_name\)"):
        quantile(0.5, LATENCY, everything, "1m", ("model_name",))


def test_no_other_module_writes_a_quantile_or_the_outcomes_of_completed_calls() -> None:
    sources = [
        path for pattern in ("*/modelplane_*/**/*.py", "alerts/**/*.libsonnet") for path in ROOT.glob(pattern)
    ]
    assert len(sources) > 200
    writers = [path.name for path in sources if WRITTEN_ONCE.search(path.read_text(encoding="utf-8"))]
    assert sorted(writers) == ["expressions.py", "level_expressions.py"]
