"""Which device CUDA means by an index, and how a device's type says that it is shared."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

from modelplane_exporter.devices.nvml import Device, Gpu, NvmlUnavailableError, gpu_at, session
from modelplane_exporter.rate_limited_log import logger
from modelplane_exporter.settings import EXCLUSIVE, device_sharing


def device_of(index: int = 0, sharing: str | None = None) -> tuple[str, str] | None:
    """The UUID and device type of CUDA's device ``index``, as the device series name them.

    It honours CUDA_VISIBLE_DEVICES (indices, UUIDs of GPUs and of MIG devices) and CUDA_DEVICE_ORDER.
    ``sharing`` is one of ``SHARING`` (default: MODELPLANE_EXPORTER_DEVICE_SHARING). None, with a line in
    the log at WARNING, where the device is not known. ValueError for a bad argument.

    >>> device, device_type = device_of(0) or (None, None)
    >>> exporter = ModelMetricsExporter("resnet50", "v1", tenant_id="user-A", framework="pytorch",
    ...                                 device=device, device_type=device_type)
    """
    if index < 0:
        raise ValueError(f"index must be at least 0 (got {index!r})")
    suffix = type_suffix(sharing)
    try:
        with session() as nvml:
            gpus = [gpu_at(nvml, position, suffix) for position in range(nvml.nvmlDeviceGetCount())]
        device = cuda_device(gpus, index, os.environ)
    except NvmlUnavailableError as error:
        logger.warning("CUDA's device %d is not known: %s", index, error)
        return None
    return device.uuid, device.device_type


def type_suffix(sharing: str | None = None, environ: Mapping[str, str] = os.environ) -> str:
    """What ends a device type for the way in which processes share the device; ValueError names the field."""
    value = device_sharing(sharing, environ)
    return "" if value == EXCLUSIVE else f"-{value}"


def cuda_device(gpus: Sequence[Gpu], index: int, environ: Mapping[str, str]) -> Device:
    """CUDA's device ``index`` among ``gpus`` in NVML's order; NvmlUnavailableError says why there is none.

    As in CUDA, an entry of CUDA_VISIBLE_DEVICES that names no device ends the list.
    Source: CUDA Programming Guide, CUDA environment variables.
    """
    visible = environ.get("CUDA_VISIBLE_DEVICES")
    every = [str(position) for position in range(len(gpus))]
    entries = every if visible is None else [entry.strip() for entry in visible.split(",")]
    devices = _listed(gpus, entries[: index + 1])
    if len(devices) <= index:
        shown = "not set" if visible is None else repr(visible)
        raise NvmlUnavailableError(f"GPUs seen: {len(gpus)}, CUDA_VISIBLE_DEVICES: {shown}")
    by_number = entries[index].isdecimal() and environ.get("CUDA_DEVICE_ORDER") != "PCI_BUS_ID"
    if by_number and len({gpu.whole.device_type for gpu in gpus}) > 1:
        raise NvmlUnavailableError(
            "there are GPUs of several types, which CUDA may count in another order than NVML; "
            "set CUDA_DEVICE_ORDER=PCI_BUS_ID, or CUDA_VISIBLE_DEVICES to UUIDs"
        )
    return devices[index]


def _listed(gpus: Sequence[Gpu], entries: Iterable[str]) -> list[Device]:
    devices = []
    for entry in entries:
        device = _named(gpus, entry)
        if device is None:
            break
        devices.append(device)
    return devices


def _named(gpus: Sequence[Gpu], entry: str) -> Device | None:
    """What an entry of CUDA_VISIBLE_DEVICES names: an index, or the beginning of exactly one UUID."""
    if entry.isdecimal():
        return _computing(gpus[int(entry)]) if int(entry) < len(gpus) else None
    if entry.startswith("MIG-"):
        instances = [
            instance for gpu in gpus for instance in gpu.instances or () if instance.uuid.startswith(entry)
        ]
        return instances[0] if len(instances) == 1 else None
    matches = [gpu for gpu in gpus if entry.startswith("GPU-") and gpu.whole.uuid.startswith(entry)]
    return _computing(matches[0]) if len(matches) == 1 else None


def _computing(gpu: Gpu) -> Device | None:
    """What CUDA uses when a GPU is named: with MIG mode on, its first MIG device."""
    if gpu.instances is None:
        return gpu.whole
    return gpu.instances[0] if gpu.instances else None
