"""``modelplane baseline``: files give the baseline of their rows, mistakes are one clear sentence."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from modelplane_exporter.baseline import Baseline, CategoricalSignal, NumericSignal
from modelplane_provisioning import baseline_files
from modelplane_provisioning.cli import cli
from modelplane_provisioning.processes import PATIENCE_SECONDS

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


def expected() -> Baseline:
    data = training_data()
    features = data.drop(columns=["score", "revenue"])
    return Baseline.fit(
        "m", features, prediction=data["score"], business=data[["revenue"]], hashed=["customer"], salt=SALT
    )


def assert_alike(one: Baseline, other: Baseline) -> None:
    """The same shares of the same bins; moments may differ in the last digits."""
    assert [(s.kind, s.name, s.bins, s.ratios) for s in one.signals] == [
        (s.kind, s.name, s.bins, s.ratios) for s in other.signals
    ]
    for left, right in zip(one.signals, other.signals, strict=True):
        if isinstance(left, NumericSignal) and isinstance(right, NumericSignal):
            assert left.edges == pytest.approx(right.edges, rel=1e-12)
            assert (left.mean, left.stddev) == pytest.approx((right.mean, right.stddev), rel=1e-9)


def test_a_parquet_file_gives_the_baseline_of_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "train.parquet"
    training_data().to_parquet(path, row_group_size=700)
    result = run("fit", path, *ROLES, "--model", "m", "--version", "v1", "--out", tmp_path / "b.json")
    baseline = Baseline.load(tmp_path / "b.json")
    assert result.output == f"{tmp_path / 'b.json'}: 8 signals of m, 3,000 rows, baseline {baseline.label}\n"
    assert baseline.model_version == "v1"
    assert_alike(baseline, expected())


def test_a_csv_file_gives_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baseline_files, "_CSV_BLOCK", 20_000)
    path = tmp_path / "train.csv"
    training_data().to_csv(path, index=False)
    assert_alike(fitted(path, *ROLES), expected())


@pytest.mark.parametrize("place", ["{}", "{}/*.parquet", "{}/**/*.parquet"])
def test_a_folder_or_pattern_of_parquet_files_is_one_data_set(place: str, tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    data = training_data()
    for start in range(0, 3000, 1000):
        data.iloc[start : start + 1000].to_parquet(folder / f"{start}.parquet", index=False)
    (folder / "_SUCCESS").touch()
    assert_alike(fitted(place.format(folder), *ROLES), expected())


def test_several_files_may_order_their_columns_differently(tmp_path: Path) -> None:
    data = training_data()
    data.iloc[:1000].to_parquet(tmp_path / "a.parquet", index=False)
    data.iloc[1000:][data.columns[::-1]].to_parquet(tmp_path / "b.parquet", index=False)
    assert_alike(fitted(tmp_path / "a.parquet", tmp_path / "b.parquet", *ROLES), expected())


def test_columns_and_their_roles(tmp_path: Path) -> None:
    path = tmp_path / "train.parquet"
    training_data().to_parquet(path)
    baseline = fitted(
        path, "--columns", "children", "--columns", "city", "--categorical", "children",
        "--prediction", "score", "--prediction", "revenue", "--activation", "age",
    )  # fmt: skip
    assert [(signal.kind, signal.name) for signal in baseline.signals] == [
        ("input", "children"), ("input", "city"),
        ("output", "score"), ("output", "revenue"), ("activation", "age"),
    ]  # fmt: skip
    assert isinstance(baseline.signals[0], CategoricalSignal)
    assert set(baseline.signals[0].categories) == set("01234")
    rest = fitted(path, "--ignore", "customer", "--ignore", "since")
    assert [signal.name for signal in rest.signals] == [
        "age",
        "children",
        "member",
        "city",
        "score",
        "revenue",
    ]
    assert rest.salt == ""


def test_the_index_of_a_frame_is_no_feature(tmp_path: Path) -> None:
    path = tmp_path / "train.parquet"
    training_data().set_index("customer").to_parquet(path)
    assert "customer" not in {signal.name for signal in fitted(path).signals}


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
    assert (text.categories, text.ratios[-1]) == (("NA", "x"), 1 / 3)
    assert isinstance(flag, CategoricalSignal)
    assert flag.categories == ("true", "false")
    assert isinstance(empty, NumericSignal)
    assert (empty.mean, empty.ratios[-1]) == (1.5, 2 / 3)
    assert isinstance(day, NumericSignal)
    assert day.mean == datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC).timestamp()


def test_a_csv_column_that_turns_from_whole_numbers_to_fractions_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(baseline_files, "_CSV_BLOCK", 100)
    path = tmp_path / "x.csv"
    path.write_text("x,y\n" + "1,\n" * 500 + "2.5,7\n" * 500)
    x, y = fitted(path).signals
    assert isinstance(x, NumericSignal)
    assert isinstance(y, NumericSignal)
    assert (x.mean, y.mean, y.ratios[-1]) == (1.75, 7.0, 0.5)


def test_a_csv_column_that_turns_to_texts_late_names_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(baseline_files, "_CSV_BLOCK", 100)
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
        (b"\xff\xfe\n1\n", "x.csv: 'utf-8' codec can't decode"),
        (
            b"a\n12:30:00\n",
            "column 'a' must hold numbers, dates, texts or truth values (got time32[s]); leave it out",
        ),
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
    assert "input 'x': has no finite number in 2 rows" in refused(tmp_path / "e.parquet")


def test_options_that_do_not_fit_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("a,b\n1,2\n")
    for option in ("columns", "prediction", "business", "activation", "ignore", "categorical", "hash"):
        assert f"--{option}: there is no column 'q'; there are 'a', 'b'" in refused(path, f"--{option}", "q")
    assert "column 'a' must be given once: as one of columns" in refused(
        path, "--prediction", "a", "--ignore", "a"
    )
    assert "there is no column left to fit" in refused(path, "--ignore", "a", "--ignore", "b")
    assert "salt must be 16 to 128 hexadecimal digits" in refused(path, "--hash", "a", "--salt", "pepper")
    assert "model_version must be a non-empty text" in refused(path, "--version", "")
    nowhere = run("fit", path, "--model", "m", "--out", tmp_path / "none" / "b.json")
    assert f"--out: there is no folder {tmp_path / 'none'}" in nowhere.output


def test_data_that_is_not_there(tmp_path: Path) -> None:
    assert "none.csv: there is no such file or folder" in refused(tmp_path / "none.csv")
    (tmp_path / "empty").mkdir()
    assert "empty: there is no .parquet file in this folder" in refused(tmp_path / "empty")
    for name in ("a.csv", "b.csv", "c.json"):
        (tmp_path / name).write_text("x\n1\n")
    both = refused(tmp_path / "a.csv", tmp_path / "b.csv")
    assert "data must be one .csv file or .parquet files" in both
    assert "data must be one .csv file or .parquet files" in refused(tmp_path / "c.json")


def test_show_lists_signals_with_small_histograms(tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    expected().save(path)
    result = run("show", path)
    assert result.exit_code == 0
    rows = {line.split("│")[2].strip(): line for line in result.output.splitlines() if line.startswith("│")}
    assert list(rows) == ["age", "children", "member", "city", "since", "customer", "prediction", "revenue"]
    assert "██████████" in rows["prediction"]
    assert "20 hashed categories" in rows["customer"]
    assert "3,000" in rows["age"]
    assert "baseline " + expected().label in result.output
    assert "m (all versions): 8 signals, fitted 20" in result.output


def test_show_one_signal_has_a_row_for_each_bin(tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    Baseline.fit("m", {"[x]": [0, 0, 0, 1, None], "c": ["[a]", "[a]", "b", None, None]}).save(path)
    numeric = run("show", path, "--signal", "[x]").output
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in numeric.splitlines() if "│" in line]
    assert [row[:5] for row in cells] == [
        ["00", "-inf", "-1e-12", "", "0 %"],
        ["01", "-1e-12", "0.5", "0", "60.00 %"],
        ["02", "0.5", "1.000001", "1", "20.00 %"],
        ["03", "1.000001", "inf", "", "0 %"],
        ["__missing__", "", "", "", "20.00 %"],
    ]
    assert "input [x]" in numeric
    assert len(cells[1][5]) == 3 * len(cells[2][5]) + 1
    texts = run("show", path, "--signal", "c").output
    assert [line.split("│")[1].strip() for line in texts.splitlines() if "│" in line] == [
        "[a]", "b", "__other__", "__missing__",
    ]  # fmt: skip


def test_show_refuses_what_is_no_baseline(tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    expected().save(path)
    unknown = run("show", path, "--signal", "q")
    assert (unknown.exit_code, "there is no signal 'q'; there are 'age', 'children'" in unknown.output) == (
        1,
        True,
    )
    content = json.loads(path.read_text())
    content["format"] = "modelplane-baseline/2"
    path.write_text(json.dumps(content))
    other = run("show", path)
    assert (other.exit_code, "format must be 'modelplane-baseline/1'" in other.output) == (1, True)
    absent = run("show", tmp_path / "none.json")
    assert (absent.exit_code, "none.json: cannot be read" in absent.output) == (1, True)


@pytest.mark.parametrize("module", ["numpy", "pyarrow"])
def test_a_missing_extra_is_named(module: str) -> None:
    code = (
        f"import sys; sys.modules[{module!r}] = None\n"
        "sys.argv = ['modelplane', 'baseline', 'fit', 'x.csv', '--model', 'm', '--out', 'b.json']\n"
        "from modelplane_provisioning.entry import main\nmain()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2
    assert "pip install 'modelplane[baseline]'" in done.stderr


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


def test_memory_does_not_grow_with_a_parquet_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    small, large = tmp_path / "small.parquet", tmp_path / "large.parquet"
    for path, rows in ((small, 220_000), (large, 1_500_000)):  # the sample is full in both
        table = pa.table({f"f{i}": rng.normal(size=rows) for i in range(20)})
        pq.write_table(table, path, compression="none", use_dictionary=False)
    assert large.stat().st_size - small.stat().st_size > 190 << 20
    assert peak_memory(large) - peak_memory(small) < 90


def test_memory_does_not_grow_with_a_csv_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    small, large = tmp_path / "small.csv", tmp_path / "large.csv"
    for path, rows in ((small, 200_000), (large, 900_000)):
        texts = {f"t{i}": rng.choice([letter * 90 for letter in "abcde"], rows) for i in range(2)}
        pa_csv.write_csv(pa.table({**texts, "x": rng.normal(size=rows)}), path)
    assert large.stat().st_size - small.stat().st_size > 130 << 20
    assert peak_memory(large) - peak_memory(small) < 90
