"""Categorical signals: the most frequent categories, counted exactly."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from exporter_support.fitted_signals import fit_categories
from modelplane_exporter.baseline import (
    Baseline,
    CategoricalSignal,
    NumericSignal,
    fit_categorical,
)
from modelplane_exporter.baseline.fitting import Chunk
from modelplane_exporter.baseline.values import digest


def test_the_twenty_most_frequent_ties_by_text() -> None:
    values = [text for rank, text in enumerate("zyxwvutsrqponmlkjihgfe") for _ in range(1 + (rank < 3))]
    signal = fit_categories(values)
    assert signal.categories == ("x", "y", "z", *"efghijklmnopqrstu")
    assert signal.ratios == (*[2 / 25] * 3, *[1 / 25] * 17, 2 / 25, 0.0)


@pytest.mark.slow
def test_ten_thousand_categories_are_exact() -> None:
    counts = np.arange(1, 10_001) % 37 + 1
    values = np.repeat([f"c{i:05d}" for i in range(10_000)], counts)
    np.random.default_rng(6).shuffle(values)
    signal = fit_categories(values)
    order = sorted(zip(-counts, (f"c{i:05d}" for i in range(10_000)), strict=True))[:20]
    assert signal.categories == tuple(text for _, text in order)
    top = [-int(count) for count, _ in order]
    assert signal.ratios == (
        *(count / len(values) for count in top),
        (len(values) - sum(top)) / len(values),
        0.0,
    )


def test_more_categories_than_are_counted_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit_categorical, "MAX_COUNTED", 100)
    rare: list[dict[str | None, int]] = [
        {f"id{i}": 1 for i in range(start, start + 150)} for start in range(0, 6000, 150)
    ]
    frequent: dict[str | None, int] = {f"f{i}": 8 for i in range(20)}

    def chunks() -> Iterator[Chunk]:
        for part in rare:
            yield {("input", "x"): {**part, **frequent, None: 5}}

    (signal,) = Baseline.fit_chunks("m", chunks, [("input", "x")]).signals
    rows = 40 * (150 + 160 + 5)
    assert isinstance(signal, CategoricalSignal)
    assert set(signal.categories) == set(frequent)
    assert signal.ratios == (*[320 / rows] * 20, 6000 / rows, 200 / rows)


@pytest.mark.slow
def test_memory_for_categories_is_bounded() -> None:
    fit = fit_categorical.CategoricalFit("input", "id", "")
    for start in range(0, 10 * fit_categorical.MAX_COUNTED, 60_000):
        fit.survey({f"id{i}": 1 for i in range(start, start + 60_000)})
        assert len(fit._candidates) <= fit_categorical.MAX_COUNTED


def test_reserved_names_in_training_data_count_to_those_bins() -> None:
    signal = fit_categories(["a", "__other__", "__missing__", None])
    assert (signal.categories, signal.ratios) == (("a",), (0.25, 0.25, 0.5))


def test_a_categorical_column_may_be_all_missing() -> None:
    signal = fit_categories([None, None], categorical=["x"])
    assert (signal.categories, signal.ratios) == ((), (0.0, 1.0))


def test_hashed_categories_do_not_show_their_texts() -> None:
    baseline = Baseline.fit("m", {"mail": ["a@b.c", "a@b.c", "d@e.f"], "n": [1, 2, 3]}, hashed=["mail"])
    mail, number = baseline.signals
    assert isinstance(mail, CategoricalSignal)
    assert mail.hashed
    assert len(baseline.salt) == 32
    assert mail.categories == (digest("a@b.c", baseline.salt), digest("d@e.f", baseline.salt))
    assert "@" not in baseline.to_json()
    assert isinstance(number, NumericSignal)
    again = Baseline.fit(
        "m", {"mail": ["a@b.c", "a@b.c", "d@e.f"], "n": [1, 2, 3]}, hashed=["mail"], salt=baseline.salt
    )
    assert again.fingerprint == baseline.fingerprint
    assert Baseline.fit("m", {"mail": ["a@b.c"]}, hashed=["mail"]).salt != baseline.salt


def test_hashed_numbers_are_categories() -> None:
    signal = fit_categories([17, 17.0], hashed=["x"], salt="ab" * 8)
    assert signal.categories == (digest("17", "ab" * 8),)
