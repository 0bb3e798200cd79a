"""Metadata, registries and the metrics server."""

from __future__ import annotations

import socket
import subprocess
import sys
from typing import Any

import pytest
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from generations import Servers
from modelplane_exporter import ModelMetricsExporter
from modelplane_provisioning.processes import PATIENCE_SECONDS, free_port
from modelplane_schema.metrics import METRICS, MODEL_INFO

GOOD: dict[str, Any] = {"model_name": "m", "model_version": "v1", "tenant_id": "t", "framework": "pytorch"}


@pytest.mark.parametrize("field", list(GOOD))
@pytest.mark.parametrize("value", [None, "", "   ", 7.5])
def test_missing_metadata_names_the_field(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"{field} is required"):
        ModelMetricsExporter(**{**GOOD, field: value}, registry=CollectorRegistry())


@pytest.mark.parametrize("framework", ["PyTorch", "scikit-learn", "2torch", "py torch"])
def test_framework_pattern(framework: str) -> None:
    with pytest.raises(ValueError, match="framework must match"):
        ModelMetricsExporter(**{**GOOD, "framework": framework}, registry=CollectorRegistry())


def test_reserved_tenants_are_refused() -> None:
    with pytest.raises(ValueError, match="tenant_id is required: a non-empty text that is not reserved"):
        ModelMetricsExporter(**{**GOOD, "tenant_id": "__all__"}, registry=CollectorRegistry())


def test_importing_registers_nothing_and_an_injected_registry_stays_apart() -> None:
    registry = CollectorRegistry()
    ModelMetricsExporter(**GOOD, registry=registry)
    assert registry.get_sample_value("model_info", _info()) == 1
    assert REGISTRY.get_sample_value("model_info", _info()) is None


def test_two_exporters_share_the_store_of_one_registry() -> None:
    registry = CollectorRegistry()
    for version in ("v1", "v2"):
        ModelMetricsExporter(**{**GOOD, "model_version": version}, registry=registry)(lambda: None)()
    text = generate_latest(registry).decode()
    assert text.count("# TYPE model_inference_requests_total counter") == 1
    assert {'model_version="v1"' in text, 'model_version="v2"' in text} == {True}


def test_exposed_families_are_those_of_the_schema_without_created_series() -> None:
    registry = CollectorRegistry()
    ModelMetricsExporter(**GOOD, registry=registry)(lambda: {"confidence": 0.4})()
    text = generate_latest(registry).decode()
    declared = {metric.name.removesuffix("_total"): metric for metric in METRICS}
    families = list(text_string_to_metric_families(text))
    assert {"model_inference_latency_seconds", "model_info"} <= {family.name for family in families}
    for family in families:
        metric = declared[family.name]
        assert (family.type, family.documentation) == (metric.type, metric.help)
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(metric.labels)
    assert "_created" not in text


def test_exposition_passes_promtool(servers: Servers) -> None:
    registry = CollectorRegistry()
    ModelMetricsExporter(**GOOD, registry=registry)(lambda: {"confidence": 0.4})()
    checked = subprocess.run(
        [servers.promtool, "check", "metrics"],
        input=generate_latest(registry),
        capture_output=True,
        check=False,
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")


SERVICE = """
import logging, sys, threading, urllib.request
logging.basicConfig(level=logging.INFO, format="%(message)s")
from modelplane_exporter import ModelMetricsExporter
def make(i):
    exporters.append(ModelMetricsExporter("m", f"v{i}", tenant_id="t", framework="pytorch"))
    exporters[-1](lambda: {"confidence": 0.5})()
exporters = []
threads = [threading.Thread(target=make, args=(i,)) for i in range(20)]
[t.start() for t in threads]; [t.join() for t in threads]
url, seconds = f"http://127.0.0.1:{sys.argv[1]}/metrics", float(sys.argv[2])
try:
    body = urllib.request.urlopen(url, timeout=seconds).read().decode()
    print("versions", sum(1 for line in body.splitlines() if line.startswith("model_info")))
except Exception as error:
    print("no server", type(error).__name__)
print("model still answers", ModelMetricsExporter("m", "v", "t", "pytorch")(lambda: 42)())
"""


def run_service(port: int, answers_within: float = PATIENCE_SECONDS) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", SERVICE, str(port), str(answers_within)],
        env={"MODELPLANE_EXPORTER_PORT": str(port), "MODELPLANE_EXPORTER_ADDRESS": "127.0.0.1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


@pytest.mark.slow
def test_the_server_starts_once_for_twenty_exporters_in_threads() -> None:
    run = run_service(free_port())
    assert "versions 20" in run.stdout, run.stderr
    assert run.stderr.count("metrics are served") == 1


@pytest.mark.slow
def test_a_taken_port_is_logged_once_and_the_model_goes_on() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        run = run_service(taken.getsockname()[1], 0.5)
    assert "model still answers 42" in run.stdout
    assert run.returncode == 0
    assert run.stderr.count("cannot listen on 127.0.0.1:") == 1
    assert "MODELPLANE_EXPORTER_PORT" in run.stderr


def test_a_server_can_be_asked_for_with_an_injected_registry() -> None:
    code = (
        "import logging; logging.basicConfig(level=logging.INFO, format='%(message)s')\n"
        "from prometheus_client import CollectorRegistry\n"
        "from modelplane_exporter import ModelMetricsExporter as E\n"
        "E('m', 'v', 't', 'jax', registry=CollectorRegistry())\n"
        "print('between')\n"
        "E('m', 'v', 't', 'jax', registry=CollectorRegistry(), port=0, address='127.0.0.1')\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=PATIENCE_SECONDS
    )
    assert run.stderr.count("metrics are served at http://127.0.0.1:") == 1


def _info() -> dict[str, str]:
    return {
        **dict.fromkeys(MODEL_INFO.labels, ""),
        "model_name": "m",
        "model_version": "v1",
        "framework": "pytorch",
    }
