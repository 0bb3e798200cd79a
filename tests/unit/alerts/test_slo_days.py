"""Days of an SLO are sums of shorter windows; what is missing counts for nothing, and hides nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from generations import Servers
from modelplane_alerts.render import rule_files
from modelplane_schema.registry import parse_registry
from promtool import complaints

REGISTRY = parse_registry("""
apiVersion: modelplane/v1
tenants: [{id: t}]
models:
  - {name: m, framework: jax, owner: o, tenants: [t], versions: [{version: v1}],
     slos: [{name: s, objective: 0.99, indicator: {type: errors}}]}
""")
STEP, HOURS = 10, 96  # minutes between samples, and how long there are any
COUNT = HOURS * 60 // STEP


def values(
    hours_before_end: tuple[float, float] | None = None, gap: tuple[float, float] | None = None
) -> str:
    """900 at each step between two times before the end, and none in a gap."""
    first, last = hours_before_end or (HOURS, 0)
    listed = []
    for position in range(COUNT + 1):
        before = HOURS - position * STEP / 60
        is_there = first >= before >= last and not (gap and gap[0] >= before >= gap[1])
        listed.append("900" if is_there else "_")
    return " ".join(listed)


@pytest.mark.slow
@pytest.mark.parametrize(("window", "part", "hours", "parts"), [("1d", "6h", 6, 4), ("3d", "1d", 24, 3)])
def test_sums_of_shorter_windows(
    servers: Servers, tmp_path: Path, window: str, part: str, hours: int, parts: int
) -> None:
    tenants = {
        "all": (values(), parts),
        "gone": (values((HOURS, hours - 0.5)), parts - 1),
        "young": (values((hours + 2, 0)), 2),
        "gap": (values(gap=(hours + 0.4, hours - 0.4)), parts),
        "long gap": (values(gap=(hours + 2, hours - 0.5)), parts - 1),
    }
    recorded, shorter = f"modelplane:slo_total:increase{window}", f"modelplane:slo_total:increase{part}"
    groups = yaml.load(rule_files(REGISTRY)["modelplane-rules.yml"], yaml.CSafeLoader)["groups"]
    (rule,) = [rule for group in groups for rule in group["rules"] if rule.get("record") == recorded]
    labels = 'model_name="m",model_version="v1",slo="s"'
    test = {
        "interval": f"{STEP}m",
        "input_series": [
            {"series": f'{shorter}{{tenant_id="{tenant}",{labels}}}', "values": samples}
            for tenant, (samples, _) in tenants.items()
        ],
        "promql_expr_test": [{
            "expr": recorded, "eval_time": f"{HOURS}h",
            "exp_samples": [
                {"labels": f'{recorded}{{tenant_id="{tenant}",{labels}}}', "value": 900 * count}
                for tenant, (_, count) in tenants.items()
            ],
        }],
    }  # fmt: skip
    content = {"evaluation_interval": f"{STEP}m", "tests": [test]}
    assert complaints(servers.promtool, tmp_path, [{"name": "g", "rules": [rule]}], content) == ""
