"""Run ``modelplane baseline`` in the test's process, on training data that hold every type of column."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from modelplane_exporter.baseline import Baseline, NumericSignal
from modelplane_provisioning.cli import cli

SALT = "00112233445566778899"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["baseline", *map(str, arguments)])


def fitted(*arguments: str | Path) -> Baseline:
    """The baseline that ``baseline fit`` writes."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "baseline.json")
        result = run("fit", *arguments, "--model", "m", "--out", out)
        assert result.exit_code == 0, result.output
        return Baseline.load(out)


def refused(*arguments: str | Path) -> str:
    """The one sentence with which ``baseline fit`` refuses."""
    out = Path(arguments[0]).with_name("refused.json")
    result = run("fit", *arguments, "--model", "m", "--out", out)
    assert result.exit_code == 1, result.output
    assert not out.exists()
    assert len(result.output.strip().splitlines()) == 1
    return result.output


def training_data(rows: int = 3000) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "age": np.where(rng.random(rows) < 0.1, np.nan, rng.normal(40, 10, rows).round(2)),
            "children": rng.integers(0, 5, rows),
            "member": rng.random(rows) < 0.3,
            "city": rng.choice(["Berlin", "Oslo", "Lima"], rows),
            "since": np.datetime64("2024-01-01", "s") + rng.integers(0, 10**6, rows).astype("timedelta64[s]"),
            "customer": rng.integers(0, 50, rows),
            "score": rng.random(rows),
            "revenue": rng.exponential(5.0, rows),
        }
    )


ROLES = ("--prediction", "score", "--business", "revenue", "--hash", "customer", "--salt", SALT)


def training_baseline() -> Baseline:
    data = training_data()
    features = data.drop(columns=["score", "revenue"])
    return Baseline.fit(
        "m", features, prediction=data["score"], business=data[["revenue"]], hashed=["customer"], salt=SALT
    )


def assert_alike(actual: Baseline, expected: Baseline) -> None:
    """The same shares of the same bins; moments may differ in the last digits."""
    assert [(s.kind, s.name, s.bins, s.ratios) for s in actual.signals] == [
        (s.kind, s.name, s.bins, s.ratios) for s in expected.signals
    ]
    for left, right in zip(actual.signals, expected.signals, strict=True):
        if isinstance(left, NumericSignal) and isinstance(right, NumericSignal):
            assert left.edges == pytest.approx(right.edges, rel=1e-12)
            assert (left.mean, left.stddev) == pytest.approx((right.mean, right.stddev), rel=1e-9)
