"""Hostile values of signals: counted once, never raised, no other row lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter_support.bad_signals import (
    BATCH,
    FORMS,
    HOSTILE,
    LIKE_COLUMNS,
    MIXED,
    NUMBERS,
    WRONG_SHAPE,
    WRONG_TYPE,
    BadFrame,
    Model,
    RaisingNumber,
    RaisingText,
    total,
)
from modelplane_exporter import Call, tenant
from modelplane_exporter.rate_limited_log import rate_limited


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize("rows", [1, BATCH - 1, BATCH, 1000])
@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_values_in_a_batch(kind: str, rows: int) -> None:
    bad = HOSTILE[kind]()
    counted, invalid = Model(MIXED).observe({"a": [bad] * rows, "b": [5.0] * rows, "c": [bad] * rows})
    assert total(counted) == {"b": rows}
    assert invalid == {WRONG_TYPE: 2 * rows}


@pytest.mark.slow
@pytest.mark.parametrize("kind", HOSTILE)
def test_no_method_raises_whatever_it_is_given(kind: str) -> None:
    hostile: Any = HOSTILE[kind]()
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


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.complex_numbers(), st.text(), st.binary(),
    st.decimals(), st.fractions(), st.datetimes(), st.dates(), st.times(), st.timedeltas(), st.uuids(),
    st.sampled_from([pd.NA, pd.NaT, np.ma.masked, ..., NotImplemented, int]),
    # hypothesis itself asks values for their class.
    st.sampled_from(sorted({*HOSTILE} - {*LIKE_COLUMNS, "class raises"})).map(lambda kind: HOSTILE[kind]()),
    st.builds(RaisingNumber, st.floats()), st.builds(RaisingText, st.text()), st.builds(lambda: 10**5000),
)  # fmt: skip


def series_of_objects(values: list[Any]) -> pd.Series[Any]:
    """The values as they are; pandas before 3.0 would call their ``__array__``."""
    objects = np.empty(len(values), dtype=object)
    for index, value in enumerate(values):
        objects[index] = value
    return pd.Series(objects, dtype=object)


ANYTHING = st.recursive(
    st.one_of(SCALARS, st.sampled_from(LIKE_COLUMNS).map(lambda kind: HOSTILE[kind]())),
    lambda inner: st.one_of(
        st.lists(inner), st.tuples(inner, inner), st.frozensets(st.integers()),
        st.dictionaries(st.one_of(st.sampled_from("abcx"), st.integers(), st.none()), inner),
        st.lists(inner, max_size=4).map(series_of_objects),
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


@pytest.mark.slow
@given(st.lists(st.tuples(st.sampled_from(METHODS), ANYTHING), min_size=1, max_size=3))
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
    lines = {key[0] for key in rate_limited._last if isinstance(key, tuple)}
    assert "signals were not counted" not in lines


@pytest.mark.slow
@given(st.lists(SCALARS, min_size=1, max_size=2 * BATCH), st.booleans())
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
