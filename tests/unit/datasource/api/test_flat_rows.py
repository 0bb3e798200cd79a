"""Rows that Infinity makes tables of: flat, and all of one answer with the same keys."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from datasource_support.fake_prometheus import NOW
from datasource_support.fixed_prometheus import EVERYBODY, NEW, SIGNALS, SINGLE, Options
from modelplane_datasource.catalogue import SERIES_METRICS
from modelplane_datasource.timeline.times import format_rfc3339

pytestmark = pytest.mark.slow

MS = NOW * 1000
SIGNAL: Options = {"model-name": ["resnet50"], "kind": ["input"], "signal": ["age"]}
OF_METRICS: dict[str, Options] = {"drift": SIGNALS, "cost": {}}
FLAT: list[tuple[str, str, Options]] = [
    *(
        (f"rows/{metric.name}", "rows", {**OF_METRICS.get(metric.name, EVERYBODY), "from": ["now-30m"]})
        for metric in SERIES_METRICS
    ),
    ("drift/top", "rows", SIGNALS),
    ("drift/distribution", "rows", SIGNAL),
    ("slo", "rows", EVERYBODY),
    ("costs", "rows", {"group-by": ["tenant", "model"], "from": ["now-1h"], "step": ["15m"]}),
    ("costs/forecast", "rows", {}),
    ("compare", "indicators", {**SINGLE, "baseline": ["v1.0.0"], "candidate": [NEW]}),
    ("alerts", "alerts", {}),
    ("annotations/alerts", "rows", {}),
    ("annotations/version_changes", "rows", {}),
]


@pytest.mark.parametrize(("path", "root", "options"), FLAT)
def test_infinity_gets_flat_rows_of_the_same_keys(
    plane: FlaskClient, path: str, root: str, options: Options
) -> None:
    """It makes its columns of the first row, and text of what is not a scalar: of all labels of an alert."""
    entries = [
        {
            "status": status, "fingerprint": status, "startsAt": format_rfc3339(MS - 600_000),
            "endsAt": ends, "labels": {"alertname": "ModelDown", **labels},
        }
        for status, ends, labels in (
            ("firing", "0001-01-01T00:00:00Z", {}), ("resolved", format_rfc3339(MS - 60_000), ALERT_LABELS),
        )
    ]  # fmt: skip
    assert plane.post("/api/v1/alerts", json={"version": "4", "alerts": entries}).status_code == 200
    response = plane.get(f"/api/v1/{path}", query_string=options)
    assert response.status_code == 200, response.text
    answer: Any = response.json
    result: list[dict[str, Any]] = answer[root]
    assert len(result) > 1
    assert len({tuple(row) for row in result}) == 1
    for row in result:
        assert isinstance(row.pop("labels", {}), dict)
        assert all(value is None or isinstance(value, str | int | float) for value in row.values()), row


ALERT_LABELS = {"tenant_id": "user-A", "model_name": "resnet50", "model_version": NEW, "severity": "warning"}


def test_the_rows_of_a_distribution_are_its_bars(plane: FlaskClient) -> None:
    result: Any = plane.get("/api/v1/drift/distribution", query_string=SIGNAL).json
    assert {bars["name"] for bars in result["data"]} == {"live", "reference"}
    assert result["rows"] == [
        {
            **bars["labels"], "series": bars["name"], "bin": bar["x"], "label": bar["label"],
            "value": bar["y"], "upper_bound": bar["upper_bound"], "n": bars["n"],
        }
        for bars in result["data"]
        for bar in bars["data"]
    ]  # fmt: skip
