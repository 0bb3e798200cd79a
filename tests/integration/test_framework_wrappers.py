"""The wrappers with the real frameworks, each in a process of its own: frameworks do not mix with pytest."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from modelplane_provisioning.processes import PATIENCE_SECONDS
from modelplane_schema.metrics import (
    CONFIDENCE,
    INVALID_OBSERVATIONS,
    ITEMS,
    MODEL_INFO,
    REQUESTS,
    SIGNAL_OBSERVATIONS,
)

SCRIPTS = Path(__file__).parent / "frameworks"
PAGE = Path(__file__).parents[2] / "docs" / "frameworks.md"
FRAMEWORKS = {
    "pytorch": ("torch",),
    "tensorflow": ("tensorflow",),
    "jax": ("jax",),
    "onnxruntime": ("onnxruntime", "skl2onnx"),
    "sklearn": ("sklearn", "cloudpickle"),
}
# What the example of each section shows: framework, calls, items, signals observed.
EXAMPLES = {
    "PyTorch": ("pytorch", ("torch",), 50, 50, 50 * 5 + 2 * 5),
    "TensorFlow": ("tensorflow", ("tensorflow",), 21, 220, 220 * 13 + 2 * 2),
    "JAX": ("jax", ("jax",), 1, 5, 0),
    "ONNX Runtime": ("onnxruntime", ("onnxruntime", "skl2onnx"), 1, 100, 100),
    "scikit-learn": ("sklearn", ("sklearn", "pandas"), 1, 20, 20 * 31),
    "A sixth framework": ("lightgbm", ("lightgbm", "sklearn", "pandas"), 1, 20, 20 * 31),
}
SHOW = """
import json
from prometheus_client import REGISTRY
print(json.dumps([[s.name, s.labels, s.value] for f in REGISTRY.collect() for s in f.samples]))
"""


def need(modules: tuple[str, ...]) -> None:
    for module in modules:
        if not importlib.util.find_spec(module):
            pytest.skip(f"{module} is not installed")


def run(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "CUDA_VISIBLE_DEVICES": "-1",
        "OMP_NUM_THREADS": "1",
        "MODELPLANE_EXPORTER_PORT": "off",
    }
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=3 * PATIENCE_SECONDS,
        cwd=folder,
        env=environment,
    )


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_wrapper_with_the_real_framework(framework: str, tmp_path: Path) -> None:
    need(FRAMEWORKS[framework])
    scripts = sorted(SCRIPTS.glob(f"check_{framework}*.py"))
    assert scripts
    for script in scripts:
        done = run(str(script), folder=tmp_path)
        assert done.returncode == 0, done.stderr
        passed, checks = re.findall(r"\d+", done.stdout.splitlines()[-1])
        assert passed == checks


def blocks(section: str) -> str:
    """The Python of one section of the page."""
    text = PAGE.read_text(encoding="utf-8")
    match = re.search(rf"^## {re.escape(section)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert match is not None, section
    return "\n".join(re.findall(r"^```python\n(.*?)^```", match[1], re.MULTILINE | re.DOTALL))


def test_every_section_with_python_is_run() -> None:
    headings = re.findall(r"^## (.*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert {heading for heading in headings if blocks(heading)} == set(EXAMPLES)


@pytest.mark.parametrize("section", EXAMPLES)
def test_example_of_the_page(section: str, tmp_path: Path) -> None:
    framework, modules, calls, items, signals = EXAMPLES[section]
    need(modules)
    script = tmp_path / "example.py"
    script.write_text(blocks(section) + SHOW, encoding="utf-8")
    done = run(str(script), folder=tmp_path)
    assert done.returncode == 0, done.stderr
    samples: list[tuple[str, dict[str, str], float]] = json.loads(done.stdout.splitlines()[-1])

    def total(name: str, **labels: str) -> float:
        return sum(
            value for sample, given, value in samples if sample == name and labels.items() <= given.items()
        )

    assert total(MODEL_INFO.name, framework=framework) == 1
    assert total(REQUESTS.name, outcome="success") == calls
    assert total(ITEMS.name) == items
    assert total(f"{CONFIDENCE.name}_count") == items
    assert total(SIGNAL_OBSERVATIONS.name) == signals
    assert total(SIGNAL_OBSERVATIONS.name, bin="__missing__") == 0
    assert total(SIGNAL_OBSERVATIONS.name, bin="__other__") == 0
    assert total(INVALID_OBSERVATIONS.name) == 0
    assert "Traceback" not in done.stderr
