"""Bad values of signals: refused or counted by reason, never raised, and no other value is lost over them."""

from __future__ import annotations

import array
import collections
import datetime
import decimal
import fractions
import unittest.mock
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from modelplane_exporter import Baseline, BaselineError, Call, ModelMetricsExporter, tenant
from modelplane_exporter.baseline import FORMAT
from modelplane_exporter.rate_limited_log import complaints

NUMBERS = Baseline.fit("m", {"a": np.arange(100.0), "b": np.arange(100.0)}, prediction=np.arange(100.0))
MIXED = Baseline.fit("m", {"a": np.arange(100.0), "b": np.arange(100.0), "c": ["x", "y"] * 50})
WRONG_TYPE, WRONG_SHAPE, UNKNOWN = "value_wrong_type", "signal_wrong_shape", "signal_unknown"
BATCH = 64  # from this many rows on a batch takes a way of its own

Bins = dict[str, dict[str, int]]


@pytest.fixture(autouse=True)
def _fresh_complaints() -> None:
    complaints._last.clear()


class Model:
    """A model with signals; ``observe`` runs a call and gives what was counted and what was invalid."""

    def __init__(self, baseline: Baseline) -> None:
        self._registry = CollectorRegistry()
        self.exporter = ModelMetricsExporter(
            "m", "v1", "t", "jax", registry=self._registry, confidence=None, baseline=baseline
        )

    def observe(self, values: object, times: int = 1) -> tuple[Bins, dict[str, int]]:
        """Hand over the values as features ``times`` times."""
        with self.exporter.track() as call:
            for _ in range(times):
                call.features(values)
        return self.counted(), self.invalid()

    def counted(self) -> Bins:
        """Counts that are not 0 by signal and bin."""
        bins: Bins = {}
        for labels, value in self._samples("model_signal_observations_total"):
            bins.setdefault(labels["signal"], {})[labels["bin"]] = value
        return bins

    def invalid(self) -> dict[str, int]:
        """Counts that are not 0 by reason."""
        return {
            labels["reason"]: value for labels, value in self._samples("model_invalid_observations_total")
        }

    def _samples(self, name: str) -> Iterator[tuple[dict[str, str], int]]:
        for family in self._registry.collect():
            for sample in family.samples:
                if sample.name == name and sample.value:
                    yield sample.labels, int(sample.value)


def total(counted: Bins) -> dict[str, int]:
    return {signal: sum(bins.values()) for signal, bins in counted.items()}


class RaisesOnAnyAttribute:
    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("hostile")


class RaisesOnAnyMethod:
    def _raise(self, *_: object, **__: object) -> Any:
        raise KeyError("hostile")

    __eq__ = __ne__ = __hash__ = __len__ = __iter__ = __getitem__ = __array__ = __float__ = _raise  # type: ignore[assignment]
    __int__ = __index__ = __bool__ = __str__ = __repr__ = item = tolist = detach = to_numpy = _raise
    keys = get = __contains__ = _raise


class RaisesOnConversion:
    def __array__(self, *_: object, **__: object) -> Any:
        raise KeyError("hostile")


class RaisesAsItsClass:
    @property
    def __class__(self) -> Any:  # type: ignore[override]
        raise RuntimeError("hostile")


class RaisesOnGet(dict):  # type: ignore[type-arg]
    def __contains__(self, key: object) -> bool:
        raise RuntimeError("hostile")

    __getitem__ = get = __iter__ = __len__ = __contains__  # type: ignore[assignment]


class RaisingNumber(float):
    def __float__(self) -> float:
        raise RuntimeError("hostile")

    __ne__ = __eq__ = __hash__ = __str__ = __float__  # type: ignore[assignment]


class RaisingText(str):
    def __str__(self) -> str:
        raise RuntimeError("hostile")

    __ne__ = __eq__ = __hash__ = __float__ = __str__  # type: ignore[assignment]


class BadFrame:
    def __init__(self, columns: object = ("a", "b")) -> None:
        self.columns = columns


HOSTILE: dict[str, Callable[[], object]] = {
    "attributes raise": RaisesOnAnyAttribute,
    "methods raise": RaisesOnAnyMethod,
    "conversion raises": RaisesOnConversion,
    "class raises": RaisesAsItsClass,
    "mock": unittest.mock.Mock,
    "magic mock": unittest.mock.MagicMock,
    "huge range": lambda: range(2**60),
    "deque": lambda: collections.deque([1.0, 2.0]),
    "generator": lambda: (x for x in (1, 2)),
    "function": lambda: print,
    "set": lambda: {1},
    "dictionary": dict,
    "object": object,
    "complex": lambda: 1j,
    "array.array": lambda: array.array("d", [1.0, 2.0]),
    "signalling NaN": lambda: decimal.Decimal("sNaN"),
    "time of day": lambda: datetime.time(12),
    "structure": lambda: np.zeros((), [("x", float)])[()],
}
# As a value of a row they look like a column, and so the row has no shape.
LIKE_COLUMNS = ("methods raise", "mock", "magic mock")
FORMS: dict[str, Callable[[object], object]] = {
    "mapping": lambda bad: {"a": bad, "b": 5.0},
    "mapping with a category": lambda bad: {"a": 5.0, "b": 5.0, "c": bad},
    "list": lambda bad: [bad, 5.0],
    "tuple": lambda bad: (bad, 5.0),
    "rows": lambda bad: [(bad, 5.0)],
    "columns": lambda bad: {"a": [bad], "b": [5.0]},
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", [kind for kind in HOSTILE if kind not in LIKE_COLUMNS])
def test_a_hostile_value_counts_once_and_no_other_row_is_lost(kind: str, form: str) -> None:
    model = Model(MIXED if "category" in form else NUMBERS)
    good = {"a": 5.0, "b": 5.0, "c": "x"} if "category" in form else {"a": 5.0, "b": 5.0}
    bad = FORMS[form](HOSTILE[kind]())
    model.observe(good, times=3)
    model.observe(bad)
    counted, invalid = model.observe(good, times=3)
    victim = "c" if "category" in form else "a"
    assert total(counted) == {name: 6 if name == victim else 7 for name in good}
    assert invalid == {WRONG_TYPE: 1}


@pytest.mark.parametrize("kind", LIKE_COLUMNS)
def test_a_hostile_column_counts_once_and_no_other_row_is_lost(kind: str) -> None:
    model = Model(NUMBERS)
    model.observe({"a": 5.0, "b": 5.0}, times=3)
    model.observe({"a": HOSTILE[kind](), "b": 5.0})
    counted, invalid = model.observe({"a": 5.0, "b": 5.0}, times=3)
    assert total(counted) == {"a": 6, "b": 6}
    assert invalid == {WRONG_SHAPE: 1}


@pytest.mark.parametrize("rows", [1, BATCH - 1, BATCH, 1000])
@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_values_in_a_batch(kind: str, rows: int) -> None:
    bad = HOSTILE[kind]()
    counted, invalid = Model(MIXED).observe({"a": [bad] * rows, "b": [5.0] * rows, "c": [bad] * rows})
    assert total(counted) == {"b": rows}
    assert invalid == {WRONG_TYPE: 2 * rows}


@pytest.mark.parametrize("kind", HOSTILE)
def test_no_method_raises_whatever_it_is_given(kind: str) -> None:
    hostile = HOSTILE[kind]()
    model = Model(NUMBERS)
    with model.exporter.track(hostile) as call:
        for method in (
            call.features, call.prediction, call.business, call.activations, call.event, call.invalid,
            call.confidence, call.items, call.result,
        ):  # fmt: skip
            method(hostile)
        call.prediction(1.0, hostile)
        call.event("shown", hostile)
        call.tokens(input=hostile)
    model.exporter.event(hostile)
    model.exporter.event("shown", hostile, hostile)
    model.exporter.feedback(hostile)
    model.exporter.feedback(True, hostile, hostile)
    model.exporter.activations(hostile, hostile)
    with tenant(hostile), model.exporter.track() as call:
        call.features({"a": 1.0, "b": 1.0})
    assert total(model.counted())["a"] >= 1


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_object_in_place_of_the_features(kind: str) -> None:
    model = Model(NUMBERS)
    value = HOSTILE[kind]()
    with model.exporter.track() as call:
        call.features(value)
        call.features({"a": 5.0, "b": 5.0})
    counted = total(model.counted())
    if kind in ("dictionary", "magic mock"):  # a row, or a frame, in which everything is missing
        assert counted["a"] == counted["b"] <= 2
        assert model.invalid() == {}
    else:
        assert counted == {"a": 1, "b": 1}
        assert model.invalid() == {WRONG_SHAPE: 1}


@pytest.mark.parametrize(
    "values",
    [
        RaisesOnGet(a=1.0, b=2.0), RaisesOnGet(), BadFrame(), BadFrame(None), BadFrame(3), BadFrame("abc"),
        "a,b", b"ab", 3.0, None, [1.0], [1.0, 2.0, 3.0], [], [[1.0], [1.0, 2.0]], [[1.0, 2.0], 3.0],
        np.zeros(3), np.zeros((2, 3)), np.zeros((2, 2, 2)), np.float64(1.0), np.array(1.0), ["a", ["b"]],
        np.zeros(2, [("x", float), ("y", float)]), pd.Series([1.0, 2.0, 3.0]), pl.LazyFrame({"a": [1.0]}),
        {"a": [1.0, 2.0], "b": [1.0]}, {"a": [1.0, 2.0], "b": 1.0}, {"a": [[1.0]], "b": [1.0]},
        {"a": np.zeros((2, 2)), "b": [1.0, 2.0]}, {"a": [1.0], "b": np.zeros((1, 1, 1))},
    ],
    ids=lambda values: f"{type(values).__name__} {values if type(values) in (str, list) else ''}",
)  # fmt: skip
def test_a_wrong_shape_counts_once(values: object) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # polars: LazyFrame.columns is slow
        counted, invalid = Model(NUMBERS).observe(values)
    assert counted == {}
    assert invalid == {WRONG_SHAPE: 1}


@pytest.mark.parametrize("rows", [1, BATCH])
@pytest.mark.parametrize(
    "form",
    [
        lambda rows: {"a": ["5.0"] * rows, "b": ["x"] * rows},
        lambda rows: {"a": np.array(["5.0"] * rows), "b": np.array(["x"] * rows, object)},
        lambda rows: {"a": pd.Series(["5.0"] * rows), "b": pl.Series(["x"] * rows)},
        lambda rows: pd.DataFrame({"a": ["5.0"] * rows, "b": ["x"] * rows}),
        lambda rows: pl.DataFrame({"a": ["5.0"] * rows, "b": ["x"] * rows}),
        lambda rows: np.array([["5.0", "x"]] * rows),
        lambda rows: np.array([["5.0", b"x"]] * rows, object),
        lambda rows: [["5.0", "x"]] * rows,
        lambda rows: np.full((rows, 2), 1j),
    ],
)
def test_texts_where_numbers_are_expected(form: Callable[[int], object], rows: int) -> None:
    counted, invalid = Model(NUMBERS).observe(form(rows))
    assert counted == {}
    assert invalid == {WRONG_TYPE: 2 * rows}


@pytest.mark.parametrize(
    ("values", "unknown", "rows"),
    [
        ({"a": 5.0, "b": 5.0, "x": 5.0, "y": "text"}, 2, 1),
        ({"a": [5.0] * 70, "b": [5.0] * 70, "x": [5.0] * 70}, 1, 70),
        (pd.DataFrame({"a": [5.0] * 7, "x": [1.0] * 7, "b": [5.0] * 7, "y": ["t"] * 7}), 2, 7),
        (pl.DataFrame({"x": [1.0] * 70, "a": [5.0] * 70, "b": [5.0] * 70}), 1, 70),
        ({3: 1.0, None: 2.0, "a": 5.0, "b": 5.0}, 2, 1),
    ],
)
def test_features_that_the_baseline_does_not_know(values: object, unknown: int, rows: int) -> None:
    counted, invalid = Model(NUMBERS).observe(values)
    assert counted == {"a": {"00": rows}, "b": {"00": rows}}
    assert invalid == {UNKNOWN: unknown}


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_a_frame_of_which_nothing_is_known_has_all_its_rows_missing(frame: Any) -> None:
    counted, invalid = Model(NUMBERS).observe(frame({"x": range(70), "y": range(70)}))
    assert counted == {"a": {"__missing__": 70}, "b": {"__missing__": 70}}
    assert invalid == {UNKNOWN: 2}


@pytest.mark.parametrize(
    "missing",
    [None, float("nan"), float("inf"), -np.inf, pd.NA, pd.NaT, np.float32("nan"), np.datetime64("NaT"),
     10**400, decimal.Decimal("NaN"), np.longdouble("1e4000"), np.array(np.nan), np.ma.masked],
    ids=repr,
)  # fmt: skip
@pytest.mark.parametrize("form", ["mapping", "list", "rows", "columns"])
def test_missing_values_are_missing_and_not_invalid(missing: object, form: str) -> None:
    counted, invalid = Model(NUMBERS).observe(FORMS[form](missing))
    assert counted == {"a": {"__missing__": 1}, "b": {"00": 1}}
    assert invalid == {}


@pytest.mark.parametrize("rows", [2, BATCH])
def test_masked_values_are_missing(rows: int) -> None:
    masked = np.ma.array(np.full((rows, 2), 5.0), mask=[[True, False]] * rows)
    counted, invalid = Model(NUMBERS).observe(masked)
    assert counted == {"a": {"__missing__": rows}, "b": {"00": rows}}
    model = Model(NUMBERS)
    assert model.observe({"a": masked[:, 0], "b": masked[:, 1]}) == (counted, invalid)
    assert invalid == {}


@pytest.mark.parametrize(
    "number",
    [5, True, np.uint8(5), np.float16(5), np.longdouble(5), decimal.Decimal(5), fractions.Fraction(11, 2),
     np.array(5), np.ma.array(5.0), datetime.timedelta(seconds=5), np.timedelta64(5_000_000_000, "ns"),
     np.datetime64("1970-01-01T00:00:05"), datetime.datetime(1970, 1, 1, 0, 0, 5), datetime.date(1970, 1, 1),
     pd.Timestamp("1970-01-01 01:00:05+01:00"), pd.Timedelta("5s"), pd.Timestamp("1970-01-01 00:00:05")],
    ids=repr,
)  # fmt: skip
@pytest.mark.parametrize("form", ["mapping", "list", "rows", "columns"])
def test_numbers_and_times_of_every_type(number: object, form: str) -> None:
    counted, invalid = Model(NUMBERS).observe(FORMS[form](number))
    assert counted == {"a": {"00": 1}, "b": {"00": 1}}
    assert invalid == {}


@pytest.mark.parametrize("rows", [1, BATCH])
@pytest.mark.parametrize("unit", ["Y", "D", "s", "us", "ns"])
def test_times_of_every_unit_and_beyond_the_range_of_nanoseconds(unit: str, rows: int) -> None:
    years = ["1901", "2020", "2262" if unit == "ns" else "9000"]
    times = np.array(years, "M8[Y]").astype(f"M8[{unit}]")
    seconds = times.astype("M8[s]").astype(float)
    baseline = Baseline.fit("m", {"a": (seconds[:2].sum() / 2, *seconds, seconds[1:].sum() / 2)})
    expected = Model(baseline).observe({"a": np.repeat(seconds, rows)})
    assert Model(baseline).observe({"a": np.repeat(times, rows)}) == expected
    assert Model(baseline).observe({"a": list(np.repeat(times, rows))}) == expected
    assert len(expected[0]["a"]) == 3


@pytest.mark.parametrize("rows", [1, BATCH])
def test_months_have_no_length_in_seconds(rows: int) -> None:
    months = np.full(rows, 5, "m8[M]")
    for values in ({"a": months, "b": [5.0] * rows}, {"a": list(months), "b": [5.0] * rows}):
        counted, invalid = Model(NUMBERS).observe(values)
        assert counted == {"b": {"00": rows}}
        assert invalid == {WRONG_TYPE: rows}


def test_values_that_change_after_the_call_were_observed_as_they_were() -> None:
    row, column, scalar, matrix = [5.0, 5.0], [5.0] * 3, np.array(5.0), np.full((3, 2), 5.0)
    model = Model(NUMBERS)
    with model.exporter.track() as call:
        call.features(row)
        call.features([row, row])
        call.features({"a": column, "b": column})
        call.features({"a": scalar, "b": 5.0})
        call.features(matrix)
    row[:], column[:] = [99.0, 99.0], [99.0] * 3
    scalar[()], matrix[:] = 99.0, 99.0
    assert model.counted() == {"a": {"00": 10}, "b": {"00": 10}}


def test_predictions_activations_and_business_values_go_the_same_way() -> None:
    model = Model(NUMBERS)
    with model.exporter.track() as call:
        call.prediction(RaisesOnAnyAttribute())
        call.prediction("text")
        call.prediction([5.0, "text", RaisesOnAnyAttribute()])
        call.prediction(np.zeros((2, 2)))
        call.prediction(5.0, name="score")
        call.business({"margin": 5.0})
        call.activations({"layer": 5.0})
    assert model.counted() == {"prediction": {"00": 1}}
    assert model.invalid() == {WRONG_TYPE: 4, WRONG_SHAPE: 1, UNKNOWN: 3}


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.complex_numbers(), st.text(), st.binary(),
    st.decimals(), st.fractions(), st.datetimes(), st.dates(), st.times(), st.timedeltas(), st.uuids(),
    st.sampled_from([pd.NA, pd.NaT, np.ma.masked, ..., NotImplemented, int]),
    # hypothesis itself asks values for their class.
    st.sampled_from(sorted({*HOSTILE} - {*LIKE_COLUMNS, "class raises"})).map(lambda kind: HOSTILE[kind]()),
    st.builds(RaisingNumber, st.floats()), st.builds(RaisingText, st.text()), st.builds(lambda: 10**5000),
)  # fmt: skip
ANYTHING = st.recursive(
    st.one_of(SCALARS, st.sampled_from(LIKE_COLUMNS).map(lambda kind: HOSTILE[kind]())),
    lambda inner: st.one_of(
        st.lists(inner), st.tuples(inner, inner), st.frozensets(st.integers()),
        st.dictionaries(st.one_of(st.sampled_from("abcx"), st.integers(), st.none()), inner),
        st.lists(inner, max_size=4).map(lambda values: pd.Series(values, dtype=object)),
        st.lists(inner, max_size=4).map(lambda values: [values] * BATCH),
        st.builds(BadFrame, inner),
    ),
    max_leaves=12,
)  # fmt: skip
METHODS: list[Callable[[Call, Any], None]] = [
    Call.features, Call.prediction, Call.business, Call.activations,
    lambda call, value: call.features({"a": value, "b": 5.0, "c": value}),
    lambda call, value: call.features([value, 5.0, value]),
    lambda call, value: call.features([[value, 5.0, value]] * BATCH),
    lambda call, value: call.features({"a": [value] * BATCH, "b": [5.0] * BATCH, "c": [value] * BATCH}),
]  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from(METHODS), ANYTHING), min_size=1, max_size=3))
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_is_handed_over_the_call_succeeds_and_good_rows_count(
    observed: list[tuple[Callable[[Call, Any], None], Any]],
) -> None:
    model = Model(MIXED)
    result = object()

    @model.exporter
    def predict() -> object:
        for observe, value in observed:
            with model.exporter.track() as call:
                call.features({"a": 99.0, "b": 99.0, "c": "good"})
                observe(call, value)
        return result

    assert predict() is result
    with model.exporter.track() as call:
        call.features({"a": 99.0, "b": 99.0, "c": "good"})
    counted, ending = model.counted(), len(observed) + 1
    assert counted["a"]["09"] >= ending
    assert counted["b"]["09"] >= ending
    assert counted["c"]["__other__"] >= ending
    lines = {key[0] for key in complaints._last if isinstance(key, tuple)}
    assert "signals were not counted" not in lines


@given(st.lists(SCALARS, min_size=1, max_size=2 * BATCH), st.booleans())
@settings(deadline=None)
def test_every_value_is_counted_or_invalid_alone_as_in_a_batch(values: list[Any], categorical: bool) -> None:
    name = "c" if categorical else "a"
    alone, together = Model(MIXED), Model(MIXED)
    for value in values:
        alone.observe({name: value})
    together.observe({name: values, "b": [5.0] * len(values)})
    single, batch = alone.counted(), together.counted()
    assert single.get(name) == batch.get(name)
    assert alone.invalid() == together.invalid()
    assert total(single).get(name, 0) + alone.invalid().get(WRONG_TYPE, 0) == len(values)


def of(model_name: str = "m", model_version: str | None = None) -> Baseline:
    return Baseline(model_name, model_version, NUMBERS.signals, "2026-11-22T00:00:00Z")


@pytest.mark.parametrize(
    ("baseline", "text"),
    [
        (of("n"), "baseline is of model 'n', not of 'm': name the file that was fitted for this model"),
        (
            of("m", "v2"),
            "baseline is of version 'v2' of 'm', not of 'v1': name the file that was fitted for this version",
        ),
    ],
)
def test_a_baseline_of_something_else_is_refused(baseline: Baseline, text: str, tmp_path: Any) -> None:
    path = tmp_path / "baseline.json"
    baseline.save(path)
    for given_as in (baseline, path, str(path)):
        with pytest.raises(BaselineError) as refused:
            ModelMetricsExporter("m", "v1", "t", "jax", registry=CollectorRegistry(), baseline=given_as)
        assert str(refused.value) == text


@pytest.mark.parametrize("other", ["modelplane-baseline/2", "modelplane-baseline/0", "", "1"])
def test_a_baseline_of_another_format_version_is_refused(other: str, tmp_path: Any) -> None:
    path = tmp_path / "baseline.json"
    path.write_text(of().to_json().replace(FORMAT, other))
    with pytest.raises(BaselineError) as refused:
        ModelMetricsExporter("m", "v1", "t", "jax", registry=CollectorRegistry(), baseline=path)
    assert str(refused.value) == f"{path}: format must be {FORMAT!r} (got {other!r})"


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff", b"[" * 100_000, b'{"format": NaN}'])
def test_a_file_that_is_no_baseline_is_refused(content: bytes, tmp_path: Any) -> None:
    path = tmp_path / "baseline.json"
    path.write_bytes(content)
    with pytest.raises(BaselineError, match=r"baseline\.json: "):
        ModelMetricsExporter("m", "v1", "t", "jax", registry=CollectorRegistry(), baseline=path)
    with pytest.raises(BaselineError, match=r"absent\.json: cannot be read"):
        ModelMetricsExporter(
            "m", "v1", "t", "jax", registry=CollectorRegistry(), baseline=tmp_path / "absent.json"
        )
