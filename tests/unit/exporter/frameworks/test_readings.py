"""What is read from calls: confidence, predictions, features, rows."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from exporter_support.framework_doubles import TABLE, finite, fitted
from modelplane_exporter.frameworks.numpy_arrays import NUMPY
from modelplane_exporter.frameworks.readings import (
    AMBIGUOUS,
    SUM_TOLERANCE,
    Output,
    Reader,
    Reading,
    first_input,
    rows_of,
)


def naive(row: list[float], output: Output) -> tuple[float, int]:
    """Confidence and class of a row by the textbook, in Python's floats."""
    index = int(row[0] > (0.5 if output == "probabilities" else 0)) if len(row) == 1 else row.index(max(row))
    if output == "logits":
        exponentials = [math.exp(value) for value in row]
        row = (
            [value / sum(exponentials) for value in exponentials]
            if len(row) > 1
            else [1 / (1 + math.exp(-row[0]))]
        )
    if len(row) == 1:
        return max(row[0], 1 - row[0]), index
    if output == "probabilities" and abs(sum(row) - 1) > SUM_TOLERANCE:
        return AMBIGUOUS, index
    return max(row), index


@pytest.mark.slow
@given(arrays.arrays(np.float64, st.tuples(st.integers(1, 6), st.integers(1, 5)), elements=finite))
def test_logits_by_the_textbook(scores: np.ndarray) -> None:
    wanted = [naive(row, "logits") for row in scores.tolist()]
    assert NUMPY.confidence(scores, "logits").tolist() == pytest.approx(
        [probability for probability, _ in wanted], rel=1e-9
    )
    assert NUMPY.winner(scores, "logits").tolist() == [index for _, index in wanted]


@pytest.mark.slow
@given(
    arrays.arrays(np.float64, st.tuples(st.integers(1, 6), st.integers(1, 5)), elements=st.floats(0, 1)),
    st.booleans(),
)
def test_probabilities_by_the_textbook(scores: np.ndarray, sum_to_1: bool) -> None:
    if sum_to_1 and (scores.sum(axis=1) > 0.01).all():
        scores = scores / scores.sum(axis=1, keepdims=True)
    wanted = [naive(row, "probabilities") for row in scores.tolist()]
    assert NUMPY.confidence(scores, "probabilities").tolist() == [probability for probability, _ in wanted]
    assert NUMPY.winner(scores, "probabilities").tolist() == [index for _, index in wanted]


def test_probabilities_of_several_labels_are_no_confidence() -> None:
    read = Reader(NUMPY, "probabilities", ("a", "b", "c"), fitted(prediction=["a", "b", "c"])).read
    labels, classes = np.array([[0.9, 0.8, 0.1]]), np.array([[0.7, 0.2, 0.1]])
    assert read(labels, classes) == Reading(1, pytest.approx([0.7]), ["a"])
    for result in (labels, np.vstack([classes, labels]), np.zeros((2, 3)), np.full((1, 3), 2.5)):
        assert read(result, result) == Reading(items=len(result), is_ambiguous=True)
    missing = read(np.full((1, 3), np.nan), np.full((1, 3), np.nan))
    assert not missing.is_ambiguous
    assert math.isnan(missing.confidence[0])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_rounding_does_not_make_probabilities_ambiguous(dtype: type[np.floating[Any]]) -> None:
    scores = np.random.default_rng(0).dirichlet(np.ones(1000), 20).astype(dtype)
    assert not Reader(NUMPY, "probabilities").read(scores, scores).is_ambiguous
    eighths = np.round(np.random.default_rng(0).dirichlet(np.ones(4), 20) * 256) / 256  # a quantised model
    assert not Reader(NUMPY, "probabilities").read(eighths, eighths).is_ambiguous


@given(arrays.arrays(np.float32, (3, 4), elements=st.floats(width=32)))
def test_any_logits_give_a_probability_or_nan(scores: np.ndarray) -> None:
    confidence = NUMPY.confidence(scores, "logits")
    assert (np.isnan(confidence) | ((confidence >= 0.2) & (confidence <= 1))).all()


def test_logits_as_far_apart_as_a_float_allows() -> None:
    scores = np.array([[-3.4e38, 3.4e38], [3.4e38, 3.4e38]], np.float32)
    assert NUMPY.confidence(scores, "logits").tolist() == [1.0, 0.5]


@pytest.mark.parametrize(
    ("shape", "result_shape", "items", "confidences"),
    [
        ((5, 4), (5, 3), 5, 5),
        ((5, 4), (5, 1), 5, 5),
        ((5, 4), (5,), 5, 5),
        ((5, 2, 2), (5, 3), 5, 5),
        ((4,), (3,), 1, 1),
        ((4,), (), 1, 1),
        ((7, 4), (2, 3), 7, 2),
        ((), (3,), 3, 3),
    ],
)
def test_shapes(shape: tuple[int, ...], result_shape: tuple[int, ...], items: int, confidences: int) -> None:
    reading = Reader(NUMPY, "logits").read(np.zeros(shape), np.zeros(result_shape))
    assert (reading.items, len(reading.confidence)) == (items, confidences)


def test_more_axes_have_no_confidence() -> None:
    assert Reader(NUMPY, "logits").read(np.zeros((2, 3)), np.zeros((2, 5, 7))) == Reading(items=2)


def test_without_an_output_only_items_are_read() -> None:
    assert Reader(NUMPY).read(np.zeros((5, 4)), np.zeros((5, 3))) == Reading(items=5)
    assert Reader(NUMPY).read(None, np.zeros((5, 3))) == Reading(items=5)
    assert Reader(NUMPY).read(None, None) == Reading()
    assert Reader(NUMPY, "logits").read(np.zeros((5, 4)), {"text": "a"}) == Reading(items=5)


def test_the_output_is_found_in_results() -> None:
    scores, other = np.eye(3), np.zeros((3, 9, 9))

    class Answer:
        logits = scores

    for result in ({"loss": 0.1, "hidden": other, "logits": scores}, (scores, other), [1, scores], Answer()):
        assert Reader(NUMPY, "logits").read(scores, result).confidence == pytest.approx([0.5761169] * 3)


def test_predictions() -> None:
    names, numbers = fitted(prediction=["a", "b", "c"]), fitted(prediction=[1.0, 2.0, 3.0])
    scores = np.array([[0.1, 0.2, 0.7], [0.8, 0.1, 0.1]])
    read = Reader(NUMPY, "probabilities", ("a", "b", "c"), names).read
    assert read(scores, scores).prediction == ["c", "a"]
    assert Reader(NUMPY, "probabilities", None, names).read(scores, scores).prediction.tolist() == [2, 0]
    assert Reader(NUMPY, "probabilities", ("no", "yes"), names).read(scores, scores[:, 2]).prediction == [
        "yes",
        "no",
    ]
    assert Reader(NUMPY, None, None, names).read(scores, ["x", "y"]).prediction == ["x", "y"]
    assert Reader(NUMPY, None, None, numbers).read(scores, scores[:, :1]).prediction.tolist() == [0.1, 0.8]
    assert Reader(NUMPY, None, None, numbers).read(scores, scores).prediction is None
    assert Reader(NUMPY, "probabilities", None, None).read(scores, scores).prediction is None
    assert Reader(NUMPY, "probabilities", None, TABLE).read(scores, scores).prediction is None


def test_features_are_read_from_tables_only() -> None:
    read = Reader(NUMPY, baseline=TABLE).read
    frame = type("Frame", (), {"columns": ["age"], "shape": (3, 1)})()
    tables = (
        np.zeros((3, 2)),
        [[1, 2], [3, 4]],
        {"age": [1, 2]},
        {"age": 3, "unknown": 1},
        frame,
        np.zeros(2),
    )
    for table in tables:
        assert read(table, None).features is table
    assert [read(table, None).items for table in tables] == [3, 2, 2, 1, 3, 1]
    untold: tuple[Any, ...] = (
        np.zeros((3, 4)),
        np.zeros((2, 2, 2)),
        {"input_ids": np.zeros((3, 2))},
        None,
        "text",
        1.0,
        [],
    )
    for given_ in untold:
        assert read(given_, None).features is None
    assert Reader(NUMPY).read(np.zeros((3, 2)), None).features is None


@dataclasses.dataclass
class Person:
    age: float
    height: float


def test_features_are_read_from_records() -> None:
    read = Reader(NUMPY, baseline=TABLE).read
    person = Person(1.0, 2.0)
    structured = np.zeros(3, [("age", float), ("height", float)])
    for table, items in (
        (person, 1), ([person] * 4, 4), ([{"age": 1.0}] * 2, 2), (structured, 3), (structured[0], 1),
    ):  # fmt: skip
        assert first_input((table,), {}) is table
        reading = read(table, None)
        assert (reading.features is table, reading.items) == (True, items)
    assert read([{"input_ids": [1, 2]}], None).features is None


def test_a_single_feature_is_a_column() -> None:
    single = fitted(features={"age": [1.0, 2.0]})
    reading = Reader(NUMPY, baseline=single).read(np.zeros(6), None)
    assert (reading.items, len(reading.features)) == (6, 6)


def test_bad_readers() -> None:
    with pytest.raises(
        ValueError, match=r"output must be None or one of probabilities, logits \(got 'scores'\)"
    ):
        Reader(NUMPY, "scores")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="classes must be a sequence of names"):
        Reader(NUMPY, "logits", "abc")


def test_inputs_and_rows() -> None:
    generator = iter([1])
    array = np.zeros((3, 2))
    assert first_input((1, generator, "text", array), {}) is array
    assert first_input((), {"training": False, "x": array}) is array
    assert first_input((generator,), {}) is None
    assert list(generator) == [1]
    cases: tuple[tuple[Any, int | None], ...] = (
        (array, 3),
        ([1, 2], 2),
        ((array, 1), 3),
        ({"x": array}, 3),
        ({}, None),
        ((), None),
        (np.zeros(()), None),
    )
    assert [rows_of(value) for value, _ in cases] == [wanted for _, wanted in cases]
    odd = type("Odd", (), {"shape": lambda self: (3,)})()  # such as an OrtValue
    assert rows_of(odd) is None
