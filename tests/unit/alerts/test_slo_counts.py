"""Good calls and all calls of each SLO of a model, also where it has several of latency."""

from __future__ import annotations

from pathlib import Path

import pytest

from alert_situations.building import call_labels, calls, labelled
from generations import Servers
from modelplane_alerts.render import rule_files
from modelplane_schema.recorded_slo import SLO_GOOD, SLO_TOTAL
from modelplane_schema.registry import parse_registry
from promtool import complaints
from rule_groups import groups_behind, groups_of

REGISTRY = parse_registry("""
apiVersion: modelplane/v1
tenants: [{id: user-A}]
models:
  - name: resnet50
    framework: pytorch
    owner: vision
    tenants: [user-A]
    versions: [{version: v1}]
    slos:
      - {name: errors, objective: 0.99, indicator: {type: errors}}
      - {name: fast, objective: 0.95, indicator: {type: latency, threshold_seconds: 0.25}}
      - {name: fair, objective: 0.99, indicator: {type: latency, threshold_seconds: 1}}
""")
GOOD, TOTAL = SLO_GOOD.over("1h").name, SLO_TOTAL.over("1h").name
# A minute's growth of each bucket.
BUCKETS = {"0.25": 6, "1.0": 9, "+Inf": 10}


@pytest.mark.slow
def test_slos_of_a_model_count_apart(servers: Servers, tmp_path: Path) -> None:
    latency = "model_inference_latency_seconds"
    series = {
        **calls("0+8x120"),
        **calls("0+2x120", "failure"),
        **{
            labelled(f"{latency}_bucket", **call_labels(le=le)): f"0+{growth}x120"
            for le, growth in BUCKETS.items()
        },
        labelled(f"{latency}_count", **call_labels()): "0+10x120",
    }
    of = {"tenant_id": "user-A", "model_name": "resnet50", "model_version": "v1"}
    expected = {
        GOOD: {"errors": 480, "fast": 360, "fair": 540},
        TOTAL: dict.fromkeys(("errors", "fast", "fair"), 600),
    }
    test = {
        "interval": "1m",
        "input_series": [{"series": key, "values": values} for key, values in series.items()],
        "promql_expr_test": [
            {
                "expr": f"round({name})",
                "eval_time": "90m",
                "exp_samples": [
                    {"labels": labelled("", **of, slo=slo), "value": value} for slo, value in values.items()
                ],
            }
            for name, values in expected.items()
        ],
    }
    groups = groups_behind(groups_of(rule_files(REGISTRY)), expected)
    assert (
        complaints(servers.promtool, tmp_path, groups, {"evaluation_interval": "1m", "tests": [test]}) == ""
    )
