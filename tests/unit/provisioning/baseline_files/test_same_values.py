"""Types that a file does not have: those of pandas, enumerations, numbers for times and truth values."""

from __future__ import annotations

import dataclasses
import enum
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pydantic
import pytest

from exporter_support.same_data import in_service, in_training
from modelplane_exporter.baseline import Baseline
from provisioning_support.baseline_command import fitted

ROWS = 100


def fitted_to(frame: pd.DataFrame, folder: Path, *options: str) -> Baseline:
    frame.to_csv(folder / "train.csv", index=False)
    return fitted(folder / "train.csv", *options)


def frame_of_pandas_types() -> pd.DataFrame:
    index = np.arange(ROWS)
    return pd.DataFrame(
        {
            "zoned": pd.date_range("2020-01-01", periods=ROWS, freq="37min", tz="Europe/Berlin"),
            "day": pd.date_range("2020-01-01", periods=ROWS),
            "nanoseconds": pd.date_range("2020-01-01", periods=ROWS, freq="1234567891ns"),
            "duration": pd.to_timedelta(index % 5, unit="h"),
            "category": pd.Categorical(["a", "b"] * (ROWS // 2)),
            "whole": pd.array([1, None] * (ROWS // 2), dtype="Int64"),
            "truth": pd.array([True, None] * (ROWS // 2), dtype="boolean"),
            "short": np.arange(ROWS, dtype=np.float32) / 10,
            "interval": pd.cut(index, 4),
            "period": pd.period_range("2020-01", periods=ROWS, freq="M").astype(object),
        }
    )


OF_ANY_LIBRARY = ["zoned", "day", "nanoseconds", "duration", "category", "whole", "truth", "short"]
FORMS: dict[str, Callable[[pd.DataFrame], Any]] = {
    "frame": lambda frame: frame,
    "records": lambda frame: frame.to_dict("records"),
    "named tuples": lambda frame: list(frame.itertuples(index=False)),
    "series": lambda frame: [row for _, row in frame.iterrows()],
    "records of NumPy": lambda frame: frame.to_records(index=False),
    "array": lambda frame: frame.to_numpy(),
}
OTHER_FORMS: dict[str, Callable[[pd.DataFrame], Any]] = {
    "polars": pl.from_pandas,
    "rows of polars": lambda frame: pl.from_pandas(frame).to_dicts(),
    "Arrow": pa.Table.from_pandas,
    "rows of Arrow": lambda frame: pa.Table.from_pandas(frame).to_pylist(),
    "frame of Arrow's types": lambda frame: frame.convert_dtypes(dtype_backend="pyarrow"),
    "JSON with Unix times": lambda frame: as_json(frame, "epoch"),
    "JSON": lambda frame: as_json(frame, "iso"),
}


def as_json(frame: pd.DataFrame, date_format: Any) -> Any:
    texts = frame.assign(duration=frame["duration"].astype(str))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas will drop "epoch", which was its default for long
        return json.loads(texts.to_json(orient="records", date_format=date_format))


@pytest.mark.slow
def test_types_of_pandas(tmp_path: Path) -> None:
    frame = frame_of_pandas_types()
    baseline = fitted_to(frame, tmp_path)
    assert {signal.name for signal in baseline.signals if getattr(signal, "is_time", False)} == {
        "zoned", "day", "nanoseconds",
    }  # fmt: skip
    for name, form in FORMS.items():
        assert in_service(baseline, form(frame)) == (in_training(baseline), {}), name
    portable = frame[OF_ANY_LIBRARY]
    baseline = fitted_to(portable, tmp_path)
    for name, form in (FORMS | OTHER_FORMS).items():
        assert in_service(baseline, form(portable)) == (in_training(baseline), {}), name


class Plain(enum.Enum):
    A = "a"
    B = "b"


class Text(str, enum.Enum):  # noqa: UP042 - many still have these
    A = "a"
    B = "b"


class Number(enum.IntEnum):
    A = 1
    B = 2


@dataclasses.dataclass
class Row:
    plain: Plain
    text: Text
    number: Number


class PydanticRow(pydantic.BaseModel):
    plain: Plain
    text: Text
    number: Number


@pytest.mark.slow
def test_members_of_enumerations_are_their_values(tmp_path: Path) -> None:
    rows = [Row(Plain.A, Text.B, Number.A), Row(Plain.B, Text.A, Number.B)] * 40
    values = [{"plain": row.plain.value, "text": row.text.value, "number": row.number.value} for row in rows]
    baseline = fitted_to(pd.DataFrame(values), tmp_path)
    models = [PydanticRow(**vars(row)) for row in rows]
    for live in (
        rows, models, [vars(row) for row in rows], pd.DataFrame(map(vars, rows)),
        [model.model_dump() for model in models], [model.model_dump(mode="json") for model in models],
    ):  # fmt: skip
        assert in_service(baseline, live) == (in_training(baseline), {})
        assert in_service(baseline, *(live if isinstance(live, list) else [live])) == (
            in_training(baseline),
            {},
        )
        in_memory = Baseline.fit("m", live)
        assert in_service(in_memory, values) == (in_training(in_memory), {})


def test_hashed_values(tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": ["007", "1.0", "x", "NA", ""], "number": [7, 8, 9, 10, 11]})
    baseline = fitted_to(frame, tmp_path, "--hash", "id", "--hash", "number")
    spelled = {"id": [7, 1, " x ", None, float("nan")], "number": ["7", "8.0", 9, 10.0, "011"]}
    for live in (frame, spelled, pd.read_csv(tmp_path / "train.csv")):
        assert in_service(baseline, live) == (in_training(baseline), {})


@pytest.mark.slow
def test_an_array_of_numbers_holds_truth_values_and_times(tmp_path: Path) -> None:
    times = pd.date_range("1990-01-01", periods=90, freq="97h")
    frame = pd.DataFrame({"truth": [True, False, True] * 30, "time": times, "number": np.arange(90) / 7})
    baseline = fitted_to(frame, tmp_path)
    for unit, per_second in (("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)):
        seconds = times.astype("datetime64[s]").astype("int64").to_numpy() * per_second
        live = np.column_stack([frame["truth"], seconds, frame["number"]]).astype(float)
        assert in_service(baseline, live) == (in_training(baseline), {}), unit
        assert in_service(baseline, *live.tolist()) == (in_training(baseline), {}), unit


def test_a_nested_value_is_wrong_and_costs_no_other(tmp_path: Path) -> None:
    baseline = fitted_to(pd.DataFrame({"a": [1, 2] * 30, "tags": ["['x']", "[]"] * 30}), tmp_path)
    for nested in (["x"], {"x": 1}, (1, 2)):
        counted, invalid = in_service(baseline, [{"a": 1, "tags": nested}])
        assert counted == {"a": {"01": 1}}
        assert invalid == {"value_wrong_type": 1}
