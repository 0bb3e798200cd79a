"""GPUs through NVML, with a test double of pynvml: values, absences, sharing, forks and drivers that fail."""

from __future__ import annotations

import inspect
import io
import logging
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from modelplane_exporter import ModelMetricsExporter
from modelplane_exporter.apps import wsgi_app
from modelplane_exporter.devices import device_of, nvml, watch_devices
from modelplane_exporter.devices.collector import DeviceCollector, DeviceReader
from modelplane_exporter.devices.cuda import SHARING_VARIABLE, cuda_device, type_suffix
from modelplane_exporter.devices.nvml import Device, Gpu, NvmlUnavailableError, device_type_of
from modelplane_exporter.rate_limited_log import complaints
from modelplane_schema.metrics import METRICS
from modelplane_schema.registry import Devices

H200 = ("GPU-aaaa1111", "h200")
A100 = ("GPU-bbbb2222", "a100-sxm4-80gb")
GIB = 2**30


class NVMLError(Exception):
    """As pynvml's: the class tells what happened."""


ERRORS = {
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
        self.asked_since: list[int] = []
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
        return answer(self._gpu(handle).milliwatts)

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: Handle) -> int:  # noqa: N802
        return answer(self._gpu(handle).millijoules)

    def nvmlDeviceGetComputeRunningProcesses_v3(self, handle: Handle) -> list[Process]:  # noqa: N802
        return answer(self._gpu(handle).processes)

    def nvmlDeviceGetProcessUtilization(self, handle: Handle, timeStamp: int) -> list[Sample]:  # noqa: N802, N803
        self.asked_since.append(timeStamp)
        return answer(self._gpu(handle).samples)

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


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(complaints, "_last", {})
    for name in (SHARING_VARIABLE, "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., FakeNvml]:
    def install(*gpus: FakeGpu) -> FakeNvml:
        fake = FakeNvml(*gpus)
        monkeypatch.setitem(sys.modules, "pynvml", fake)
        return fake

    return install


@pytest.fixture
def _own_pids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvml, "sees_own_pids", lambda: True)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


Series = dict[tuple[str, tuple[str, ...]], float]


def scrape(registry: CollectorRegistry, accept: str = "") -> str:
    statuses: list[str] = []
    environ = {"REQUEST_METHOD": "GET", "HTTP_ACCEPT": accept, "wsgi.input": io.BytesIO()}
    body = b"".join(wsgi_app(registry)(environ, lambda status, headers: statuses.append(status)))
    assert statuses == ["200 OK"]
    return body.decode()


def device_series(text: str, parse: Callable[[str], Any] = parse_text) -> Series:
    """Device series by name and label values, each exactly once."""
    found: Series = {}
    for one in parse(text):
        for sample in one.samples:
            if sample.name.startswith("model_device_"):
                key = sample.name, tuple(sample.labels.values())
                assert key not in found
                found[key] = sample.value
    return found


def watched() -> CollectorRegistry:
    registry = CollectorRegistry()
    assert watch_devices(registry)
    return registry


def read(collector: DeviceCollector) -> list[tuple[str, tuple[str, ...]]]:
    return [(s.name, tuple(s.labels.values())) for one in collector.collect() for s in one.samples]


def messages(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(record.levelname, record.getMessage()) for record in caplog.records]


# Names


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
def test_device_type_is_the_short_product_name(product, device_type) -> None:
    assert device_type_of(product) == device_type


@given(st.text())
def test_any_product_name_gives_a_plain_device_type(product) -> None:
    found = device_type_of(product)
    assert re.fullmatch(r"[a-z0-9.+]+(-[a-z0-9.+]+)*", found)
    assert device_type_of(found) == found


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
def test_sharing_ends_the_device_type(argument, variable, suffix) -> None:
    environ = {} if variable is None else {SHARING_VARIABLE: variable}
    assert type_suffix(argument, environ) == suffix


def test_bad_sharing_is_refused_at_start(machine, monkeypatch) -> None:
    machine(h200())
    with pytest.raises(
        ValueError, match=r"^sharing must be one of exclusive, time-sliced, mps \(got 'MPS'\)"
    ):
        device_of(sharing="MPS")
    monkeypatch.setenv(SHARING_VARIABLE, "sliced")
    with pytest.raises(
        ValueError, match=rf"^{SHARING_VARIABLE} must be one of exclusive, .* \(got 'sliced'\)"
    ):
        watch_devices(CollectorRegistry())


# Watching


def test_values_are_in_base_units_beside_the_model_s_own_series(machine) -> None:
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
def test_what_nvml_does_not_give_is_absent_and_not_zero(machine, absent, metric, reason) -> None:
    machine(h200(**{absent: error(reason)}))
    found = {name for name, _ in device_series(scrape(watched()))}
    assert metric not in found
    assert len(found) == 4


def test_a_gpu_without_mig_is_read_whole(machine) -> None:
    machine(FakeGpu("GPU-cccc3333", "Tesla T4", mig=error("NotSupported")))
    assert len(device_series(scrape(watched()))) == 5


def test_mig_devices_have_memory_and_the_whole_gpu_the_rest(machine) -> None:
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


def test_a_shared_device_is_named_as_such(machine, monkeypatch) -> None:
    machine(mig_h200())
    monkeypatch.setenv(SHARING_VARIABLE, "time-sliced")
    types = {labels[1] for _, labels in device_series(scrape(watched()))}
    assert types == {"h200-time-sliced", "h200-mig-1g.18gb-time-sliced", "h200-mig-2g.35gb-time-sliced"}


def without_library(monkeypatch, machine) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)


def without_driver(monkeypatch, machine) -> None:
    machine().failure = error("DriverNotLoaded")


def without_gpu(monkeypatch, machine) -> None:
    machine()


@pytest.mark.parametrize(
    ("prepare", "why"),
    [
        (without_library, r"nvidia-ml-py is not installed: pip install 'modelplane\[gpu\]'"),
        (without_driver, "it is DriverNotLoaded"),
        (without_gpu, "there is no GPU"),
    ],
)
def test_without_a_gpu_nothing_is_registered_and_one_line_says_why(
    prepare, why, monkeypatch, machine, caplog
) -> None:
    caplog.set_level(logging.INFO)
    prepare(monkeypatch, machine)
    registry = CollectorRegistry()
    assert watch_devices(registry) is False
    assert [level for level, _ in messages(caplog)] == ["INFO"]
    assert re.fullmatch(f"devices are not watched: {why}", messages(caplog)[0][1])
    assert generate_latest(registry) == b""
    machine(h200())
    assert watch_devices(registry) is True, "a later try may find one"


def test_a_registry_is_watched_once(machine) -> None:
    fake = machine(h200())
    first, second = watched(), watched()
    probes = len(fake.inits)
    assert watch_devices(first)
    assert len(fake.inits) == probes
    assert device_series(scrape(first)) == device_series(scrape(second)) != {}


def test_names_that_are_taken_are_refused(machine) -> None:
    machine(h200())
    registry = CollectorRegistry()
    Counter("model_device_energy_joules", "Another's.", registry=registry)
    for _ in range(2):
        with pytest.raises(ValueError, match="model_device_energy_joules"):
            watch_devices(registry)


def test_all_device_metrics_are_described() -> None:
    described = {one.name for one in DeviceCollector(DeviceReader()).describe()}
    assert described == {m.name.removesuffix("_total") for m in METRICS if m.name.startswith("model_device_")}


def test_watching_leaves_nothing_open_for_a_child_to_inherit(machine) -> None:
    fake = machine(h200())
    watched()
    assert device_of(0)
    assert (len(fake.inits), fake.opened) == (2, 0)


def test_the_base_package_imports_neither_devices_nor_nvml() -> None:
    code = (
        "import sys, modelplane_exporter\n"
        "assert not {'pynvml', 'modelplane_exporter.devices'} & set(sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")


# Failures


@pytest.mark.parametrize("reason", ["GpuIsLost", "Unknown"])
def test_a_lost_gpu_loses_its_series_only(machine, caplog, reason) -> None:
    caplog.set_level(logging.INFO)
    fake, clock = machine(h200(), a100()), Clock()
    collector = DeviceCollector(DeviceReader(), clock=clock)
    assert len(read(collector)) == 10
    fake.gpus[0].lost = error(reason)
    for _ in range(3):
        clock.now += 1
        assert {labels for _, labels in read(collector)} == {A100}
    fake.gpus[0].lost = None
    clock.now += 1
    assert len(read(collector)) == 10
    assert messages(caplog) == [
        ("WARNING", f"GPU 0 cannot be read, its series are left out: it is {reason}"),
        ("INFO", "GPU 0 can be read again"),
    ]


def test_a_gpu_that_is_lost_while_it_is_read_shows_nothing(machine) -> None:
    machine(h200(used=error("GpuIsLost")), a100())
    assert {labels for _, labels in device_series(scrape(watched()))} == {A100}


def test_a_driver_that_was_loaded_anew_is_opened_anew(machine, caplog) -> None:
    caplog.set_level(logging.INFO)
    fake, clock = machine(h200()), Clock()
    collector = DeviceCollector(DeviceReader(), clock=clock)
    assert len(read(collector)) == 5
    fake.failure = error("DriverNotLoaded")
    for _ in range(2):
        clock.now += 1
        assert read(collector) == []
    fake.failure = None
    clock.now += 1
    assert len(read(collector)) == 5
    assert (len(fake.inits), fake.shutdowns) == (2, 1)
    assert messages(caplog) == [
        ("WARNING", "NVML cannot be read, its series are left out: it is DriverNotLoaded"),
        ("INFO", "NVML can be read again"),
    ]


def test_an_unexpected_failure_costs_no_other_series(machine, caplog) -> None:
    machine(h200(milliwatts=RuntimeError("the secret")))
    registry = watched()
    Counter("other", "Another's.", registry=registry).inc(7)
    assert "other_total 7.0" in generate_latest(registry).decode()
    assert messages(caplog) == [("ERROR", "devices were not read: RuntimeError")]


def test_a_driver_that_hangs_costs_no_other_series(machine, caplog) -> None:
    fake, released, clock = machine(h200()), threading.Event(), Clock()
    fake.before_count = released.wait
    collector = DeviceCollector(DeviceReader(), wait_seconds=0.05, clock=clock)
    registry = CollectorRegistry()
    registry.register(collector)
    Counter("other", "Another's.", registry=registry).inc(7)
    try:
        for _ in range(3):
            clock.now += 60
            text = generate_latest(registry).decode()
            assert "other_total 7.0" in text
            assert device_series(text) == {}
        hanging = [one for one in threading.enumerate() if one.name == "modelplane-devices"]
        assert [one.daemon for one in hanging] == [True], "scrapes must not pile up threads"
    finally:
        released.set()
        for one in hanging:
            one.join()
    assert fake.counted == 1
    assert messages(caplog) == [
        ("WARNING", "NVML did not answer within 0.05 s, the device series are left out")
    ]
    clock.now += 60
    assert len(device_series(generate_latest(registry).decode())) == 5


# Scrapes


def test_scrapes_of_one_second_share_a_reading(machine) -> None:
    fake, clock = machine(h200()), Clock()
    collector = DeviceCollector(DeviceReader(), clock=clock)
    for elapsed, readings in [(0.0, 1), (0.99, 1), (0.01, 2), (0.5, 2), (0.5, 3)]:
        clock.now += elapsed
        assert len(read(collector)) == 5
        assert fake.counted == readings
    assert fake.inits == [os.getpid()], "NVML stays open"


def test_concurrent_scrapes_share_a_reading(machine) -> None:
    fake, go_on, results = machine(h200()), threading.Event(), []
    fake.before_count = go_on.wait
    collector = DeviceCollector(DeviceReader(), wait_seconds=30)
    scrapes = [threading.Thread(target=lambda: results.append(len(read(collector)))) for _ in range(8)]
    for one in scrapes:
        one.start()
    go_on.set()
    for one in scrapes:
        one.join()
    assert (results, fake.counted) == ([5] * 8, 1)


def in_child(work: Callable[[], None]) -> int:
    """The exit status of a forked child: 0 when ``work`` passes there."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException as problem:  # noqa: BLE001 - the child must not run on as a second pytest
            sys.stderr.write(f"in the child: {problem!r}\n")
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_forked_child_opens_nvml_for_itself(machine) -> None:
    fake = machine(h200())
    registry = watched()
    before = device_series(scrape(registry))
    parent = os.getpid()

    def scrape_there() -> None:
        assert device_series(scrape(registry)) == before != {}
        assert fake.inits == [parent, parent, os.getpid()]

    assert in_child(scrape_there) == 0
    assert device_series(scrape(registry)) == before


def test_a_child_forked_during_a_reading_does_not_wait_for_it(machine) -> None:
    fake, go_on = machine(h200()), threading.Event()
    registry = watched()
    fake.before_count = lambda: go_on.wait() if os.getpid() == parent else None
    parent = os.getpid()
    scraping = threading.Thread(target=scrape, args=(registry,))
    scraping.start()
    while not any(one.name == "modelplane-devices" for one in threading.enumerate()):
        time.sleep(0.001)

    def scrape_there() -> None:
        assert len(device_series(scrape(registry))) == 5

    try:
        assert in_child(scrape_there) == 0
    finally:
        go_on.set()
        scraping.join()


def test_several_workers_show_the_machine_s_devices_once(machine, monkeypatch, tmp_path) -> None:
    machine(h200(), a100())
    monkeypatch.setenv("MODELPLANE_EXPORTER_WORKERS_DIR", str(tmp_path))
    registry = watched()
    exporter = ModelMetricsExporter("m", "v1", "t", "jax", registry=registry)
    with exporter.track():
        pass
    assert len(device_series(scrape(registry))) == 10  # a scrape also writes down what this worker counted

    def scrape_there() -> None:
        with exporter.track():
            pass
        text = scrape(registry)
        assert len(device_series(text)) == 10
        assert re.search(r'model_inference_requests_total\{.*outcome="success"\} 2', text), text

    assert in_child(scrape_there) == 0


# Processes


@pytest.fixture
def child() -> Iterator[int]:
    process = subprocess.Popen(["sleep", "60"])
    yield process.pid
    process.kill()
    process.wait()


@pytest.mark.usefixtures("_own_pids")
def test_only_this_process_and_its_children_are_shown(machine, child) -> None:
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
    found = {k: v for k, v in device_series(scrape(watched())).items() if "_process_" in k[0]}
    assert found == {
        ("model_device_process_memory_used_bytes", (*H200, str(me))): GIB,
        ("model_device_process_memory_used_bytes", (*H200, str(child))): 2 * GIB,
        ("model_device_process_utilization_ratio", (*H200, str(me))): 0.55,
        ("model_device_process_utilization_ratio", (*H200, str(child))): 0.0,
    }
    (since,) = fake.asked_since
    assert now - 10_000_000 < since < now


@pytest.mark.usefixtures("_own_pids")
@pytest.mark.parametrize(
    "changes",
    [
        {"processes": error("NotSupported"), "samples": error("NotFound")},
        {"processes": error("InsufficientSize"), "samples": error("NoPermission")},
        {"processes": [Process(os.getpid(), None)], "samples": [Sample(os.getpid(), 1, 3_000_000)]},
        {"processes": [], "samples": []},
    ],
)
def test_processes_that_nvml_does_not_give_are_absent(machine, changes) -> None:
    machine(h200(**changes))
    assert len(device_series(scrape(watched()))) == 5


@pytest.mark.usefixtures("_own_pids")
def test_a_process_on_a_mig_device_has_memory_there(machine) -> None:
    gpu = mig_h200()
    gpu.processes = [Process(os.getpid(), 9 * GIB)]
    gpu.mig[0].processes = [Process(os.getpid(), GIB)]
    fake = machine(gpu)
    found = {k: v for k, v in device_series(scrape(watched())).items() if "_process_" in k[0]}
    key = ("model_device_process_memory_used_bytes", ("MIG-1111", "h200-mig-1g.18gb", str(os.getpid())))
    assert found == {key: GIB}
    assert fake.asked_since == []


def test_in_a_container_processes_are_absent(machine, monkeypatch) -> None:
    monkeypatch.setattr(nvml, "sees_own_pids", lambda: False)
    machine(h200(processes=[Process(os.getpid(), GIB)], samples=[Sample(os.getpid(), 1, 55)]))
    assert len(device_series(scrape(watched()))) == 5


@pytest.mark.parametrize(
    ("namespace", "own"), [(nvml.INITIAL_PID_NAMESPACE, True), (4_026_532_999, False), (OSError(), False)]
)
def test_the_initial_pid_namespace_is_told_by_its_inode(monkeypatch, namespace, own) -> None:
    monkeypatch.setattr(
        nvml, "os", SimpleNamespace(stat=lambda path: SimpleNamespace(st_ino=answer(namespace)))
    )
    assert nvml.sees_own_pids() is own


# Which device a model runs on

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
def test_cuda_visible_devices_says_which(gpus, visible, index, expected) -> None:
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
def test_what_cuda_does_not_show_is_no_device(gpus, visible, index) -> None:
    environ = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    with pytest.raises(NvmlUnavailableError, match=rf"^GPUs seen: {len(gpus)}, CUDA_VISIBLE_DEVICES: "):
        cuda_device(gpus, index, environ)


@pytest.mark.parametrize("visible", [None, "0,1"])
def test_indices_into_different_gpus_need_the_order_of_the_bus(visible) -> None:
    environ = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    with pytest.raises(NvmlUnavailableError, match="set CUDA_DEVICE_ORDER=PCI_BUS_ID"):
        cuda_device(MIXED, 1, environ)
    assert cuda_device(MIXED, 1, {**environ, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}).uuid == "GPU-bb33"


@pytest.mark.parametrize("sharing", [None, "mps"])
def test_a_model_is_charged_to_the_device_that_the_series_name(machine, monkeypatch, sharing) -> None:
    machine(h200(), h200(uuid="GPU-dddd4444"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    if sharing:
        monkeypatch.setenv(SHARING_VARIABLE, sharing)
    named = device_of()
    assert named == ("GPU-dddd4444", "h200-mps" if sharing else "h200")
    assert ("model_device_power_watts", named) in device_series(scrape(watched()))
    assert device_of(sharing="time-sliced") == ("GPU-dddd4444", "h200-time-sliced")


def test_a_device_that_cannot_be_told_is_none_and_logged(machine, monkeypatch, caplog) -> None:
    machine(h200())
    assert device_of(1) is None
    machine().failure = error("DriverNotLoaded")
    assert device_of() is None
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert device_of() is None
    assert messages(caplog) == [
        ("WARNING", "CUDA's device 1 cannot be told: GPUs seen: 1, CUDA_VISIBLE_DEVICES: not set"),
        ("WARNING", "CUDA's device 0 cannot be told: it is DriverNotLoaded"),
        (
            "WARNING",
            "CUDA's device 0 cannot be told: nvidia-ml-py is not installed: pip install 'modelplane[gpu]'",
        ),
    ]


def test_a_lost_gpu_has_no_name_and_nvml_is_closed(machine, caplog) -> None:
    fake = machine(h200(lost=error("GpuIsLost")))
    assert device_of() is None
    assert messages(caplog) == [("WARNING", "CUDA's device 0 cannot be told: it is GpuIsLost")]
    assert fake.opened == 0


def test_a_negative_device_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^index must be at least 0 \(got -1\)"):
        device_of(-1)


# The page


def block_of_the_page(language: str) -> str:
    page = (Path(__file__).parents[3] / "docs" / "devices.md").read_text(encoding="utf-8")
    (found,) = re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)
    return found


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
    assert {one.device_type for one in declared.inventory} == {one.device_type for one in declared.prices}


# The test double and the real library


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
        found = pynvml.nvmlDeviceGetCount() > 0
        pynvml.nvmlShutdown()
    except pynvml.NVMLError:
        found = False
    registry = CollectorRegistry()
    assert watch_devices(registry) is found
    assert bool(device_series(scrape(registry))) is found
