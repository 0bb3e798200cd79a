"""CSV and JSON files as people have them: compressed, with an index, with other delimiters and encodings."""

from __future__ import annotations

import bz2
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from exporter_support.same_data import in_service, in_training
from modelplane_exporter.baseline import Baseline, CategoricalSignal, NumericSignal
from modelplane_provisioning.baseline_files import csv_file
from provisioning_support.baseline_command import fitted, refused, run


def frame(rows: int = 200) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "city": rng.choice(["Köln", "Łódź", "Paris, FR", 'the "Hague"', "a;b|c"], rows),
            "age": rng.integers(18, 80, rows),
            "height": rng.normal(1.7, 0.1, rows).round(3),
            "since": pd.date_range("2023-05-01 06:30", periods=rows, freq="7h", tz="Europe/Paris"),
            "member": rng.choice([True, False], rows),
        }
    )


WRITERS: dict[str, Callable[[pd.DataFrame, Path], Any]] = {
    "train.csv": lambda data, path: data.to_csv(path, index=False),
    "train.csv.gz": lambda data, path: data.to_csv(path, index=False),
    "train.csv.bz2": lambda data, path: data.to_csv(path, index=False),
    "train.tsv": lambda data, path: data.to_csv(path, index=False, sep="\t"),
    "train.tsv.gz": lambda data, path: data.to_csv(path, index=False, sep="\t"),
    "semicolons.csv": lambda data, path: data.to_csv(path, index=False, sep=";"),
    "european.csv": lambda data, path: data.to_csv(path, index=False, sep=";", decimal=","),
    "bars.csv": lambda data, path: data.to_csv(path, index=False, sep="|"),
    "mark.csv": lambda data, path: data.to_csv(path, index=False, encoding="utf-8-sig"),
    "wide.csv": lambda data, path: data.to_csv(path, index=False, encoding="utf-16"),
    "windows.csv": lambda data, path: data.to_csv(path, index=False, lineterminator="\r\n"),
    "train.jsonl": lambda data, path: data.to_json(path, orient="records", lines=True, date_format="iso"),
    "train.jsonl.gz": lambda data, path: data.to_json(path, orient="records", lines=True, date_format="iso"),
    "ascii.ndjson": lambda data, path: path.write_text(
        "".join(json.dumps(row, default=str) + "\n\n" for row in data.to_dict("records"))
    ),
    "train.parquet": lambda data, path: data.to_parquet(path),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", WRITERS)
def test_every_format_says_the_same(name: str, tmp_path: Path) -> None:
    data, path = frame(), tmp_path / name
    WRITERS[name](data, path)
    baseline = fitted(path)
    assert [signal.name for signal in baseline.signals] == list(data)
    in_memory = Baseline.fit("m", data)
    assert [(s.bins, s.ratios) for s in baseline.signals] == [(s.bins, s.ratios) for s in in_memory.signals]
    assert in_service(baseline, data) == (in_training(baseline), {})


@pytest.mark.slow
@pytest.mark.parametrize("name", ["train.csv", "train.csv.gz", "semicolons.csv"])
def test_the_index_of_a_frame_is_left_out_and_said(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    frame().to_csv(path, sep=";" if "semi" in name else ",")
    result = run("fit", path, "--model", "m", "--out", tmp_path / "b.json")
    assert f"{path}: column 1 has no name, as the index of a frame, and so was left out\n" in result.output
    assert [signal.name for signal in Baseline.load(tmp_path / "b.json").signals] == list(frame())
    pd.read_csv(path, sep=None, engine="python").to_csv(path, index=False)
    assert [signal.name for signal in fitted(path).signals] == list(frame())


def test_an_encoding_is_found_out_or_named(tmp_path: Path) -> None:
    data, path = pd.DataFrame({"city": ["Köln", "Kâln", "Paris"] * 9}), tmp_path / "x.csv"
    data.to_csv(path, index=False, encoding="cp1252")
    result = run("fit", path, "--model", "m", "--out", tmp_path / "b.json")
    assert (
        "x.csv: is not UTF-8, and so was read as Windows-1252; name another with --encoding\n"
        in result.output
    )
    baseline = Baseline.load(tmp_path / "b.json")
    assert in_service(baseline, data) == (in_training(baseline), {})
    assert (
        "read as"
        not in run("fit", path, "--model", "m", "--encoding", "cp1252", "--out", tmp_path / "b").output
    )
    cyrillic = pd.DataFrame({"city": ["Москва", "Омск"]})
    for name in ("x.csv", "x.jsonl"):
        text = cyrillic.to_csv(index=False) if name == "x.csv" else '{"city": "Москва"}\n{"city": "Омск"}\n'
        (tmp_path / name).write_bytes(text.encode("koi8-r"))
        (signal,) = fitted(tmp_path / name, "--encoding", "koi8-r").signals
        assert set(signal.bins[:2]) == {"Москва", "Омск"}
    assert "--encoding: 'klingon' is unknown" in refused(path, "--encoding", "klingon")
    assert "x.csv: is not ascii text; say how it is encoded" in refused(path, "--encoding", "ascii")


@pytest.mark.slow
def test_an_encoding_that_shows_late_names_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_file, "_BLOCK", 1000)
    path = tmp_path / "x.csv"
    path.write_bytes(b"city\n" + b"Paris\n" * 400_000 + "Köln\n".encode("cp1252"))
    assert refused(path).rstrip().endswith("; say how it is encoded with --encoding")


def test_blanks_that_show_late_are_no_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_file, "_BLOCK", 1000)
    path = tmp_path / "x.csv"
    rows = [f"{number % 7}.5,t{number % 3}" for number in range(1000)]
    for place, blank in ((900, " "), (950, "        ")):
        rows[place] = f"{blank},{blank}"
    path.write_text("\n".join(["length,colour", *rows, ""]))
    for signal in fitted(path).signals:
        assert dict(zip(signal.bins, signal.ratios, strict=True))["__missing__"] == pytest.approx(0.002)


def test_a_delimiter_may_be_named(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("a:b\n1:2\n3:4\n")
    assert [signal.name for signal in fitted(path, "--delimiter", ":").signals] == ["a", "b"]
    path.write_text("a\tb\n1\t2\n")
    for tab in ("tab", "\\t", "\t"):
        assert [signal.name for signal in fitted(path, "--delimiter", tab).signals] == ["a", "b"]
    for wrong in ("::", "", "\n", "§"):
        assert "--delimiter must be one ASCII character, or tab" in refused(path, "--delimiter", wrong)
    frame().to_parquet(tmp_path / "x.parquet")
    for option in ("--delimiter", "--encoding"):
        assert "Parquet has neither" in refused(tmp_path / "x.parquet", option, ",")


@pytest.mark.parametrize("name", ["x.csv", "x.jsonl", "x.parquet"])
def test_a_column_without_any_value_is_reported_and_left_out(name: str, tmp_path: Path) -> None:
    data, path = (
        pd.DataFrame({"a": [1.5, 2.5, None], "empty": [None] * 3, "b": ["x", "y", None]}),
        tmp_path / name,
    )
    writers = {
        "x.csv": lambda: data.to_csv(path, index=False),
        "x.jsonl": lambda: data.to_json(path, orient="records", lines=True),
        "x.parquet": lambda: data.to_parquet(path),
    }
    writers[name]()
    result = run("fit", path, "--model", "m", "--out", tmp_path / "b.json")
    assert "column 'empty' has no value in any row, and so was left out; --ignore it\n" in result.output
    assert [signal.name for signal in Baseline.load(tmp_path / "b.json").signals] == ["a", "b"]
    assert (
        "empty" not in run("fit", path, "--ignore", "empty", "--model", "m", "--out", tmp_path / "b").output
    )


def test_json_rows_may_lack_keys_and_hold_what_is_nested(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    rows = [{"n": 1, "zip": "01"}, {"n": 2.5, "tags": ["a"]}, {"late": True, "zip": "02"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert "column 'tags' must hold numbers, texts or truth values, nothing nested; leave it out" in refused(
        path
    )
    n, zip_code, late = fitted(path, "--ignore", "tags").signals
    assert isinstance(n, NumericSignal)
    assert (n.mean, n.ratios[-1]) == (1.75, 1 / 3)
    assert isinstance(zip_code, CategoricalSignal)
    assert zip_code.categories == ("01", "02")
    assert late.ratios == (1 / 3, 0.0, 2 / 3)
    path.write_text('{"a": 1}\n[1]\n')
    assert "x.jsonl: row 2 must be a JSON object (got list)" in refused(path)
    path.write_text('{"a": 1}\n{"a": \n')
    assert "x.jsonl: row 2 is not JSON: Expecting value" in refused(path)


@pytest.mark.parametrize("name", ["x.csv.gz", "x.jsonl.bz2"])
def test_a_file_that_is_not_compressed_as_its_name_says(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(b"a\n1\n")
    assert f"{name}: " in refused(path)
    path.write_bytes((gzip if name.endswith(".gz") else bz2).compress(b'{"a": 1}\n' * 1000)[:20])
    assert f"{name}: " in refused(path)


@pytest.mark.parametrize("name", ["x.csv", "x.jsonl", "x.parquet"])
def test_few_whole_numbers_that_were_predicted_are_classes(name: str, tmp_path: Path) -> None:
    data, path = (
        pd.DataFrame({"few": [0, 1, 1] * 30, "many": range(90), "score": [0.5, 1.0, 0.0] * 30}),
        tmp_path / name,
    )
    writers = {
        "x.csv": lambda: data.to_csv(path, index=False),
        "x.jsonl": lambda: data.to_json(path, orient="records", lines=True),
        "x.parquet": lambda: data.to_parquet(path),
    }
    writers[name]()
    classes, many, score = fitted(path, *(f"--predictions={column}" for column in data)).signals
    assert isinstance(classes, CategoricalSignal)
    assert classes.categories == ("1", "0")
    assert isinstance(many, NumericSignal)
    assert isinstance(score, NumericSignal)
    assert isinstance(
        fitted(path, "--predictions", "many", "--categorical", "many").signals[-1], CategoricalSignal
    )
    assert isinstance(fitted(path).signals[0], NumericSignal)
