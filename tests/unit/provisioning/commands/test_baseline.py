"""``modelplane baseline``: columns become signals, and each is shown with a histogram."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from modelplane_exporter.baseline import Baseline, CategoricalSignal
from modelplane_provisioning.processes import PATIENCE_SECONDS
from provisioning_support.baseline_command import (
    ROLES,
    assert_alike,
    fitted,
    refused,
    run,
    training_baseline,
    training_data,
)


def test_a_parquet_file_gives_the_baseline_of_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "train.parquet"
    training_data().to_parquet(path, row_group_size=700)
    result = run("fit", path, *ROLES, "--model", "m", "--version", "v1", "--out", tmp_path / "b.json")
    baseline = Baseline.load(tmp_path / "b.json")
    assert result.output == f"{tmp_path / 'b.json'}: 8 signals of m, 3,000 rows, baseline {baseline.label}\n"
    assert baseline.model_version == "v1"
    assert_alike(baseline, training_baseline())


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


def test_options_that_do_not_fit_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("a,b\n1,2\n")
    for option in ("columns", "predictions", "business", "activation", "ignore", "categorical", "hash"):
        assert f"--{option}: there is no column 'q'; there are 'a', 'b'" in refused(path, f"--{option}", "q")
    assert "column 'a' must be given once: as one of columns" in refused(
        path, "--prediction", "a", "--ignore", "a"
    )
    assert "there is no column left to fit" in refused(path, "--ignore", "a", "--ignore", "b")
    assert "salt must be 16 to 128 hexadecimal digits" in refused(path, "--hash", "a", "--salt", "pepper")
    assert "model_version must be a non-empty text" in refused(path, "--version", "")
    nowhere = run("fit", path, "--model", "m", "--out", tmp_path / "none" / "b.json")
    assert f"--out: there is no folder {tmp_path / 'none'}" in nowhere.output


def test_show_lists_signals_with_small_histograms(tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    training_baseline().save(path)
    result = run("show", path)
    assert result.exit_code == 0
    rows = {line.split("│")[2].strip(): line for line in result.output.splitlines() if line.startswith("│")}
    assert list(rows) == ["age", "children", "member", "city", "since", "customer", "prediction", "revenue"]
    assert "██████████" in rows["prediction"]
    assert "20 hashed categories" in rows["customer"]
    assert "3,000" in rows["age"]
    assert "baseline " + training_baseline().label in result.output
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
    training_baseline().save(path)
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


@pytest.mark.slow
@pytest.mark.parametrize("module", ["numpy", "pyarrow"])
def test_a_missing_extra_is_named(module: str) -> None:
    code = (
        f"import sys; sys.modules[{module!r}] = None\n"
        "sys.argv = ['modelplane', 'baseline', 'fit', 'x.csv', '--model', 'm', '--out', 'b.json']\n"
        "from modelplane_provisioning.entry import main\nmain()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS
    )
    assert done.returncode == 2
    assert "pip install 'modelplane[baseline]'" in done.stderr
