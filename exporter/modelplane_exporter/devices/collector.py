"""The machine's GPUs as series of a registry."""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable
from concurrent.futures import Future

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from modelplane_exporter.devices.cuda import type_suffix
from modelplane_exporter.devices.nvml import (
    Nvml,
    NvmlUnavailableError,
    gpu_at,
    initialised,
    samples_of,
    session,
    shut_down,
)
from modelplane_exporter.exposition.families import families, family
from modelplane_exporter.layout.state import MetricSample
from modelplane_exporter.rate_limited_log import log_failure, logger, rate_limited
from modelplane_exporter.settings import warn_of_unknown_variables
from modelplane_schema import metrics as schema

FRESH_SECONDS = 1.0
WAIT_SECONDS = 2.0  # Prometheus waits 10 s for all series: a driver that hangs must not cost the others

_METRICS = (
    schema.DEVICE_UTILIZATION,
    schema.DEVICE_MEMORY_USED,
    schema.DEVICE_MEMORY_TOTAL,
    schema.DEVICE_POWER,
    schema.DEVICE_ENERGY,
    schema.DEVICE_PROCESS_MEMORY_USED,
    schema.DEVICE_PROCESS_UTILIZATION,
)


def watch_devices(registry: CollectorRegistry | None = None) -> bool:
    """Expose the machine's GPUs on ``registry`` (default: the global one); once is enough.

    False, with a line in the log at INFO, where there is no NVML, no driver or no GPU. ValueError when
    MODELPLANE_EXPORTER_DEVICE_SHARING is none of ``SHARING``.
    """
    warn_of_unknown_variables()
    registry, suffix = registry or REGISTRY, type_suffix()
    with _watched_lock:
        if registry in _watched:
            return True
        try:
            with session() as nvml:
                count = nvml.nvmlDeviceGetCount()
        except NvmlUnavailableError as error:
            logger.info("devices are not watched: %s", error)
            return False
        if count == 0:
            logger.info("devices are not watched: there is no GPU")
            return False
        collector = DeviceCollector(DeviceReader(suffix))
        registry.register(collector)
        _watched[registry] = collector
    return True


class DeviceReader:
    """Reads all devices; for one thread at a time, and for one process.

    NVML is initialised at the first reading and stays so: to initialise it for each would wake idle GPUs.
    ``suffix`` ends the device types.
    """

    def __init__(self, suffix: str = "") -> None:
        self.suffix = suffix
        self._nvml: Nvml | None = None
        self._failing: set[str] = set()

    def read(self) -> list[MetricSample]:
        """The samples of all devices that can be read; one line in the log when one no longer can."""
        try:
            count = self._device_count()
        except NvmlUnavailableError as error:
            self._fails("NVML", error)
            return []
        self._works("NVML")
        return [sample for index in range(count) for sample in self._read_gpu(self._nvml, index)]

    def _device_count(self) -> int:
        nvml = self._nvml = self._nvml or initialised()
        try:
            return int(nvml.nvmlDeviceGetCount())
        except nvml.NVMLError as error:
            self._nvml = None  # the driver may come back after it was loaded anew
            shut_down(nvml)
            raise NvmlUnavailableError(str(error)) from error

    def _read_gpu(self, nvml: Nvml, index: int) -> list[MetricSample]:
        name = f"GPU {index}"
        try:
            samples = list(samples_of(nvml, gpu_at(nvml, index, self.suffix)))
        except nvml.NVMLError as error:
            self._fails(name, error)
            return []
        self._works(name)
        return samples

    def _fails(self, what: str, error: Exception) -> None:
        if what not in self._failing:
            self._failing.add(what)
            logger.warning("%s cannot be read, its series are left out: %s", what, error)

    def _works(self, what: str) -> None:
        if what in self._failing:
            self._failing.remove(what)
            logger.info("%s can be read again", what)


class DeviceCollector(Collector):
    """The devices as series of a registry.

    A thread reads NVML, once for all scrapes of a second. A scrape waits ``wait_seconds`` for it at
    most, so a driver that hangs costs the device series only.
    """

    def __init__(
        self,
        reader: DeviceReader,
        wait_seconds: float = WAIT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reader = reader
        self._wait_seconds = wait_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._reading: Future[list[MetricSample]] | None = None
        self._started = 0.0

    def describe(self) -> Iterable[Family]:
        """Families without samples, so that a registry can refuse names that are taken."""
        return [family(metric) for metric in _METRICS]

    def collect(self) -> Iterable[Family]:
        """The families of the devices that can be read; never raises."""
        try:
            return families((), self._current().result(self._wait_seconds))
        except TimeoutError:
            message = "NVML did not answer within %g s, the device series are left out"
            rate_limited.log(logging.WARNING, message, message, self._wait_seconds)
        except Exception as error:  # noqa: BLE001 - devices must not cost the other series of a scrape
            log_failure("devices were not read", error)
        return []

    def after_fork(self) -> None:
        """In a forked child: the parent's handles, lock and reading are not ours."""
        self._lock = threading.Lock()
        self._reader = DeviceReader(self._reader.suffix)
        self._reading = None

    def _current(self) -> Future[list[MetricSample]]:
        """The reading that goes on or is fresh enough, else a new one."""
        with self._lock:
            now, reading = self._clock(), self._reading
            if reading is None or (reading.done() and now - self._started >= FRESH_SECONDS):
                reading = Future()
                # A daemon: a driver that hangs must not keep the process from ending.
                threading.Thread(
                    target=_fulfil, args=(reading, self._reader), name="modelplane-devices", daemon=True
                ).start()
                self._reading, self._started = reading, now
            return reading


def _fulfil(reading: Future[list[MetricSample]], reader: DeviceReader) -> None:
    try:
        reading.set_result(reader.read())
    except BaseException as error:  # noqa: BLE001 - raised again where the reading is waited for
        reading.set_exception(error)


_watched: weakref.WeakKeyDictionary[CollectorRegistry, DeviceCollector] = weakref.WeakKeyDictionary()
_watched_lock = threading.Lock()


def _after_fork() -> None:
    global _watched_lock
    _watched_lock = threading.Lock()
    for collector in list(_watched.values()):
        collector.after_fork()


os.register_at_fork(after_in_child=_after_fork)
