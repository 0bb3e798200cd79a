"""Parquet and CSV files give the baseline of their rows, whatever their size; mistakes are one sentence."""

from __future__ import annotations

import datetime
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from modelplane_exporter.baseline import CategoricalSignal, NumericSignal
from modelplane_provisioning.baseline_files import csv_file
from modelplane_provisioning.processes import PATIENCE_SECONDS
from provisioning_support.baseline_command import (
    ROLES,
    assert_alike,
    fitted,
    refused,
    training_baseline,
    training_data,
)


@pytest.mark.slow
def test_a_csv_file_gives_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_file, "_BLOCK", 20_000)
    path = tmp_path / "train.csv"
    training_data().to_csv(path, index=False)
    assert_alike(fitted(path, *ROLES), training_baseline())


@pytest.mark.slow
@pytest.mark.parametrize("place", ["{}", "{}/*.parquet", "{}/**/*.parquet"])
def test_a_folder_or_pattern_of_parquet_files_is_one_data_set(place: str, tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    data = training_data()
    for start in range(0, 3000, 1000):
        data.iloc[start : start + 1000].to_parquet(folder / f"{start}.parquet", index=False)
    (folder / "_SUCCESS").touch()
    assert_alike(fitted(place.format(folder), *ROLES), training_baseline())


def test_several_files_may_order_their_columns_differently(tmp_path: Path) -> None:
    data = training_data()
    data.iloc[:1000].to_parquet(tmp_path / "a.parquet", index=False)
    data.iloc[1000:][data.columns[::-1]].to_parquet(tmp_path / "b.parquet", index=False)
    assert_alike(fitted(tmp_path / "a.parquet", tmp_path / "b.parquet", *ROLES), training_baseline())


def test_the_index_of_a_frame_is_no_feature(tmp_path: Path) -> None:
    path = tmp_path / "train.parquet"
    training_data().set_index("customer").to_parquet(path)
    assert "customer" not in {signal.name for signal in fitted(path).signals}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("column", "mean"),
    [
        (pa.array([1, None, 2], pa.int8()), 1.5),
        (pa.array([1, 2], pa.uint64()), 1.5),
        (pa.array([1.0, float("nan"), None, 2.0], pa.float32()), 1.5),
        (pa.array([np.float16(1.5)], pa.float16()), 1.5),
        (pa.array([Decimal("1.50"), None], pa.decimal128(5, 2)), 1.5),
        (pa.array([datetime.date(1970, 1, 2), None], pa.date32()), 86400.0),
        (pa.array([datetime.date(1970, 1, 2), None], pa.date64()), 86400.0),
        (pa.array([datetime.datetime(1970, 1, 1, 1), None], pa.timestamp("ns")), 3600.0),
        (pa.array([3600], pa.timestamp("s", "Europe/Paris")), 3600.0),
        (pa.array([datetime.timedelta(minutes=1)], pa.duration("us")), 60.0),
    ],
    ids=lambda value: str(getattr(value, "type", value)),
)
def test_parquet_types_that_are_numbers(column: Any, mean: float, tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": column}), tmp_path / "x.parquet")
    (signal,) = fitted(tmp_path / "x.parquet").signals
    assert isinstance(signal, NumericSignal)
    assert (signal.mean, signal.observations) == (mean, len(column))


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["1", "a", "1", None]),
        pa.array(["1", "a", "1", None], pa.large_string()),
        pa.array([b"1", b"a", b"1", None]),
        pa.array(["1", "a", "1", None]).dictionary_encode(),
    ],
    ids=lambda column: str(column.type),
)
def test_parquet_types_that_are_categories(column: Any, tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": column}), tmp_path / "x.parquet")
    (signal,) = fitted(tmp_path / "x.parquet").signals
    assert isinstance(signal, CategoricalSignal)
    assert (signal.categories, signal.ratios) == (("1", "a"), (0.5, 0.25, 0.0, 0.25))


def test_categories_of_pandas_and_truth_values_are_categories(tmp_path: Path) -> None:
    frame = pd.DataFrame({"n": pd.Series([2, 1, 2], dtype="category"), "b": [True, False, True]})
    frame.to_parquet(tmp_path / "x.parquet")
    numbers, truths = fitted(tmp_path / "x.parquet").signals
    assert isinstance(numbers, CategoricalSignal)
    assert isinstance(truths, CategoricalSignal)
    assert (numbers.categories, truths.categories) == (("2", "1"), ("true", "false"))


def test_what_a_csv_file_says(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(
        'n,zip,text,flag,empty,day\n1,01234,"NA",true,,2026-01-02\n,01234,NA,false,1.5,\n2,99,x,true,,\n'
    )
    n, zip_code, text, flag, empty, day = fitted(path, "--categorical", "zip").signals
    assert isinstance(n, NumericSignal)
    assert (n.mean, n.ratios[-1]) == (1.5, 1 / 3)
    assert isinstance(zip_code, CategoricalSignal)
    assert zip_code.categories == ("01234", "99")
    assert isinstance(text, CategoricalSignal)
    assert (text.categories, text.ratios[-1]) == (("x",), 2 / 3)  # a call does not tell what was quoted
    assert isinstance(flag, CategoricalSignal)
    assert flag.categories == ("true", "false")
    assert isinstance(empty, NumericSignal)
    assert (empty.mean, empty.ratios[-1]) == (1.5, 2 / 3)
    assert isinstance(day, NumericSignal)
    assert day.mean == datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC).timestamp()


def test_a_csv_column_that_turns_from_whole_numbers_to_fractions_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_file, "_BLOCK", 100)
    path = tmp_path / "x.csv"
    path.write_text("x,y\n" + "1,\n" * 500 + "2.5,7\n" * 500)
    x, y = fitted(path).signals
    assert isinstance(x, NumericSignal)
    assert isinstance(y, NumericSignal)
    assert (x.mean, y.mean, y.ratios[-1]) == (1.75, 7.0, 0.5)


def test_a_csv_column_that_turns_to_texts_late_names_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_file, "_BLOCK", 100)
    path = tmp_path / "x.csv"
    path.write_text("x\n" + "1\n" * 500 + "many\n")
    output = refused(path)
    assert "invalid value 'many'" in output
    assert output.rstrip().endswith("; take it as texts with --categorical")
    assert fitted(path, "--categorical", "x").signals[0].bins[:2] == ("1", "many")


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", "x.csv: Empty CSV file"),
        (b"a,b\n1\n", "x.csv: CSV parse error: Expected 2 columns, got 1: 1"),
        (b"a,a\n1,2\n", "x.csv: the column name 'a' occurs 2 times"),
        (b"a,b\n", "'a' must have at least one row"),
        (b"a\n\x81\n", "x.csv: is not utf-8 text; say how it is encoded with --encoding"),
        (b"\xff\xfe\n1\n", "x.csv: is not utf-16 text; say how it is encoded with --encoding"),
    ],
)
def test_a_csv_file_that_cannot_be_used(content: bytes, error: str, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(content)
    assert error in refused(tmp_path / "x.csv")


def test_parquet_files_that_cannot_be_used(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1, 2], "s": [{"a": 1}, None]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"x": ["a"], "s": ["b"]}), tmp_path / "b.parquet")
    pq.write_table(pa.table({"x": [1], "z": [1]}), tmp_path / "c.parquet")
    (tmp_path / "d.parquet").write_bytes(b"not Parquet at all")
    first = tmp_path / "a.parquet"
    assert "column 's' must hold numbers, dates, texts" in refused(first)
    assert "input 'x': holds numbers in one part" in refused(first, tmp_path / "b.parquet", "--columns", "x")
    assert "c.parquet: column 's' is not in all of the files" in refused(first, tmp_path / "c.parquet")
    assert "d.parquet: Parquet magic bytes not found" in refused(tmp_path / "d.parquet")
    pq.write_table(pa.table({"x": pa.array([None, None], pa.float64())}), tmp_path / "e.parquet")
    assert "no signal has a value in any row" in refused(tmp_path / "e.parquet")


def test_data_that_is_not_there(tmp_path: Path) -> None:
    assert "none.csv: there is no such file or folder" in refused(tmp_path / "none.csv")
    (tmp_path / "empty").mkdir()
    assert "empty: there is no .parquet file in this folder" in refused(tmp_path / "empty")
    for name in ("a.csv", "b.csv", "c.json"):
        (tmp_path / name).write_text("x\n1\n")
    both = refused(tmp_path / "a.csv", tmp_path / "b.csv")
    assert "data must be one .csv, .tsv or .jsonl file (also .gz), or .parquet files" in both
    assert "data must be one .csv, .tsv or .jsonl file" in refused(tmp_path / "c.json")


# Not ru_maxrss: that of a child begins with what its parent took.
MEASURE = """
import re, sys
from pathlib import Path
from modelplane_provisioning.cli import cli
cli(["baseline", "fit", sys.argv[1], "--model", "m", "--out", sys.argv[2]], standalone_mode=False)
print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


def peak_memory(path: Path) -> int:
    """MiB that a process takes at most to fit the file."""
    command = [sys.executable, "-c", MEASURE, str(path), str(path.with_suffix(".json"))]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE_SECONDS)
    return int(done.stdout.splitlines()[-1]) // 1024


@pytest.mark.slow
def test_memory_does_not_grow_with_a_parquet_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    small, large = tmp_path / "small.parquet", tmp_path / "large.parquet"
    for path, rows in ((small, 220_000), (large, 1_500_000)):  # the sample is full in both
        table = pa.table({f"f{i}": rng.normal(size=rows) for i in range(20)})
        pq.write_table(table, path, compression="none", use_dictionary=False)
    assert large.stat().st_size - small.stat().st_size > 190 << 20
    assert peak_memory(large) - peak_memory(small) < 90


@pytest.mark.slow
def test_memory_does_not_grow_with_a_csv_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    small, large = tmp_path / "small.csv", tmp_path / "large.csv"
    for path, rows in ((small, 200_000), (large, 900_000)):
        texts = {f"t{i}": rng.choice([letter * 90 for letter in "abcde"], rows) for i in range(2)}
        pa_csv.write_csv(pa.table({**texts, "x": rng.normal(size=rows)}), path)
    assert large.stat().st_size - small.stat().st_size > 130 << 20
    assert peak_memory(large) - peak_memory(small) < 90


@pytest.mark.parametrize("blank", [" ", '"  "', "\t", "\u00a0"])
def test_a_blank_cell_of_a_column_of_numbers_is_missing(blank: str, tmp_path: Path) -> None:
    path = tmp_path / "train.csv"
    path.write_text(f"age,colour\n20,red\n{blank},red\n30,blue\n", encoding="utf-8")
    age, colour = fitted(path).signals
    assert isinstance(age, NumericSignal)
    assert (age.observations, age.mean) == (3, 25.0)
    assert age.ratios[-1] == pytest.approx(1 / 3)
    assert isinstance(colour, CategoricalSignal)
