"""The page on devices, and the real library where it is installed."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry

from exporter_support.fake_nvml import ERRORS, FakeNvml, device_series, scrape
from modelplane_exporter.devices import watch_devices
from modelplane_schema.registry import Devices


def block_of_the_page(language: str) -> str:
    page = (Path(__file__).parents[4] / "docs" / "devices.md").read_text(encoding="utf-8")
    blocks: list[str] = re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)
    (block,) = blocks
    return block


@pytest.mark.slow
def test_the_example_runs_with_and_without_a_gpu() -> None:
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", block_of_the_page("python")],
        env={**os.environ, "MODELPLANE_EXPORTER_PORT": "off"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr


def test_the_inventory_and_prices_are_valid_in_a_registry() -> None:
    declared = Devices.model_validate(yaml.safe_load(block_of_the_page("yaml"))["devices"])
    assert {entry.device_type for entry in declared.inventory} == {
        entry.device_type for entry in declared.prices
    }


def test_the_double_has_the_names_and_parameters_of_the_real_library() -> None:
    pynvml = pytest.importorskip("pynvml")
    functions = [name for name in vars(FakeNvml) if name.startswith("nvml")]
    assert len(functions) >= 14
    for name in functions:
        theirs = [*inspect.signature(getattr(pynvml, name)).parameters]
        ours = [*inspect.signature(getattr(FakeNvml(), name)).parameters]
        assert theirs[: len(ours)] == ours, name
    for name in ERRORS:
        assert issubclass(getattr(pynvml, f"NVMLError_{name}"), pynvml.NVMLError)
    assert pynvml.NVML_DEVICE_MIG_ENABLE == FakeNvml.NVML_DEVICE_MIG_ENABLE


def test_the_real_library_is_watched_exactly_where_it_finds_a_gpu() -> None:
    pynvml = pytest.importorskip("pynvml")
    try:
        pynvml.nvmlInit()
        has_gpu = pynvml.nvmlDeviceGetCount() > 0
        pynvml.nvmlShutdown()
    except pynvml.NVMLError:
        has_gpu = False
    registry = CollectorRegistry()
    assert watch_devices(registry) is has_gpu
    assert bool(device_series(scrape(registry))) is has_gpu
