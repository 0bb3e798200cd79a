from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelplane_datasource.drift.bin_labels import bin_labels

MISSING, OTHER = "__missing__", "__other__"


def labels(bins: dict[str, float], *others: str) -> list[str]:
    return list(bin_labels([*bins, *others], bins, is_numeric=True).values())


def test_bins_of_numbers_are_named_by_their_bounds() -> None:
    assert labels({"00": 20.1, "01": 51.25, "02": math.inf}, MISSING) == [
        "<= 20.1", "<= 51.25", "> 51.25", "missing",
    ]  # fmt: skip
    assert labels({"00": math.inf}, MISSING) == ["any number", "missing"]
    assert labels({"00": -1e-9, "01": 0.0, "02": 1e12, "03": math.inf}) == [
        "<= -1e-09", "<= 0", "<= 1e+12", "> 1e+12",
    ]  # fmt: skip


def test_bounds_have_as_many_digits_as_tell_them_apart() -> None:
    assert labels({"00": 0.1 + 0.2, "01": 0.4, "02": math.inf})[0] == "<= 0.3"
    assert labels({"00": 0.1 + 0.2, "01": 0.3, "02": math.inf}) == [
        "<= 0.30000000000000004", "<= 0.29999999999999999", "> 0.30000000000000004",
    ]  # fmt: skip


def test_a_bin_without_a_known_bound_is_no_number_either() -> None:
    assert bin_labels(["00", "01", MISSING], {}, is_numeric=True) == {
        "00": "bin 00", "01": "bin 01", MISSING: "missing",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("category", "label"),
    [
        ("red", "red"), ("12", "= 12"), ("00", "= 00"), ("1e5", "= 1e5"), ("nan", "= nan"),
        ("-3.5", "= -3.5"), ("missing", "= missing"), ("other", "= other"), ("= red", "= = red"),
        ("<= 3", "= <= 3"), ("", ""),
        (OTHER, "other"), (MISSING, "missing"),
    ],
)  # fmt: skip
def test_categories_are_texts(category: str, label: str) -> None:
    assert bin_labels([category], {}, is_numeric=False) == {category: label}


@pytest.mark.slow
@given(st.lists(st.one_of(st.text(max_size=5), st.sampled_from(["1", "= 1", "missing", "= missing"]))))
def test_labels_of_categories_are_all_different(categories: list[str]) -> None:
    bins = [*dict.fromkeys(categories), OTHER, MISSING]
    assert len(set(bin_labels(bins, {}, is_numeric=False).values())) == len(bins)


@pytest.mark.slow
@given(st.sets(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=10))
def test_labels_of_numbers_are_all_different_and_no_numbers(bounds: set[float]) -> None:
    named = {f"{place:02d}": bound for place, bound in enumerate([*sorted(bounds), math.inf])}
    texts = labels(named, MISSING)
    assert len(set(texts)) == len(named) + 1
    for text in texts:
        with pytest.raises(ValueError, match="could not convert"):
            float(text)
