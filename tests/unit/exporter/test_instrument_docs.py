"""Every example of docs/instrument.md runs, and leaves the series that the page promises."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from modelplane_provisioning.processes import PATIENCE_SECONDS

PAGE = (Path(__file__).parents[3] / "docs" / "instrument.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"((?:<!--.*-->\n)*)```(\w+)\n((?:.*\n)*?)```\n")
SHOWS = re.compile(r"<!-- shows: (\w+)\{(.*)\} (\S+) -->")
FILE = re.compile(r"<!-- file: (\S+) -->")
EXPOSE = (
    "\nfrom prometheus_client import generate_latest\nprint('# exposed')\nprint(generate_latest().decode())\n"
)


@dataclass(frozen=True)
class Example:
    line: int
    code: str
    shows: tuple[tuple[str, str, str], ...]


def blocks(language: str) -> list[re.Match[str]]:
    return [match for match in BLOCK.finditer(PAGE) if match[2] == language]


EXAMPLES = [
    Example(PAGE[: match.start(2)].count("\n") + 1, match[3], tuple(SHOWS.findall(match[1])))
    for match in blocks("python")
]


def test_every_block_is_found_and_promises_something() -> None:
    assert len(EXAMPLES) == PAGE.count("```python") > 10
    assert all(example.shows for example in EXAMPLES)
    assert sum(len(example.shows) for example in EXAMPLES) == PAGE.count("<!-- shows:")


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: f"line {example.line}")
def test_an_example_runs_and_shows_what_it_promises(example: Example, tmp_path: Path) -> None:
    if "Baseline.fit(" in example.code:
        pytest.importorskip("numpy")
    for match in blocks("yaml"):
        for name in FILE.findall(match[1]):
            (tmp_path / name).write_text(match[3], encoding="utf-8")
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-c", example.code + EXPOSE],
        env={**os.environ, "MODELPLANE_EXPORTER_PORT": "off"},
        cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_SECONDS,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    exposition = finished.stdout.partition("# exposed\n")[2]
    samples = [sample for family in text_string_to_metric_families(exposition) for sample in family.samples]
    for name, labels, value in example.shows:
        wanted = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        values = [
            sample.value for sample in samples
            if sample.name == name and wanted.items() <= sample.labels.items()
        ]  # fmt: skip
        assert values == [float(value)], f"{name}{{{labels}}}"
