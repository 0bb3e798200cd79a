"""A test double of pynvml, and what tests of devices share."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families as parse_text

from modelplane_exporter.devices import watch_devices
from modelplane_exporter.devices.collector import DeviceCollector
from modelplane_exporter.serving.responder import respond

H200 = ("GPU-aaaa1111", "h200")
A100 = ("GPU-bbbb2222", "a100-sxm4-80gb")
GIB = 2**30


class NVMLError(Exception):
    """As pynvml's: the class tells what happened."""


ERRORS: dict[str, type[NVMLError]] = {
    name: type(f"NVMLError_{name}", (NVMLError,), {})
    for name in (
        "NotSupported", "NoPermission", "FunctionNotFound", "NotFound", "InsufficientSize",
        "LibraryNotFound", "DriverNotLoaded", "GpuIsLost", "Unknown", "Uninitialized",
    )
}  # fmt: skip


def error(name: str) -> NVMLError:
    return ERRORS[name](f"it is {name}")


class Process(NamedTuple):
    pid: int
    usedGpuMemory: int | None  # noqa: N815 - NVML's name


class Sample(NamedTuple):
    pid: int
    timeStamp: int  # noqa: N815 - NVML's name
    smUtil: int  # noqa: N815 - NVML's name


@dataclass
class FakeGpu:
    """A GPU or a MIG device; an exception as a value is raised where NVML is asked for it."""

    uuid: str
    name: str
    percent: Any = 40
    used: Any = 3 * GIB
    total: int = 4 * GIB
    milliwatts: Any = 250_500
    millijoules: Any = 1_234_567
    mig: Any = None
    processes: Any = field(default_factory=list)
    samples: Any = field(default_factory=list)
    lost: NVMLError | None = None


class Handle(NamedTuple):
    gpu: FakeGpu
    pid: int
    opening: int


class FakeNvml:
    """Stands for the module pynvml; handles are good in the process and the opening that gave them."""

    NVMLError = NVMLError
    NVML_DEVICE_MIG_ENABLE = 1

    def __init__(self, *gpus: FakeGpu) -> None:
        self.gpus = list(gpus)
        self.inits: list[int] = []
        self.opened = 0
        self.shutdowns = 0
        self.counted = 0
        self.failure: NVMLError | None = None
        self.since_values: list[int] = []
        self.before_count: Callable[[], object] = lambda: None
        for name, kind in ERRORS.items():
            setattr(self, f"NVMLError_{name}", kind)

    def nvmlInit(self) -> None:  # noqa: N802 - here and below: NVML's names
        answer(self.failure)
        self.inits.append(os.getpid())
        self.opened += 1

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.shutdowns += 1
        answer(self.failure)
        self.opened -= 1

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        self.before_count()
        self.counted += 1
        answer(self.failure)
        if not self.opened:
            raise error("Uninitialized")
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Handle:  # noqa: N802
        return self._handle(self.gpus[index])

    def nvmlDeviceGetUUID(self, handle: Handle) -> str:  # noqa: N802
        return self._gpu(handle).uuid

    def nvmlDeviceGetName(self, handle: Handle) -> str:  # noqa: N802
        return self._gpu(handle).name

    def nvmlDeviceGetMigMode(self, device: Handle) -> list[int]:  # noqa: N802
        mig = answer(self._gpu(device).mig)
        return [int(mig is not None), 0]

    def nvmlDeviceGetMaxMigDeviceCount(self, device: Handle) -> int:  # noqa: N802
        return len(self._gpu(device).mig)

    def nvmlDeviceGetMigDeviceHandleByIndex(self, device: Handle, index: int) -> Handle:  # noqa: N802
        return self._handle(answer(self._gpu(device).mig[index]))

    def nvmlDeviceGetMemoryInfo(self, handle: Handle) -> SimpleNamespace:  # noqa: N802
        gpu = self._gpu(handle)
        return SimpleNamespace(used=answer(gpu.used), total=gpu.total)

    def nvmlDeviceGetUtilizationRates(self, handle: Handle) -> SimpleNamespace:  # noqa: N802
        return SimpleNamespace(gpu=answer(self._gpu(handle).percent), memory=99)

    def nvmlDeviceGetPowerUsage(self, handle: Handle) -> int:  # noqa: N802
        milliwatts: int = answer(self._gpu(handle).milliwatts)
        return milliwatts

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: Handle) -> int:  # noqa: N802
        millijoules: int = answer(self._gpu(handle).millijoules)
        return millijoules

    def nvmlDeviceGetComputeRunningProcesses_v3(self, handle: Handle) -> list[Process]:  # noqa: N802
        processes: list[Process] = answer(self._gpu(handle).processes)
        return processes

    def nvmlDeviceGetProcessUtilization(self, handle: Handle, timeStamp: int) -> list[Sample]:  # noqa: N802, N803
        self.since_values.append(timeStamp)
        samples: list[Sample] = answer(self._gpu(handle).samples)
        return samples

    def _handle(self, gpu: FakeGpu) -> Handle:
        answer(gpu.lost)
        return Handle(gpu, os.getpid(), len(self.inits))

    def _gpu(self, handle: Handle) -> FakeGpu:
        assert (handle.pid, handle.opening) == (os.getpid(), len(self.inits)), "a handle from elsewhere"
        answer(handle.gpu.lost)
        return handle.gpu


def answer(value: Any) -> Any:
    if isinstance(value, Exception):
        raise value
    return value


def h200(**changes: Any) -> FakeGpu:
    return FakeGpu(**{"uuid": H200[0], "name": "NVIDIA H200", **changes})


def a100(**changes: Any) -> FakeGpu:
    return FakeGpu(**{"uuid": A100[0], "name": "NVIDIA A100-SXM4-80GB", **changes})


def mig_h200() -> FakeGpu:
    """As NVML shows it: no activity of instances, an empty place, one that another container holds."""
    unknown = {name: error("NotSupported") for name in ("percent", "milliwatts", "millijoules", "samples")}
    return h200(
        percent=error("NotSupported"),
        mig=[
            FakeGpu("MIG-1111", "NVIDIA H200 MIG 1g.18gb", used=GIB, total=16 * GIB, **unknown),
            error("NotFound"),
            error("NoPermission"),
            FakeGpu("MIG-2222", "NVIDIA H200 MIG 2g.35gb", used=2 * GIB, total=32 * GIB, **unknown),
        ],
    )


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


Series = dict[tuple[str, tuple[str, ...]], float]


def scrape(registry: CollectorRegistry, accept: str = "") -> str:
    answer = respond(registry, "GET", accept, "")
    assert answer.status == HTTPStatus.OK
    return answer.body.decode()


def device_series(text: str, parse: Callable[[str], Any] = parse_text) -> Series:
    """Device series by name and label values, each exactly once."""
    series: Series = {}
    for family in parse(text):
        for sample in family.samples:
            if sample.name.startswith("model_device_"):
                key = sample.name, tuple(sample.labels.values())
                assert key not in series
                series[key] = sample.value
    return series


def watched() -> CollectorRegistry:
    registry = CollectorRegistry()
    assert watch_devices(registry)
    return registry


def read(collector: DeviceCollector) -> list[tuple[str, tuple[str, ...]]]:
    return [(s.name, tuple(s.labels.values())) for family in collector.collect() for s in family.samples]


def messages(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(record.levelname, record.getMessage()) for record in caplog.records]
