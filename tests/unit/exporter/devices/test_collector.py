"""GPUs as series of a registry: where there is none, and where one fails, hangs or is forked."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, generate_latest

from exporter_support.fake_nvml import (
    A100,
    Clock,
    FakeNvml,
    a100,
    device_series,
    error,
    h200,
    messages,
    read,
    scrape,
    watched,
)
from modelplane_exporter import ModelMetricsExporter
from modelplane_exporter.devices import device_of, watch_devices
from modelplane_exporter.devices.collector import DeviceCollector, DeviceReader
from modelplane_schema.metrics import METRICS


def without_library(monkeypatch: pytest.MonkeyPatch, machine: Callable[..., FakeNvml]) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)


def without_driver(monkeypatch: pytest.MonkeyPatch, machine: Callable[..., FakeNvml]) -> None:
    machine().failure = error("DriverNotLoaded")


def without_gpu(monkeypatch: pytest.MonkeyPatch, machine: Callable[..., FakeNvml]) -> None:
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
    prepare: Callable[[pytest.MonkeyPatch, Callable[..., FakeNvml]], None],
    why: str,
    monkeypatch: pytest.MonkeyPatch,
    machine: Callable[..., FakeNvml],
    caplog: pytest.LogCaptureFixture,
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


def test_a_registry_is_watched_once(machine: Callable[..., FakeNvml]) -> None:
    fake = machine(h200())
    first, second = watched(), watched()
    probes = len(fake.inits)
    assert watch_devices(first)
    assert len(fake.inits) == probes
    assert device_series(scrape(first)) == device_series(scrape(second)) != {}


def test_names_that_are_taken_are_refused(machine: Callable[..., FakeNvml]) -> None:
    machine(h200())
    registry = CollectorRegistry()
    Counter("model_device_energy_joules", "Another's.", registry=registry)
    for _ in range(2):
        with pytest.raises(ValueError, match="model_device_energy_joules"):
            watch_devices(registry)


def test_all_device_metrics_are_described() -> None:
    described = {family.name for family in DeviceCollector(DeviceReader()).describe()}
    assert described == {m.name.removesuffix("_total") for m in METRICS if m.name.startswith("model_device_")}


def test_watching_leaves_nothing_open_for_a_child_to_inherit(machine: Callable[..., FakeNvml]) -> None:
    fake = machine(h200())
    watched()
    assert device_of(0)
    assert (len(fake.inits), fake.opened) == (2, 0)


@pytest.mark.slow
def test_the_base_package_imports_neither_devices_nor_nvml() -> None:
    code = (
        "import sys, modelplane_exporter\n"
        "assert not {'pynvml', 'modelplane_exporter.devices'} & set(sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")


@pytest.mark.parametrize("reason", ["GpuIsLost", "Unknown"])
def test_a_lost_gpu_loses_its_series_only(
    machine: Callable[..., FakeNvml], caplog: pytest.LogCaptureFixture, reason: str
) -> None:
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


def test_a_gpu_that_is_lost_while_it_is_read_shows_nothing(machine: Callable[..., FakeNvml]) -> None:
    machine(h200(used=error("GpuIsLost")), a100())
    assert {labels for _, labels in device_series(scrape(watched()))} == {A100}


def test_a_driver_that_was_loaded_anew_is_opened_anew(
    machine: Callable[..., FakeNvml], caplog: pytest.LogCaptureFixture
) -> None:
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


def test_an_unexpected_failure_costs_no_other_series(
    machine: Callable[..., FakeNvml], caplog: pytest.LogCaptureFixture
) -> None:
    machine(h200(milliwatts=RuntimeError("the secret")))
    registry = watched()
    Counter("other", "Another's.", registry=registry).inc(7)
    assert "other_total 7.0" in generate_latest(registry).decode()
    assert messages(caplog) == [("ERROR", "devices were not read: RuntimeError")]


def test_a_driver_that_hangs_costs_no_other_series(
    machine: Callable[..., FakeNvml], caplog: pytest.LogCaptureFixture
) -> None:
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
        hanging = [thread for thread in threading.enumerate() if thread.name == "modelplane-devices"]
        assert [thread.daemon for thread in hanging] == [True], "scrapes must not pile up threads"
    finally:
        released.set()
        for thread in hanging:
            thread.join()
    assert fake.counted == 1
    assert messages(caplog) == [
        ("WARNING", "NVML did not answer within 0.05 s, the device series are left out")
    ]
    clock.now += 60
    assert len(device_series(generate_latest(registry).decode())) == 5


def test_scrapes_of_one_second_share_a_reading(machine: Callable[..., FakeNvml]) -> None:
    fake, clock = machine(h200()), Clock()
    collector = DeviceCollector(DeviceReader(), clock=clock)
    for elapsed, readings in [(0.0, 1), (0.99, 1), (0.01, 2), (0.5, 2), (0.5, 3)]:
        clock.now += elapsed
        assert len(read(collector)) == 5
        assert fake.counted == readings
    assert fake.inits == [os.getpid()], "NVML stays open"


def test_concurrent_scrapes_share_a_reading(machine: Callable[..., FakeNvml]) -> None:
    fake, go_on, results = machine(h200()), threading.Event(), []
    fake.before_count = go_on.wait
    collector = DeviceCollector(DeviceReader(), wait_seconds=30)
    scrapes = [threading.Thread(target=lambda: results.append(len(read(collector)))) for _ in range(8)]
    for thread in scrapes:
        thread.start()
    go_on.set()
    for thread in scrapes:
        thread.join()
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


def test_a_forked_child_opens_nvml_for_itself(machine: Callable[..., FakeNvml]) -> None:
    fake = machine(h200())
    registry = watched()
    before = device_series(scrape(registry))
    parent = os.getpid()

    def scrape_there() -> None:
        assert device_series(scrape(registry)) == before != {}
        assert fake.inits == [parent, parent, os.getpid()]

    assert in_child(scrape_there) == 0
    assert device_series(scrape(registry)) == before


def test_a_child_forked_during_a_reading_does_not_wait_for_it(machine: Callable[..., FakeNvml]) -> None:
    fake, go_on = machine(h200()), threading.Event()
    registry = watched()
    fake.before_count = lambda: go_on.wait() if os.getpid() == parent else None
    parent = os.getpid()
    scraping = threading.Thread(target=scrape, args=(registry,))
    scraping.start()
    while not any(thread.name == "modelplane-devices" for thread in threading.enumerate()):
        time.sleep(0.001)

    def scrape_there() -> None:
        assert len(device_series(scrape(registry))) == 5

    try:
        assert in_child(scrape_there) == 0
    finally:
        go_on.set()
        scraping.join()


def test_several_workers_show_the_machine_s_devices_once(
    machine: Callable[..., FakeNvml], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
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
