"""Baselines that an exporter refuses."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from exporter_support.bad_signals import NUMBERS
from modelplane_exporter import Baseline, BaselineError, ModelMetricsExporter
from modelplane_exporter.baseline import FORMAT


def of(model_name: str = "m", model_version: str | None = None) -> Baseline:
    return Baseline(model_name, model_version, NUMBERS.signals, "2026-11-22T00:00:00Z")


@pytest.mark.parametrize(
    ("baseline", "text"),
    [
        (of("n"), "baseline is of model 'n', not of 'm': name the file that was fitted for this model"),
        (
            of("m", "v2"),
            "baseline is of version 'v2' of 'm', not of 'v1': name the file that was fitted for this version",
        ),
    ],
)
def test_a_baseline_of_something_else_is_refused(baseline: Baseline, text: str, tmp_path: Any) -> None:
    path = tmp_path / "baseline.json"
    baseline.save(path)
    for given_as in (baseline, path, str(path)):
        with pytest.raises(BaselineError) as refused:
            ModelMetricsExporter("m", "v1", "t", "jax", registry=CollectorRegistry(), baseline=given_as)
        assert str(refused.value) == text


@pytest.mark.parametrize("other", ["modelplane-baseline/2", "modelplane-baseline/0", "", "1"])
def test_a_baseline_of_another_format_version_is_refused(other: str, tmp_path: Any) -> None:
    path = tmp_path / "baseline.json"
    path.write_text(of().to_json().replace(FORMAT, other))
    with pytest.raises(BaselineError) as refused:
        ModelMetricsExporter("m", "v1", "t", "jax", registry=CollectorRegistry(), baseline=path)
    assert str(refused.value) == f"{path}: format must be {FORMAT!r} (got {other!r})"


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff", b"[" * 100_000, b'{"format": NaN}'])
def test_a_file_that_is_no_baseline_is_refused(content: bytes, tmp_path: Any) -> None:
    path = tmp_path / "baseline.json"
    path.write_bytes(content)
    with pytest.raises(BaselineError, match=r"baseline\.json: "):
        ModelMetricsExporter("m", "v1", "t", "jax", registry=CollectorRegistry(), baseline=path)
    with pytest.raises(BaselineError, match=r"absent\.json: cannot be read"):
        ModelMetricsExporter(
            "m", "v1", "t", "jax", registry=CollectorRegistry(), baseline=tmp_path / "absent.json"
        )
