"""Which device CUDA means, and how a shared device is named."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
from prometheus_client import CollectorRegistry

from exporter_support.fake_nvml import (
    FakeNvml,
    device_series,
    error,
    h200,
    messages,
    mig_h200,
    scrape,
    watched,
)
from modelplane_exporter.devices import device_of, watch_devices
from modelplane_exporter.devices.cuda import cuda_device, type_suffix
from modelplane_exporter.devices.nvml import Device, Gpu, NvmlUnavailableError
from modelplane_exporter.settings import DEVICE_SHARING


@pytest.mark.parametrize(
    ("argument", "variable", "suffix"),
    [
        (None, None, ""),
        (None, "", ""),
        (None, "exclusive", ""),
        (None, "time-sliced", "-time-sliced"),
        ("mps", "time-sliced", "-mps"),
        ("exclusive", "mps", ""),
    ],
)
def test_sharing_ends_the_device_type(argument: str | None, variable: str | None, suffix: str) -> None:
    environ = {} if variable is None else {DEVICE_SHARING.name: variable}
    assert type_suffix(argument, environ) == suffix


def test_bad_sharing_is_refused_at_start(
    machine: Callable[..., FakeNvml], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(h200())
    with pytest.raises(
        ValueError, match=r"^sharing must be one of exclusive, time-sliced, mps \(got 'MPS'\)"
    ):
        device_of(sharing="MPS")
    monkeypatch.setenv(DEVICE_SHARING.name, "sliced")
    with pytest.raises(
        ValueError, match=rf"^{DEVICE_SHARING.name} must be one of exclusive, .* \(got 'sliced'\)"
    ):
        watch_devices(CollectorRegistry())


def test_a_shared_device_is_named_as_such(
    machine: Callable[..., FakeNvml], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(mig_h200())
    monkeypatch.setenv(DEVICE_SHARING.name, "time-sliced")
    types = {labels[1] for _, labels in device_series(scrape(watched()))}
    assert types == {"h200-time-sliced", "h200-mig-1g.18gb-time-sliced", "h200-mig-2g.35gb-time-sliced"}


PLAIN = [Gpu(Device("GPU-aa11", "h200")), Gpu(Device("GPU-aa22", "h200")), Gpu(Device("GPU-bb33", "h200"))]
SPLIT = [
    Gpu(Device("GPU-aa11", "h200"), (Device("MIG-cc11", "h200-mig"), Device("MIG-cd22", "h200-mig"))),
    Gpu(Device("GPU-bb33", "h200"), ()),
]
MIXED = [Gpu(Device("GPU-aa11", "t4")), Gpu(Device("GPU-bb33", "h200"))]


@pytest.mark.parametrize(
    ("gpus", "visible", "index", "expected"),
    [
        (PLAIN, None, 0, "GPU-aa11"),
        (PLAIN, None, 2, "GPU-bb33"),
        (PLAIN, "2,0", 0, "GPU-bb33"),
        (PLAIN, " 2 , 0 ", 1, "GPU-aa11"),
        (PLAIN, "GPU-bb33", 0, "GPU-bb33"),
        (PLAIN, "GPU-b,GPU-aa2,0", 1, "GPU-aa22"),
        (PLAIN, "1,-1,0", 0, "GPU-aa22"),
        (SPLIT, None, 0, "MIG-cc11"),
        (SPLIT, "0", 0, "MIG-cc11"),
        (SPLIT, "GPU-aa11", 0, "MIG-cc11"),
        (SPLIT, "MIG-cd22", 0, "MIG-cd22"),
        (SPLIT, "MIG-cd", 0, "MIG-cd22"),
        (MIXED, "GPU-bb33", 0, "GPU-bb33"),
    ],
)
def test_cuda_visible_devices_says_which(
    gpus: list[Gpu], visible: str | None, index: int, expected: str
) -> None:
    environ = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    assert cuda_device(gpus, index, environ).uuid == expected


@pytest.mark.parametrize(
    ("gpus", "visible", "index"),
    [
        ([], None, 0),
        (PLAIN, None, 3),
        (PLAIN, "", 0),
        (PLAIN, "3", 0),
        (PLAIN, "1", 1),
        (PLAIN, "1,-1,0", 1),
        (PLAIN, "1,-1,0", 2),
        (PLAIN, "GPU-aa", 0),
        (PLAIN, "GPU-ff", 0),
        (PLAIN, "MIG-cc11", 0),
        (PLAIN, "cuda:0", 0),
        (SPLIT, "1", 0),
        (SPLIT, "MIG-c", 0),
    ],
)
def test_what_cuda_does_not_show_is_no_device(gpus: list[Gpu], visible: str | None, index: int) -> None:
    environ = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    with pytest.raises(NvmlUnavailableError, match=rf"^GPUs seen: {len(gpus)}, CUDA_VISIBLE_DEVICES: "):
        cuda_device(gpus, index, environ)


@pytest.mark.parametrize("visible", [None, "0,1"])
def test_indices_into_different_gpus_need_the_order_of_the_bus(visible: str | None) -> None:
    environ = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    with pytest.raises(NvmlUnavailableError, match="set CUDA_DEVICE_ORDER=PCI_BUS_ID"):
        cuda_device(MIXED, 1, environ)
    assert cuda_device(MIXED, 1, {**environ, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}).uuid == "GPU-bb33"


@pytest.mark.parametrize("sharing", [None, "mps"])
def test_a_model_is_charged_to_the_device_that_the_series_name(
    machine: Callable[..., FakeNvml], monkeypatch: pytest.MonkeyPatch, sharing: str | None
) -> None:
    machine(h200(), h200(uuid="GPU-dddd4444"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    if sharing:
        monkeypatch.setenv(DEVICE_SHARING.name, sharing)
    named = device_of()
    assert named == ("GPU-dddd4444", "h200-mps" if sharing else "h200")
    assert ("model_device_power_watts", named) in device_series(scrape(watched()))
    assert device_of(sharing="time-sliced") == ("GPU-dddd4444", "h200-time-sliced")


def test_a_device_that_cannot_be_told_is_none_and_logged(
    machine: Callable[..., FakeNvml], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    machine(h200())
    assert device_of(1) is None
    machine().failure = error("DriverNotLoaded")
    assert device_of() is None
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert device_of() is None
    assert messages(caplog) == [
        ("WARNING", "CUDA's device 1 is not known: GPUs seen: 1, CUDA_VISIBLE_DEVICES: not set"),
        ("WARNING", "CUDA's device 0 is not known: it is DriverNotLoaded"),
        (
            "WARNING",
            "CUDA's device 0 is not known: nvidia-ml-py is not installed: pip install 'modelplane[gpu]'",
        ),
    ]


def test_a_lost_gpu_has_no_name_and_nvml_is_closed(
    machine: Callable[..., FakeNvml], caplog: pytest.LogCaptureFixture
) -> None:
    fake = machine(h200(lost=error("GpuIsLost")))
    assert device_of() is None
    assert messages(caplog) == [("WARNING", "CUDA's device 0 is not known: it is GpuIsLost")]
    assert fake.opened == 0


def test_a_negative_device_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^index must be at least 0 \(got -1\)"):
        device_of(-1)
