"""Which firing alerts a board counts, evaluated by promtool on alerts that are made up."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from generations import Servers
from modelplane_dashboards import expand
from modelplane_dashboards.kit.scope import BoardScope, FixedMatcher, several, single

ALERTS = (
    {"alertname": "Slow", "tenant_id": "a", "model_name": "m1", "model_version": "v1"},
    {"alertname": "Slow", "tenant_id": "b", "model_name": "m1", "model_version": "v1"},
    {"alertname": "Down", "model_name": "m1", "model_version": "v1"},
    {"alertname": "Down", "model_name": "m2", "model_version": "v1"},
    {"alertname": "Budget", "tenant_id": "a"},
    {"alertname": "Plane"},
)
ALL = {"tenant": ".+", "model": ".+", "version": ".+", "cluster": ".*"}

CLUSTERS = ("cluster",)
FLEET = BoardScope((), CLUSTERS)
SOME = BoardScope((several("tenant"), several("model")), CLUSTERS)
TENANT = BoardScope((single("tenant"), several("model")), CLUSTERS)
MODEL = BoardScope((FixedMatcher("model_name", "m1"), several("version")), CLUSTERS)


def series(labels: dict[str, str], state: str) -> dict[str, str]:
    inner = ",".join(f'{name}="{value}"' for name, value in {**labels, "alertstate": state}.items())
    return {"series": f"ALERTS{{{inner}}}", "values": "1"}


def check_count(promtool: str, folder: Path, expression: str, count: int) -> None:
    """Fails unless ``expression`` is one sample of ``count`` while all of ``ALERTS`` fire."""
    test = {
        "interval": "1m",
        "input_series": [
            *(series(labels, "firing") for labels in ALERTS),
            series({"alertname": "NotYet", "tenant_id": "a", "model_name": "m1"}, "pending"),
        ],
        "promql_expr_test": [
            {"expr": expression, "eval_time": "0m", "exp_samples": [{"labels": "{}", "value": count}]}
        ],
    }
    path = folder / "test.yml"
    path.write_text(json.dumps({"tests": [test]}))
    done = subprocess.run([promtool, "test", "rules", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scope", "selected", "count"),
    [
        (FLEET, {}, 6),
        (FLEET, {"cluster": "eu"}, 0),
        (SOME, {}, 6),
        (SOME, {"tenant": "b"}, 4),
        (SOME, {"model": "m2"}, 3),
        (SOME, {"tenant": "(a|b)", "model": "(m1|m2)"}, 6),
        (TENANT, {"tenant": "a"}, 2),
        (TENANT, {"tenant": "a", "model": "m2"}, 1),
        (TENANT, {"tenant": "b"}, 1),
        (MODEL, {}, 3),
        (MODEL, {"version": "v2"}, 0),
    ],
)
def test_firing_alerts_of_a_board(
    servers: Servers, tmp_path: Path, scope: BoardScope, selected: dict[str, str], count: int
) -> None:
    expression = expand(f"count({scope.firing()}) or vector(0)", ALL | selected)
    check_count(servers.promtool, tmp_path, expression, count)
