"""What NVML says of GPUs, as samples. All calls of NVML are here.

A value that NVML does not give for a device, driver or container is absent, never 0. Units are converted:
NVML has percent, bytes, milliwatts and millijoules.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from modelplane_exporter.layout.state import MetricSample
from modelplane_schema import metrics as schema

PROCESS_WINDOW_SECONDS = 5.0
INITIAL_PID_NAMESPACE = 0xEFFFFFFC  # PROC_PID_INIT_INO of the Linux kernel
_VENDOR_WORDS = ("nvidia", "tesla")

Nvml = Any  # the module pynvml, which has no types
Handle = Any
Values = tuple[tuple[schema.Metric, Callable[[Nvml, Handle], float]], ...]

_MEMORY: Values = (
    (schema.DEVICE_MEMORY_USED, lambda nvml, handle: nvml.nvmlDeviceGetMemoryInfo(handle).used),
    (schema.DEVICE_MEMORY_TOTAL, lambda nvml, handle: nvml.nvmlDeviceGetMemoryInfo(handle).total),
)
_ACTIVITY: Values = (
    (schema.DEVICE_UTILIZATION, lambda nvml, handle: nvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100),
    (schema.DEVICE_POWER, lambda nvml, handle: nvml.nvmlDeviceGetPowerUsage(handle) / 1000),
    (schema.DEVICE_ENERGY, lambda nvml, handle: nvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1000),
)


class NvmlUnavailableError(Exception):
    """NVML cannot be read; the text says why."""


class Device(NamedTuple):
    """A GPU or a MIG device: its label values, and NVML's handle."""

    uuid: str
    device_type: str
    handle: Handle = None


class Gpu(NamedTuple):
    """A GPU and its MIG devices; ``instances`` is None while MIG mode is off."""

    whole: Device
    instances: tuple[Device, ...] | None = None


def device_type_of(product: str) -> str:
    """A product name as a device type: lower case, without the vendor, joined by hyphens.

    >>> device_type_of("NVIDIA A100-SXM4-80GB"), device_type_of("NVIDIA H200 MIG 1g.18gb")
    ('a100-sxm4-80gb', 'h200-mig-1g.18gb')
    """
    words = re.findall(r"[a-z0-9.+]+", product.lower())
    while words and words[0] in _VENDOR_WORDS:
        del words[0]
    return "-".join(words) or "gpu"


def initialised() -> Nvml:
    """NVML, initialised in this process; NvmlUnavailableError says why it cannot be.

    After a fork the library still holds what the parent opened. It is initialised once more, not shut down:
    to close what both processes share could take it from the parent.
    """
    try:
        nvml = importlib.import_module("pynvml")
    except ImportError:
        raise NvmlUnavailableError("nvidia-ml-py is not installed: pip install 'modelplane[gpu]'") from None
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        raise NvmlUnavailableError(str(error)) from error
    return nvml


@contextlib.contextmanager
def session() -> Iterator[Nvml]:
    """NVML for the length of a block, so that a process that forks later hands no open NVML on.

    An error of NVML inside the block is a NvmlUnavailableError outside.
    """
    nvml = initialised()
    try:
        yield nvml
    except nvml.NVMLError as error:
        raise NvmlUnavailableError(str(error)) from error
    finally:
        shut_down(nvml)


def shut_down(nvml: Nvml) -> None:
    """Close NVML, also when the driver is gone and there is nothing left to close."""
    with contextlib.suppress(nvml.NVMLError):
        nvml.nvmlShutdown()


def gpu_at(nvml: Nvml, index: int, suffix: str = "") -> Gpu:
    """The GPU at ``index`` in NVML's order; ``suffix`` ends its device types. NVMLError when it is lost."""
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    whole = _device(nvml, handle, suffix)
    if not _mig_is_on(nvml, handle):
        return Gpu(whole)
    return Gpu(whole, tuple(_device(nvml, instance, suffix) for instance in _mig_handles(nvml, handle)))


def samples_of(nvml: Nvml, gpu: Gpu) -> Iterator[MetricSample]:
    """All samples of a GPU; NVMLError when it is lost.

    With MIG mode on, memory and processes are those of the instances. NVML gives the rest for the whole only.
    """
    with_processes = shares_pid_namespace()
    yield from _values(nvml, gpu.whole, _ACTIVITY)
    for device in (gpu.whole,) if gpu.instances is None else gpu.instances:
        yield from _values(nvml, device, _MEMORY)
        if with_processes:
            yield from _process_memory(nvml, device)
    if with_processes and gpu.instances is None:
        yield from _process_utilization(nvml, gpu.whole)


def shares_pid_namespace() -> bool:
    """Whether the process ids that NVML reports are those of this process's namespace.

    In another than the initial one some drivers report the host's, which may equal ours by chance.
    """
    try:
        return os.stat("/proc/self/ns/pid").st_ino == INITIAL_PID_NAMESPACE
    except OSError:
        return False


def is_descendant(pid: int) -> bool:
    """Whether ``pid`` is this process or descends from it."""
    while pid > 1 and pid != os.getpid():
        pid = _parent_of(pid)
    return pid == os.getpid()


def _parent_of(pid: int) -> int:
    """The parent's id; 0 for a process that has ended or is hidden."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2]
    except OSError:
        return 0
    return int(after_name.split()[1])


def _not_given(nvml: Nvml) -> tuple[type[Exception], ...]:
    """Errors that say that something is not to be had from this device, driver or container."""
    return (
        nvml.NVMLError_NotSupported,
        nvml.NVMLError_NoPermission,
        nvml.NVMLError_FunctionNotFound,
        nvml.NVMLError_NotFound,
        nvml.NVMLError_InsufficientSize,  # processes were started while pynvml asked how many there are
    )


def _device(nvml: Nvml, handle: Handle, suffix: str) -> Device:
    return Device(
        nvml.nvmlDeviceGetUUID(handle), device_type_of(nvml.nvmlDeviceGetName(handle)) + suffix, handle
    )


def _mig_is_on(nvml: Nvml, handle: Handle) -> bool:
    try:
        current, _ = nvml.nvmlDeviceGetMigMode(handle)
    except _not_given(nvml):  # a GPU that has no MIG
        return False
    return bool(current == nvml.NVML_DEVICE_MIG_ENABLE)


def _mig_handles(nvml: Nvml, gpu: Handle) -> Iterator[Handle]:
    for index in range(nvml.nvmlDeviceGetMaxMigDeviceCount(gpu)):
        try:
            handle = nvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, index)
        except _not_given(nvml):  # nothing in this place, or another container's
            continue
        yield handle


def _values(nvml: Nvml, device: Device, values: Values) -> Iterator[MetricSample]:
    for metric, read in values:
        try:
            value = read(nvml, device.handle)
        except _not_given(nvml):
            continue
        yield MetricSample(metric, (device.uuid, device.device_type), value)


def _process_memory(nvml: Nvml, device: Device) -> Iterator[MetricSample]:
    try:
        processes = nvml.nvmlDeviceGetComputeRunningProcesses_v3(device.handle)
    except _not_given(nvml):
        return
    used = {p.pid: p.usedGpuMemory for p in processes if p.usedGpuMemory is not None}
    yield from _process_samples(schema.DEVICE_PROCESS_MEMORY_USED, device, used)


def _process_utilization(nvml: Nvml, device: Device) -> Iterator[MetricSample]:
    since_microseconds = int((time.time() - PROCESS_WINDOW_SECONDS) * 1_000_000)
    try:
        processes = nvml.nvmlDeviceGetProcessUtilization(device.handle, since_microseconds)
    except _not_given(nvml):  # also when no process did anything
        return
    plausible = (p for p in processes if p.smUtil <= 100)  # drivers also leave stale memory in the array
    newest = {p.pid: p.smUtil / 100 for p in sorted(plausible, key=lambda p: p.timeStamp)}
    yield from _process_samples(schema.DEVICE_PROCESS_UTILIZATION, device, newest)


def _process_samples(
    metric: schema.Metric, device: Device, by_pid: Mapping[int, float]
) -> Iterator[MetricSample]:
    for pid, value in sorted(by_pid.items()):
        if is_descendant(pid):
            yield MetricSample(metric, (device.uuid, device.device_type, str(pid)), value)
