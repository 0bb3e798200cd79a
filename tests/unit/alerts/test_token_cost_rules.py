"""What recording rules say of the cost of tokens, evaluated by promtool, against figures by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from generations import Servers
from modelplane_alerts.render import rule_files
from modelplane_schema.registry import parse_registry
from modelplane_schema.token_expressions import token_cost_rules
from promtool import complaints
from rule_groups import groups_behind, groups_of, series_in

# promtool begins at 1970-01-01T00:00:00Z: a price changes after the first day.
REGISTRY = parse_registry("""
apiVersion: modelplane/v1
tenants: [{id: a}, {id: b}]
models:
  - {name: llama, framework: pytorch, owner: x, tenants: [a, b], versions: [{version: v1}]}
  - name: priced
    framework: pytorch
    owner: x
    tenants: [a]
    versions: [{version: v1}]
    token_prices:
      - {kind: input, amount: 2, currency: USD, effective_from: 1970-01-01}
      - {kind: cached_input, amount: "0.5", currency: USD, effective_from: 1970-01-01}
devices:
  inventory: [{device: GPU-1, device_type: h200, from: 1970-01-01}]
  prices:
    - {device_type: h200, amount: "3.60", currency: USD, per: hour, effective_from: 1970-01-01}
    - {device_type: h200, amount: "7.20", currency: USD, per: hour, effective_from: 1970-01-02}
""")
MINUTES = 5  # from one sample to the next
COST = "modelplane:token_cost_per_million"


def labels(**more: str) -> str:
    identity = {"model_name": "llama", "model_version": "v1", "tenant_id": "a", "framework": "pytorch"}
    named = {**identity, **more}
    return "{" + ",".join(f'{name}="{value}"' for name, value in sorted(named.items()) if value) + "}"


def grows(per_minute: float, metric: str, **more: str) -> dict[str, str]:
    return {"series": metric + labels(**more), "values": f"0+{MINUTES * per_minute}x30"}


def seconds(share: float, device_type: str = "h200", **more: str) -> dict[str, str]:
    device = {"device": f"GPU-{device_type}", "device_type": device_type}
    return grows(60 * share, "model_inference_device_seconds_total", **device, **more)


def tokens(per_minute: float, kind: str, **more: str) -> dict[str, str]:
    return grows(per_minute, "model_inference_tokens_total", kind=kind, **more)


# a reads 6,000 tokens a minute, 2,000 of them from a cache, writes 800, and takes half of a device; b takes a
# quarter. A device is 3.60 an hour, or 0.06 a minute.
SERIES = [
    seconds(0.5), seconds(0.25, tenant_id="b"),
    tokens(4000, "input"), tokens(2000, "cached_input"), tokens(800, "output"),
]  # fmt: skip
WEIGHT = 0.03 / (4000 + 2.5 * 800) * 1e6


def case(
    series: list[dict[str, str]], expression: str, samples: list[dict[str, Any]], at: str = "2h"
) -> dict[str, Any]:
    """What an expression is to be after so long, to six digits behind the point."""
    rounded = [{**sample, "value": round(sample["value"], 6)} for sample in samples]
    test = {"expr": f"round({expression}, 0.000001)", "eval_time": at, "exp_samples": rounded}
    return {"interval": f"{MINUTES}m", "input_series": series, "promql_expr_test": [test]}


def expected(value: float, **more: str) -> dict[str, Any]:
    return {"labels": labels(**more), "value": value}


def by_kind(tenant: str, input_: float, everything: float) -> list[dict[str, Any]]:
    values = {"input": input_, "cached_input": 0, "output": 2.5 * input_, "all": everything}
    return [expected(value, kind=kind, currency="USD", tenant_id=tenant) for kind, value in values.items()]


PRICED = [{**series, "series": series["series"].replace("llama", "priced")} for series in SERIES]
PRICED = [PRICED[0], *PRICED[2:4]]
PRICED_WEIGHT = 0.03 / 4000 * 1e6
PRICE = '{currency="USD",device_type="h200"}'
OF_PRICED = {"model_name": "priced", "currency": "USD"}
UNPRICED = [*SERIES, seconds(0.1, "t4")]
# Two processes charge 1.5 device seconds a second, and nothing is scaled away.
SHARED = [seconds(1), seconds(0.5, tenant_id="b"), *SERIES[2:]]
CASES = {
    "by usage each pays for its own device seconds": case(
        SERIES, f"{COST}:ratio1h", by_kind("a", WEIGHT, 0.03 / 6800 * 1e6)
    ),
    "by allocation versions pay for all of a device": case(
        SERIES, f"{COST}_allocated:ratio1h", by_kind("", 2 * WEIGHT, 0.06 / 6800 * 1e6)
    ),
    "a dated price is in force from its day on": case(
        [], "modelplane:device_price:config", [{"labels": PRICE, "value": 7.2}], "25h"
    ),
    "and not before": case([], "modelplane:device_price:config", [{"labels": PRICE, "value": 3.6}], "23h"),
    "token prices are added": case(
        PRICED,
        f"{COST}:ratio1h",
        [
            expected(PRICED_WEIGHT + 2, kind="input", **OF_PRICED),
            expected(0.5, kind="cached_input", **OF_PRICED),
            expected((0.03 + 0.004 * 2 + 0.002 * 0.5) / 6000 * 1e6, kind="all", **OF_PRICED),
        ],
    ),
    "cached input saves": case(
        PRICED,
        "1e6 * modelplane:cached_input_saving:rate1h",
        [expected(2000 / 60 * (PRICED_WEIGHT + 2 - 0.5), **OF_PRICED)],
    ),
    "the cached share of input": case(SERIES, "modelplane:cached_input:ratio1h", [expected(1 / 3)]),
    "a device without a price is not free": case(UNPRICED, f"{COST}:ratio1h", []),
    "nor is it in an allocation": case(UNPRICED, f"{COST}_allocated:ratio1h", []),
    "use without a price": case(UNPRICED, "modelplane:unpriced_device_seconds:rate1h", [expected(0.1)]),
    "charges above a device's time are costs": case(
        SHARED,
        f'{COST}_allocated:ratio1h{{kind="all"}}',
        [expected(1.5 * 0.06 / 6800 * 1e6, kind="all", currency="USD", tenant_id="")],
    ),
}


def named_groups() -> list[dict[str, Any]]:
    wanted = ("modelplane-config", "modelplane-token-costs")
    return [
        {**group, "interval": f"{MINUTES}m"}
        for group in groups_of(rule_files(REGISTRY))
        if group["name"] in wanted
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_figures_by_hand(servers: Servers, tmp_path: Path, name: str) -> None:
    """Each with the rules that it reads, for promtool evaluates at each instant all that it is given."""
    test = CASES[name]
    expressions = [wanted["expr"] for wanted in test["promql_expr_test"]]
    groups = groups_behind(named_groups(), set().union(*map(series_in, expressions)))
    content = {
        "evaluation_interval": f"{MINUTES}m",
        "group_eval_order": [group["name"] for group in groups],
        "tests": [test],
    }
    assert complaints(servers.promtool, tmp_path, groups, content) == ""


def test_tenants_are_in_no_series_that_tells_what_others_use() -> None:
    for rule in token_cost_rules():
        assert ("allocated" in rule.series.name) == ("tenant_id" not in rule.series.labels)
