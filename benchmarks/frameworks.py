"""What a wrapped PyTorch module and watched layers cost, beside the bare module.

A module of three small layers, one row at a time, and one of six convolutions, eight images at a time, on one
thread. Rounds are interleaved, so that a machine that changes speed changes it for all. CPU time of the
thread in microseconds for each call: median and least over the rounds, and the ratio of the medians to the
bare call. Prints JSON. Run: make bench
"""

from __future__ import annotations

import json
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from prometheus_client import CollectorRegistry

from modelplane_exporter import Baseline, ModelMetricsExporter

try:
    import torch
    from torch import Tensor, nn

    from modelplane_exporter.frameworks import pytorch
except ModuleNotFoundError:
    raise SystemExit(json.dumps({"benchmark": "frameworks", "result": "PyTorch is not installed"})) from None

ROUNDS = 15
# A round of calls with an input.
Round = Callable[[Tensor, int], None]


def small() -> tuple[nn.Module, Tensor, int]:
    """Three layers, one row, and the number of calls in a round."""
    return nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 4)), torch.randn(1, 16), 300


def convolutions() -> tuple[nn.Module, Tensor, int]:
    """Six convolutions, eight images, and the number of calls in a round."""
    layers: list[nn.Module] = []
    for channels in (3, 16, 16, 16, 16, 16):
        layers += [nn.Conv2d(channels, 16, 3, padding=1), nn.ReLU()]
    return (
        nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 4)),
        torch.randn(8, 3, 32, 32),
        5,
    )


def baseline_of(module: nn.Module, inputs: Tensor) -> Baseline:
    """Features where the input is tabular, predictions, and the activations of the second layer."""
    batches = [torch.randn_like(inputs) for _ in range(40)]
    rows = torch.cat(batches)
    features = rows.numpy() if rows.ndim == 2 else None
    return Baseline.fit(
        "benchmark",
        features,
        prediction=np.array(["a", "b", "c", "d"] * 10),
        activations=pytorch.collect_layers(module, ["1"], batches),
    )


def rounds_of(module: nn.Module, inputs: Tensor) -> dict[str, Round]:
    """Rounds of the bare module, and of what is added to it one by one."""
    baseline = baseline_of(module, inputs)
    classes = ["a", "b", "c", "d"]
    return {
        "bare": calls_of(module),
        "wrapped": calls_of(wrapped(module)),
        "with confidence": calls_of(wrapped(module, output="logits")),
        "with features and prediction": calls_of(
            wrapped(module, output="logits", classes=classes, baseline=baseline)
        ),
        "watched, every 100th call": watched_calls_of(module, baseline, 100),
        "watched, every call": watched_calls_of(module, baseline, 1),
    }


def wrapped(module: nn.Module, **options: Any) -> Any:
    """The module, measured on a registry of its own."""
    return pytorch.wrap(
        module,
        model_name="benchmark",
        model_version="v1",
        tenant_id="t",
        registry=CollectorRegistry(),
        **options,
    )


def calls_of(model: Callable[[Tensor], Any]) -> Round:
    """A round of calls of ``model``."""

    def run(inputs: Tensor, calls: int) -> None:
        for _ in range(calls):
            model(inputs)

    return run


def watched_calls_of(module: nn.Module, baseline: Baseline, every: int) -> Round:
    """A round of calls of the module while its second layer is watched, without any other measurement."""
    exporter = ModelMetricsExporter(
        "benchmark", "v1", "t", "pytorch", registry=CollectorRegistry(), baseline=baseline, confidence=None
    )
    calls = calls_of(module)

    def run(inputs: Tensor, count: int) -> None:
        with pytorch.watch_layers(module, ["1"], exporter=exporter, every=every):
            calls(inputs, count)

    return run


def measured(rounds: dict[str, Round], inputs: Tensor, calls: int) -> dict[str, dict[str, float]]:
    """Microseconds for each call."""
    times: dict[str, list[float]] = {name: [] for name in rounds}
    for _ in range(ROUNDS):
        for name, run in rounds.items():
            start = time.thread_time()
            run(inputs, calls)
            times[name].append((time.thread_time() - start) / calls * 1e6)
    bare = statistics.median(times["bare"])
    return {
        name: {
            "median": round(statistics.median(values), 1),
            "least": round(min(values), 1),
            "times_the_bare_call": round(statistics.median(values) / bare, 2),
        }
        for name, values in times.items()
    }


def main() -> None:
    """Print the figures of both modules."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    figures = {}
    with torch.inference_mode():
        for build in (small, convolutions):
            module, inputs, calls = build()
            figures[build.__name__] = measured(rounds_of(module.eval(), inputs), inputs, calls)
    report = {
        "benchmark": "frameworks",
        "method": __doc__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "rounds": ROUNDS,
        "microseconds_per_call": figures,
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
