"""What NVML says of GPUs: names, units, MIG devices, processes."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

from exporter_support.fake_nvml import (
    A100,
    GIB,
    H200,
    FakeGpu,
    FakeNvml,
    Process,
    Sample,
    a100,
    answer,
    device_series,
    error,
    h200,
    mig_h200,
    scrape,
    watched,
)
from modelplane_exporter import ModelMetricsExporter
from modelplane_exporter.devices import nvml
from modelplane_exporter.devices.nvml import device_type_of


@pytest.mark.parametrize(
    ("product", "device_type"),
    [
        ("NVIDIA H200", "h200"),
        ("NVIDIA H100 80GB HBM3", "h100-80gb-hbm3"),
        ("NVIDIA A100-SXM4-80GB", "a100-sxm4-80gb"),
        ("Tesla T4", "t4"),
        ("NVIDIA Tesla V100-SXM2-16GB", "v100-sxm2-16gb"),
        ("NVIDIA GeForce RTX 4090", "geforce-rtx-4090"),
        ("NVIDIA H200 MIG 1g.18gb", "h200-mig-1g.18gb"),
        ("NVIDIA A100-SXM4-40GB MIG 1c.3g.20gb", "a100-sxm4-40gb-mig-1c.3g.20gb"),
        ("NVIDIA H100 80GB HBM3 MIG 1g.10gb+me", "h100-80gb-hbm3-mig-1g.10gb+me"),
        ("NVIDIA", "gpu"),
        ("", "gpu"),
    ],
)
def test_device_type_is_the_short_product_name(product: str, device_type: str) -> None:
    assert device_type_of(product) == device_type


@given(st.text())
def test_any_product_name_gives_a_plain_device_type(product: str) -> None:
    device_type = device_type_of(product)
    assert re.fullmatch(r"[a-z0-9.+]+(-[a-z0-9.+]+)*", device_type)
    assert device_type_of(device_type) == device_type


def test_values_are_in_base_units_beside_the_model_s_own_series(machine: Callable[..., FakeNvml]) -> None:
    machine(h200(), a100(percent=100, used=GIB))
    registry = watched()
    exporter = ModelMetricsExporter(
        "m", "v1", "t", "pytorch", device=H200[0], device_type=H200[1], registry=registry
    )
    with exporter.track():
        pass
    text = scrape(registry)
    expected = {
        ("model_device_utilization_ratio", H200): 0.4,
        ("model_device_memory_used_bytes", H200): 3 * GIB,
        ("model_device_memory_total_bytes", H200): 4 * GIB,
        ("model_device_power_watts", H200): 250.5,
        ("model_device_energy_joules_total", H200): 1234.567,
        ("model_device_utilization_ratio", A100): 1.0,
        ("model_device_memory_used_bytes", A100): GIB,
        ("model_device_memory_total_bytes", A100): 4 * GIB,
        ("model_device_power_watts", A100): 250.5,
        ("model_device_energy_joules_total", A100): 1234.567,
    }
    assert device_series(text) == expected
    assert 'model_inference_requests_total{model_name="m"' in text
    openmetrics = scrape(registry, "application/openmetrics-text; version=1.0.0")
    assert device_series(openmetrics, parse_openmetrics) == expected


@pytest.mark.parametrize(
    ("absent", "metric"),
    [
        ("percent", "model_device_utilization_ratio"),
        ("milliwatts", "model_device_power_watts"),
        ("millijoules", "model_device_energy_joules_total"),
    ],
)
@pytest.mark.parametrize("reason", ["NotSupported", "NoPermission", "FunctionNotFound"])
def test_what_nvml_does_not_give_is_absent_and_not_zero(
    machine: Callable[..., FakeNvml], absent: str, metric: str, reason: str
) -> None:
    machine(h200(**{absent: error(reason)}))
    names = {name for name, _ in device_series(scrape(watched()))}
    assert metric not in names
    assert len(names) == 4


def test_a_gpu_without_mig_is_read_whole(machine: Callable[..., FakeNvml]) -> None:
    machine(FakeGpu("GPU-cccc3333", "Tesla T4", mig=error("NotSupported")))
    assert len(device_series(scrape(watched()))) == 5


def test_mig_devices_have_memory_and_the_whole_gpu_the_rest(machine: Callable[..., FakeNvml]) -> None:
    machine(mig_h200())
    small, large = ("MIG-1111", "h200-mig-1g.18gb"), ("MIG-2222", "h200-mig-2g.35gb")
    assert device_series(scrape(watched())) == {
        ("model_device_power_watts", H200): 250.5,
        ("model_device_energy_joules_total", H200): 1234.567,
        ("model_device_memory_used_bytes", small): GIB,
        ("model_device_memory_total_bytes", small): 16 * GIB,
        ("model_device_memory_used_bytes", large): 2 * GIB,
        ("model_device_memory_total_bytes", large): 32 * GIB,
    }


@pytest.fixture
def child() -> Iterator[int]:
    process = subprocess.Popen(["sleep", "60"])
    yield process.pid
    process.kill()
    process.wait()


@pytest.mark.usefixtures("_shared_pid_namespace")
def test_only_this_process_and_its_children_are_shown(machine: Callable[..., FakeNvml], child: int) -> None:
    me, others, now = os.getpid(), (1, os.getppid(), 4_000_000_000), time.time_ns() // 1000
    fake = machine(
        h200(
            processes=[Process(me, GIB), Process(child, 2 * GIB), *(Process(pid, 9 * GIB) for pid in others)],
            samples=[
                Sample(me, now, 55),
                Sample(me, now - 1000, 11),
                Sample(child, now - 1000, 0),
                *(Sample(pid, now, 99) for pid in others),
            ],
        )
    )
    of_processes = {k: v for k, v in device_series(scrape(watched())).items() if "_process_" in k[0]}
    assert of_processes == {
        ("model_device_process_memory_used_bytes", (*H200, str(me))): GIB,
        ("model_device_process_memory_used_bytes", (*H200, str(child))): 2 * GIB,
        ("model_device_process_utilization_ratio", (*H200, str(me))): 0.55,
        ("model_device_process_utilization_ratio", (*H200, str(child))): 0.0,
    }
    (since,) = fake.since_values
    assert now - 10_000_000 < since < now


@pytest.mark.usefixtures("_shared_pid_namespace")
@pytest.mark.parametrize(
    "changes",
    [
        {"processes": error("NotSupported"), "samples": error("NotFound")},
        {"processes": error("InsufficientSize"), "samples": error("NoPermission")},
        {"processes": [Process(os.getpid(), None)], "samples": [Sample(os.getpid(), 1, 3_000_000)]},
        {"processes": [], "samples": []},
    ],
)
def test_processes_that_nvml_does_not_give_are_absent(
    machine: Callable[..., FakeNvml], changes: dict[str, Any]
) -> None:
    machine(h200(**changes))
    assert len(device_series(scrape(watched()))) == 5


@pytest.mark.usefixtures("_shared_pid_namespace")
def test_a_process_on_a_mig_device_has_memory_there(machine: Callable[..., FakeNvml]) -> None:
    gpu = mig_h200()
    gpu.processes = [Process(os.getpid(), 9 * GIB)]
    gpu.mig[0].processes = [Process(os.getpid(), GIB)]
    fake = machine(gpu)
    of_processes = {k: v for k, v in device_series(scrape(watched())).items() if "_process_" in k[0]}
    key = ("model_device_process_memory_used_bytes", ("MIG-1111", "h200-mig-1g.18gb", str(os.getpid())))
    assert of_processes == {key: GIB}
    assert fake.since_values == []


def test_in_a_container_processes_are_absent(
    machine: Callable[..., FakeNvml], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nvml, "shares_pid_namespace", lambda: False)
    machine(h200(processes=[Process(os.getpid(), GIB)], samples=[Sample(os.getpid(), 1, 55)]))
    assert len(device_series(scrape(watched()))) == 5


@pytest.mark.parametrize(
    ("namespace", "shared"), [(nvml.INITIAL_PID_NAMESPACE, True), (4_026_532_999, False), (OSError(), False)]
)
def test_the_initial_pid_namespace_is_told_by_its_inode(
    monkeypatch: pytest.MonkeyPatch, namespace: object, shared: object
) -> None:
    monkeypatch.setattr(
        nvml, "os", SimpleNamespace(stat=lambda path: SimpleNamespace(st_ino=answer(namespace)))
    )
    assert nvml.shares_pid_namespace() is shared
