"""What one target may do to Prometheus, and by what its samples are known elsewhere."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml

from modelplane_provisioning.bundle.scrape_config import prometheus_config
from modelplane_provisioning.bundle.site import CONTAINERS, DEMO_TIMES, PRODUCTION_TIMES, Times
from modelplane_schema.metrics import MAX_LABEL_LENGTH
from modelplane_schema.registry import load_registry

REGISTRY = load_registry(Path(__file__).parents[4] / "examples" / "modelplane.yaml")


def config(times: Times = PRODUCTION_TIMES) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(prometheus_config(REGISTRY, CONTAINERS, times))
    return content


def test_every_job_of_models_is_limited() -> None:
    limits = (
        "sample_limit",
        "body_size_limit",
        "label_limit",
        "label_name_length_limit",
        "label_value_length_limit",
    )
    models = [job for job in config()["scrape_configs"] if job["job_name"].startswith("models")]
    assert models
    for job in models:
        assert all(job[name] for name in limits)


def test_no_limit_is_below_what_an_exporter_may_have() -> None:
    """10 models of 1,000 tenants, with some 40 samples each of at most 250 bytes."""
    job = config()["scrape_configs"][0]
    samples = 10 * 1_000 * 40
    assert job["sample_limit"] > 2 * samples
    assert int(job["body_size_limit"].removesuffix("MB")) * 1_000_000 > 2 * samples * 250
    assert job["label_value_length_limit"] > 4 * MAX_LABEL_LENGTH


@pytest.mark.parametrize("times", [PRODUCTION_TIMES, DEMO_TIMES, dataclasses.replace(DEMO_TIMES, rules={})])
def test_samples_are_known_elsewhere_and_alerts_are_as_they_were(times: Times) -> None:
    content = config(times)
    labels = content["global"]["external_labels"]
    assert labels == {"monitor": "modelplane"}
    (relabelling,) = content["alerting"]["alert_relabel_configs"]
    assert relabelling == {"action": "labeldrop", "regex": "|".join(labels)}
