"""A real model on a GPU under the exporter: what the device series say, and what waiting for the GPU changes.

A transformer encoder of BERT-base's size with random weights answers batches, twice: as it is, so that a call
ends when its kernels are queued, and with ``torch.cuda.synchronize()`` in the call, so that it ends when the
answer is there. A thread scrapes each second. Prints JSON. Needs torch and the extra ``gpu``; without a GPU
it says so and ends well.
"""

from __future__ import annotations

import importlib.util
import json
import statistics
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry

from modelplane_exporter import ModelMetricsExporter
from modelplane_exporter.devices import device_of, watch_devices

SECONDS = 15.0
BATCH, TOKENS, WIDTH = 32, 128, 768
MODEL = "bert-base-sized"
GAUGES = (
    "model_device_utilization_ratio",
    "model_device_power_watts",
    "model_device_memory_used_bytes",
    "model_device_process_memory_used_bytes",
    "model_device_process_utilization_ratio",
)
ENERGY = "model_device_energy_joules_total"


class Scraper(threading.Thread):
    """Collects a registry each second and keeps the values of one device by series name."""

    def __init__(self, registry: CollectorRegistry, device: str) -> None:
        super().__init__(daemon=True)
        self._registry = registry
        self._device = device
        self._ended = threading.Event()
        self.values: defaultdict[str, list[float]] = defaultdict(list)
        self.seconds: list[float] = []

    def scrape(self) -> None:
        start = time.perf_counter()
        families = list(self._registry.collect())
        self.seconds.append(time.perf_counter() - start)
        for sample in (sample for family in families for sample in family.samples):
            if sample.name.startswith("model_device_") and sample.labels["device"] == self._device:
                self.values[sample.name].append(sample.value)

    def run(self) -> None:
        while not self._ended.wait(1.1):  # a reading is kept for 1 s
            self.scrape()

    def end(self) -> None:
        self._ended.set()
        self.join()


def encoder(torch: Any, device: str) -> Callable[[], Any]:
    """One forward pass of a batch, as a function."""
    layer = torch.nn.TransformerEncoderLayer(WIDTH, nhead=12, dim_feedforward=4 * WIDTH, batch_first=True)
    model = torch.nn.TransformerEncoder(layer, num_layers=12, enable_nested_tensor=False)
    model = model.to(device).to(torch.bfloat16).eval()
    batch = torch.randn(BATCH, TOKENS, WIDTH, device=device, dtype=torch.bfloat16)

    def forward() -> Any:
        with torch.inference_mode():
            return model(batch)

    return forward


def gpu_seconds(torch: Any, forward: Callable[[], Any], calls: int = 50) -> float:
    """The GPU's own time for one pass, from CUDA events around ``calls`` of them."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(calls):
        forward()
    end.record()
    torch.cuda.synchronize()
    return float(start.elapsed_time(end)) / 1000 / calls


def phase(
    version: str,
    named: tuple[str, str],
    forward: Callable[[], Any],
    wait: Callable[[], Any],
    drain: Callable[[], Any],
) -> dict[str, Any]:
    """Serve for ``SECONDS``; ``wait`` ends each call, ``drain`` the phase."""
    device, device_type = named
    registry = CollectorRegistry()
    assert watch_devices(registry)
    exporter = ModelMetricsExporter(
        MODEL, version, "bench", "pytorch", confidence=None, device=device, device_type=device_type,
        registry=registry,
    )  # fmt: skip
    scraper, latencies = Scraper(registry, device), []
    scraper.scrape()
    scraper.start()
    start = time.perf_counter()
    while time.perf_counter() - start < SECONDS:
        begun = time.perf_counter()
        with exporter.track() as call:
            forward()
            call.items(BATCH)
            wait()
        latencies.append(time.perf_counter() - begun)
    drain()
    wall = time.perf_counter() - start
    scraper.end()
    time.sleep(1.1)
    scraper.scrape()
    labels = {"model_name": MODEL, "model_version": version, "tenant_id": "bench", "framework": "pytorch"}
    charged = {**labels, "device": device, "device_type": device_type}
    return {
        "calls": len(latencies),
        "wall_seconds": wall,
        "latency_seconds": {"median": statistics.median(latencies), "p99": quantile(latencies, 0.99)},
        "device_seconds": registry.get_sample_value("model_inference_device_seconds_total", charged),
        **{name: statistics.median(scraper.values[name]) for name in GAUGES if scraper.values[name]},
        **energy(scraper.values[ENERGY]),
        "scrape_seconds": {"median": statistics.median(scraper.seconds), "max": max(scraper.seconds)},
    }


def energy(values: list[float]) -> dict[str, float]:
    """Joules from the first scrape to the last; nothing where NVML does not give them."""
    return {ENERGY: values[-1] - values[0]} if values else {}


def quantile(values: list[float], ratio: float) -> float:
    return sorted(values)[int(ratio * (len(values) - 1))]


def measure(torch: Any, device: str, named: tuple[str, str]) -> dict[str, Any]:
    forward, synchronize = encoder(torch, device), torch.cuda.synchronize
    for _ in range(20):
        forward()
    synchronize()
    return {
        "gpu": dict(zip(("device", "device_type"), named, strict=True)),
        "torch": torch.__version__,
        "model": f"{MODEL} encoder, bfloat16, batches of {BATCH} x {TOKENS} tokens, {SECONDS:g} s each",
        "gpu_seconds_per_call": gpu_seconds(torch, forward),
        "synchronized": phase("synchronized", named, forward, synchronize, synchronize),
        "queued_only": phase("queued_only", named, forward, lambda: None, synchronize),
    }


def main() -> None:
    named = device_of(0)
    if named is None:
        print(json.dumps({"gpu": None, "reason": "NVML names no GPU that CUDA would use"}))
        return
    if importlib.util.find_spec("torch") is None:
        print(json.dumps({"gpu": named[0], "reason": "torch is not installed"}))
        return
    import torch

    if not torch.cuda.is_available():
        print(json.dumps({"gpu": named[0], "reason": "torch has no CUDA here"}))
        return
    print(json.dumps(measure(torch, "cuda:0", named), indent=2))


if __name__ == "__main__":
    main()
