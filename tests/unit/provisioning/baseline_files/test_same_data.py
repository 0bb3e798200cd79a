"""A baseline is fitted to a file; the very same rows, live in any form, fall where training put them."""

from __future__ import annotations

import datetime
import tempfile
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from exporter_support.same_data import FORMS, Columns, csv_of, in_service, in_training
from modelplane_exporter.baseline import Baseline, BaselineError
from modelplane_exporter.baseline.texts import MISSING_TEXTS
from modelplane_provisioning.baseline_files import open_files
from provisioning_support.baseline_command import fitted

ROWS = 120
CET = datetime.timezone(datetime.timedelta(hours=1))


def columns(rows: int = ROWS) -> dict[str, list[Any]]:
    """Columns of every type that a CSV file can hold."""
    rng = np.random.default_rng(0)
    day = datetime.date(2023, 1, 1)

    def choice(*values: Any) -> list[Any]:
        return [values[index] for index in rng.integers(0, len(values), rows)]

    return {
        "signup": [day + datetime.timedelta(days=i) for i in range(rows)],
        "seen": [datetime.datetime(2024, 2, 3, 4, i % 60, i // 2) for i in range(rows)],
        "zoned": [datetime.datetime(2024, 2, 3, 4, i % 60, tzinfo=CET) for i in range(rows)],
        "active": choice(True, False),
        "maybe": choice(True, False, None),
        "flag": choice("True", "False"),
        "zip": choice("00001", "01234", "99999"),
        "city": choice("Köln", "Kâln", "Paris", " Oslo "),
        "age": rng.integers(18, 80, rows).tolist(),
        "children": choice(0, 1, 2, None),
        "height": rng.normal(170, 10, rows).round(2).tolist(),
        "mixed": choice(1, 2.5, 3.0, None),
        "price": choice(Decimal("1.50"), Decimal("2.25"), Decimal("10.00")),
        "plan": choice("1", "2"),
        "option": choice("a", "None", "NA", "b", None, ""),
        "lunch": choice(datetime.time(12, 30), datetime.time(13)),
        "device": choice(*(uuid.UUID(int=i) for i in range(4))),
    }


def baseline_of(data: Columns, folder: Path) -> Baseline:
    path = folder / "train.csv"
    path.write_text(csv_of(data), encoding="utf-8")
    return fitted(path)


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> Baseline:
    return baseline_of(columns(), tmp_path_factory.mktemp("data"))


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_the_rows_of_a_csv_file_in_every_form(form: str, baseline: Baseline) -> None:
    assert in_service(baseline, FORMS[form](columns())) == (in_training(baseline), {})


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_as_few_rows_as_wait_in_a_queue(form: str, baseline: Baseline) -> None:
    # A single call is counted in another way than a batch.
    data = columns()
    parts = [{name: values[start : start + 40] for name, values in data.items()} for start in (0, 40, 80)]
    assert in_service(baseline, *map(FORMS[form], parts)) == (in_training(baseline), {})


@pytest.mark.slow
@pytest.mark.parametrize(
    "form",
    ["records", "JSON rows", "dataclasses", "pydantic", "named tuples", "SQLite", "texts of csv.DictReader"],
)
def test_row_by_row(form: str, baseline: Baseline) -> None:
    assert in_service(baseline, *FORMS[form](columns())) == (in_training(baseline), {})


def test_what_the_columns_of_a_csv_file_are(baseline: Baseline) -> None:
    numeric = {"signup", "seen", "zoned", "age", "children", "height", "mixed", "price", "plan"}
    assert {signal.name for signal in baseline.signals if hasattr(signal, "edges")} == numeric
    assert {signal.name for signal in baseline.signals if getattr(signal, "is_time", False)} == {
        "signup", "seen", "zoned",
    }  # fmt: skip
    named = {signal.name: signal.bins[:-2] for signal in baseline.signals if signal.name not in numeric}
    assert set(named["zip"]) == {"00001", "01234", "99999"}
    assert set(named["city"]) == {"Köln", "Kâln", "Paris", "Oslo"}
    assert set(named["flag"]) == set(named["active"]) == {"true", "false"}
    assert set(named["option"]) == {"a", "b"}


TEXTS = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=6)
SPELLINGS = st.sampled_from(
    ["1", "01", "1.0", "+1", "1e0", " 1", "0", "00", "True", "TRUE", "false", "2024-01-01",
     "2024-01-01 00:00", "2024-02-30", "NA", "None", "nan", "", "inf", "a", " a ", "A"]
)  # fmt: skip
VALUES: list[st.SearchStrategy[Any]] = [
    TEXTS,
    SPELLINGS,
    st.booleans(),
    st.integers(-(10**9), 10**9),
    st.integers(-9999, 9999).map(lambda number: number / 100),
    st.dates(datetime.date(1900, 1, 1), datetime.date(2100, 1, 1)),
    st.datetimes(datetime.datetime(1900, 1, 1), datetime.datetime(2100, 1, 1)),
    st.datetimes(datetime.datetime(1900, 1, 2), datetime.datetime(2100, 1, 1), timezones=st.just(CET)),
]


@st.composite
def tables(draw: st.DrawFn) -> Columns:
    rows = draw(st.integers(1, 30))
    kinds = draw(st.lists(st.sampled_from(VALUES), min_size=1, max_size=3))
    values = [draw(st.lists(st.none() | kind, min_size=rows, max_size=rows)) for kind in kinds]
    return {f"c{index}": column for index, column in enumerate(values)}


def _is_value(value: Any) -> bool:
    return value is not None and str(value).strip() not in {*MISSING_TEXTS, "inf"}


@pytest.mark.slow
@settings(max_examples=30)
@given(tables())
@example({"c0": ["0", " "]})
def test_any_table_reads_the_same_from_its_file_and_in_any_form(data: Columns) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "train.csv")
        path.write_text(csv_of(data), encoding="utf-8")
        files = open_files([str(path)])
        signals = {name: ("input", name) for name in files.columns}
        try:
            baseline = Baseline.fit_chunks(
                "m",
                lambda: files.chunks(signals, (), lambda amount: None),
                list(signals.values()),
                left_out=lambda key: None,
            )
        except BaselineError:
            assume(any(_is_value(value) for values in data.values() for value in values))
            raise
    known = {name: data[name] for name in data if name in {signal.name for signal in baseline.signals}}
    wanted = in_training(baseline)
    for form in FORMS:
        assert in_service(baseline, FORMS[form](known)) == (wanted, {}), form
