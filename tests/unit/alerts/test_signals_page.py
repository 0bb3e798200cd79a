"""docs/signals.md: its pictures and numbers are computed, its queries ask for series that are recorded."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import promql_parser
import pytest

from modelplane_schema.calibration import PSI_FACTOR, PSI_MARGIN, TWO_SIDED_ARMS
from modelplane_schema.metrics import METRICS
from modelplane_schema.recorded import (
    CALIBRATION_SERIES,
    HOURLY_SERIES,
    RECORDED,
    SIGNAL_BIN_BASELINE,
    SIGNAL_SERIES,
)
from modelplane_schema.registry import Drift

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "signals.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("draw_signals", DOCS / "draw_signals.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up by name while they are made.
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "draw_signals", module)
        spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_the_pictures_are_current(script: ModuleType) -> None:
    for name, text in script.pictures().items():
        assert (DOCS / name).read_text(encoding="utf-8") == text, "run: python docs/draw_signals.py"
        assert f"({name})" in PAGE


@pytest.mark.slow
def test_every_number_is_computed(script: ModuleType) -> None:
    rows = script.numbers()
    for row in rows:
        assert row in PAGE.splitlines()
    thresholds = Drift().psi
    limits = (
        thresholds.warning,
        thresholds.critical,
        PSI_FACTOR,
        PSI_MARGIN,
        *(a.margin for a in TWO_SIDED_ARMS),
    )
    known = {f"{limit}" for limit in limits} | set(re.findall(r"\d+\.\d+", " ".join(rows)))
    assert "| ks | 0.135 |" in rows  # the 13.5 points of the text
    assert set(re.findall(r"\d+\.\d+", PAGE)) - known == {"13.5"}
    assert script.noise(200).high > script.THRESHOLD > script.noise(300).high
    assert "between 200 and 300 observations" in PAGE
    assert f"({Drift().min_observations}, unless" in PAGE


def test_every_recorded_series_is_named() -> None:
    named = set(re.findall(r"^\| `(modelplane:[^`]+)` \|", PAGE, re.MULTILINE))
    of_windows = (*SIGNAL_SERIES, *CALIBRATION_SERIES, *HOURLY_SERIES)
    assert named == {SIGNAL_BIN_BASELINE.name} | {series.over("1h").name for series in of_windows}


def test_queries_parse_and_ask_for_what_is_recorded() -> None:
    queries = re.findall(r"```promql\n(.*?)```", PAGE, re.DOTALL)
    assert len(queries) == 3
    for query in queries:
        promql_parser.parse(query)
        assert set(re.findall(r"modelplane:[\w:]+", query)) <= {series.name for series in RECORDED}
        assert set(re.findall(r"\bmodel_\w+(?=[{)])", query)) <= {metric.name for metric in METRICS}
