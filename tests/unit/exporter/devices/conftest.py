"""Fixtures of tests with GPUs."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from exporter_support.fake_nvml import FakeGpu, FakeNvml
from modelplane_exporter.devices import nvml
from modelplane_exporter.settings import DEVICE_SHARING


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (DEVICE_SHARING.name, "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., FakeNvml]:
    def install(*gpus: FakeGpu) -> FakeNvml:
        fake = FakeNvml(*gpus)
        monkeypatch.setitem(sys.modules, "pynvml", fake)
        return fake

    return install


@pytest.fixture
def _shared_pid_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvml, "shares_pid_namespace", lambda: True)
