"""Numbers of every kind and in every container, as confidence."""

from __future__ import annotations

import array
import itertools
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from modelplane_exporter.measurement.numbers_in import AT_ONCE, parts_of
from modelplane_exporter.measurement.observation import NOT_A_NUMBER, OUT_OF_RANGE, Observation
from modelplane_provisioning.processes import PATIENCE_SECONDS

pa = pytest.importorskip("pyarrow")


def observed(value: object) -> tuple[list[float], dict[str, int]]:
    observation = Observation()
    observation.add_confidence(value)
    return list(observation.confidences), dict(observation.invalid)


@pytest.mark.parametrize(
    "value",
    [
        0.25,
        Decimal("0.25"),
        Fraction(1, 4),
        np.float16(0.25),
        np.float32(0.25),
        np.float64(0.25),
        np.longdouble(0.25),
        np.array(0.25),
        pa.scalar(0.25),
        pa.scalar(Decimal("0.25")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_one_number(value: object) -> None:
    assert observed(value) == ([0.25], {})
    assert observed([value, value]) == ([0.25, 0.25], {})


@pytest.mark.parametrize(
    "batch",
    [
        [Decimal("0.25"), Fraction(1, 2), 1],
        np.array([Decimal("0.25"), 0.5, 1], object),
        np.array([0.25, 0.5, 1], np.longdouble),
        np.array([[0.25, 0.5, 1]]),
        array.array("d", [0.25, 0.5, 1]),
        memoryview(array.array("d", [0.25, 0.5, 1])),
        pd.Series([0.25, 0.5, 1], index=[7.0, 8.0, 9.0]),
        pd.Series([0.25, 0.5, 1], dtype="Float64"),
        pd.Series([Decimal("0.25"), Decimal("0.5"), Decimal(1)]),
        pd.DataFrame({"a": [0.25], "b": [0.5], "c": [1]}),
        pd.Index([0.25, 0.5, 1]),
        pl.Series([0.25, 0.5, 1]),
        pl.Series([0.25, 0.5, 1], dtype=pl.Float32),
        pl.Series([Decimal("0.25"), Decimal("0.5"), Decimal(1)]),
        pl.DataFrame({"a": [0.25, 0.5, 1]}),
        pa.array([0.25, 0.5, 1]),
        pa.array([Decimal("0.25"), Decimal("0.5"), Decimal(1)]),
        pa.chunked_array([[0.25, 0.5], [1.0]]),
    ],
    ids=lambda batch: f"{type(batch).__module__}.{type(batch).__name__}",
)
def test_batches(batch: object) -> None:
    assert observed(batch) == ([0.25, 0.5, 1.0], {})
    assert observed([batch, 0.5]) == ([0.25, 0.5, 1.0, 0.5], {})


@pytest.mark.parametrize(
    "value",
    [
        None, "0.5", b"0.5", True, np.bool_(True), 1j, float("nan"), Decimal("NaN"), Decimal("sNaN"),
        pd.NA, pd.NaT,
        object(), {"a": 0.5}, {0.5}, np.array("0.5"), np.array(True), pd.Timestamp(0),
        pa.scalar(None, pa.float64()),
        pa.scalar("0.5"),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_what_is_no_number(value: object) -> None:
    assert observed(value) == ([], {NOT_A_NUMBER: 1})
    assert observed([0.5, value]) == ([0.5], {NOT_A_NUMBER: 1})


@pytest.mark.parametrize("batch", [pa.array([0.5, None]), pl.Series([0.5, None]), pd.Series([0.5, None])])
def test_nulls_of_columns(batch: object) -> None:
    assert observed(batch) == ([0.5], {NOT_A_NUMBER: 1})


@pytest.mark.parametrize(
    "value", [1.5, Decimal(-1), Fraction(7, 2), 10**400, Fraction(10**400), float("inf")]
)
def test_what_is_out_of_range(value: object) -> None:
    assert observed(value) == ([], {OUT_OF_RANGE: 1})


def test_values_around_the_range_are_clamped() -> None:
    assert observed([Decimal("1.0000001"), np.float32(1.0000001), -1e-7]) == ([1.0, 1.0, 0.0], {})


@pytest.mark.slow
@pytest.mark.parametrize(
    "make",
    [list, tuple, np.array, lambda values: array.array("d", values), pd.Series, pl.Series, pa.array,
     lambda values: np.array(values)[:, None], lambda values: [np.float32(value) for value in values],
     lambda values: [values[:7], np.array(values[7:])]],
)  # fmt: skip
def test_parts_hold_all_values_in_their_order(make: Any) -> None:
    values = [index / 32768 for index in range(2 * AT_ONCE + 11)]
    parts = list(parts_of(make(values)))
    assert [value for part in parts for value in part] == values
    assert max(map(len, parts)) <= AT_ONCE


@pytest.mark.parametrize(
    "empty",
    [[], np.zeros(0), np.zeros((0, 3)), pl.Series([], dtype=pl.Float64), pa.array([], pa.float64())],
    ids=lambda empty: type(empty).__name__,
)
def test_an_empty_batch_has_no_part(empty: object) -> None:
    assert list(parts_of(empty)) == []


@pytest.mark.slow
def test_without_numpy_series_of_polars_are_read() -> None:
    code = """
import sys
sys.modules["numpy"] = None
import polars
from modelplane_exporter.measurement.numbers_in import parts_of
print(list(parts_of(polars.Series([0.25, 0.5]))))
"""
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )
    assert run.stdout.split("\n")[0] == "[[0.25, 0.5]]", run.stderr


class LiesAboutItself(list[float]):
    def __len__(self) -> int:
        return 2**62

    def __getitem__(self, _: object) -> list[float]:  # type: ignore[override]
        return [0.0] * AT_ONCE

    def __iter__(self) -> Iterator[float]:
        return itertools.repeat(0.0)


class ClaimsMoreThanItHas:
    """A vector of another library, one that gives 10,001 values and says that there are more."""

    shape = (2**62,)

    def reshape(self, _: int) -> ClaimsMoreThanItHas:
        return self

    def __getitem__(self, cut: slice) -> np.ndarray:
        return np.zeros(AT_ONCE + 1)[cut]

    def tolist(self) -> list[float]:
        return [0.0] * (AT_ONCE + 1)


def test_only_what_a_list_holds_is_read() -> None:
    assert list(parts_of(LiesAboutItself([0.25, 0.5]))) == [[0.25, 0.5]]


def test_an_array_that_ends_early_ends_the_reading() -> None:
    assert [len(part) for part in parts_of(ClaimsMoreThanItHas())] == [AT_ONCE, 1]
