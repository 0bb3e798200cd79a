"""Predictions are told in the form of the baseline's signal, and a difference in kind is said at once."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from exporter_support.framework_doubles import fitted
from modelplane_exporter.frameworks.numpy_arrays import NUMPY
from modelplane_exporter.frameworks.readings import Output, Reader
from modelplane_exporter.rate_limited_log import rate_limited

SCORES = np.array([[0.1, 0.9], [0.8, 0.2]])
NAMES = fitted(prediction=["no", "yes", "no"])
INDEXES = fitted(prediction=[0, 1, 1])
SCORE = fitted(prediction=[0.0, 0.25, 0.9, 1.0])
NUMBERS = fitted(prediction=[0.5, 17.0, 300.0])
CLASS_NUMBERS = fitted(prediction=[0.0, 1.0, 1.0])
HASHED = fitted(prediction={"prediction": ["no", "yes"]}, hashed=["prediction"])


@pytest.fixture(autouse=True)
def forgotten_lines() -> Iterator[None]:
    rate_limited._last.clear()
    yield
    rate_limited._last.clear()


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


@pytest.mark.parametrize(
    ("baseline", "classes", "output", "prediction"),
    [
        (NAMES, ("no", "yes"), "probabilities", ["yes", "no"]),
        (INDEXES, (0, 1), "probabilities", [1, 0]),
        (INDEXES, None, "probabilities", [1, 0]),
        (INDEXES, (False, True), "probabilities", [True, False]),
        (INDEXES, (np.float64(0), np.float64(1)), "probabilities", [1.0, 0.0]),
        (SCORE, ("no", "yes"), "probabilities", [0.9, 0.2]),
        (SCORE, (0, 1), "probabilities", [0.9, 0.2]),
        (CLASS_NUMBERS, (0, 1), "probabilities", [1, 0]),
        (NUMBERS, (0, 300), "probabilities", [300, 0]),
        (HASHED, ("no", "yes"), "probabilities", ["yes", "no"]),
    ],
)
def test_scores_in_the_form_of_the_baseline(
    baseline: Any, classes: Any, output: Output, prediction: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    read = Reader(NUMPY, output, classes, baseline).read(SCORES, SCORES).prediction
    assert list(read) == prediction
    assert warnings_in(caplog) == []


@pytest.mark.parametrize(
    ("baseline", "classes", "labels", "prediction"),
    [
        (NAMES, ("no", "yes"), ["no"], ["no"]),
        (INDEXES, (0, 1), [1], [1]),
        (NUMBERS, None, [3.5], [3.5]),
        (NUMBERS, (0, 300), [0], [0]),
        (SCORE, (0, 1), [1], None),  # a class beside probabilities would read as drift
    ],
)
def test_labels_and_values_in_the_form_of_the_baseline(
    baseline: Any, classes: Any, labels: list[Any], prediction: list[Any] | None
) -> None:
    assert Reader(NUMPY, None, classes, baseline).read([[1]], labels).prediction == prediction


@pytest.mark.parametrize(
    ("baseline", "classes", "options", "difference"),
    [
        (NUMBERS, ("no", "yes"), {}, "the model returns the classes 'no', 'yes', the baseline has numbers"),
        (NUMBERS, (0, 1), {}, "the model returns the classes '0', '1', the baseline has numbers"),
        (NAMES, (0, 1), {}, "the model returns the classes '0', '1', the baseline has 'no', 'yes'"),
        (
            NAMES,
            None,
            {"output": "logits"},
            "the model returns indexes, for want of classes=, the baseline has 'no', 'yes'",
        ),
        (
            NAMES,
            None,
            {"regresses": True},
            "the model returns numbers, the baseline has the classes 'no', 'yes'",
        ),
    ],
)
def test_a_difference_in_kind_is_said_when_the_model_is_wrapped(
    baseline: Any,
    classes: Sequence[Any] | None,
    options: Any,
    difference: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for _ in range(2):
        Reader(NUMPY, classes=classes, baseline=baseline, **options)
    (line,) = warnings_in(caplog)
    assert line.startswith(
        f"signal prediction is not comparable: {difference}; fit it to what the model returns"
    )
    assert "Baseline.fit(..., model=model)" in line
    assert "--predictions COLUMN" in line


@pytest.mark.parametrize(
    ("baseline", "classes", "options"),
    [
        (None, ("no", "yes"), {}),
        (fitted(features={"a": [1.0]}), ("no", "yes"), {}),
        (NAMES, ("yes", "perhaps"), {}),
        (NAMES, None, {}),
        (NAMES, None, {"output": "logits", "labelled": True}),
        (INDEXES, ("0", "1"), {}),
        (INDEXES, (True, False), {}),
        (HASHED, (0, 1), {}),
        (NUMBERS, None, {"regresses": True}),
        (NUMBERS, None, {"output": "logits"}),
    ],
)
def test_nothing_is_said_where_nothing_differs(
    baseline: Any, classes: Any, options: Any, caplog: pytest.LogCaptureFixture
) -> None:
    Reader(NUMPY, classes=classes, baseline=baseline, **options)
    assert warnings_in(caplog) == []


def test_several_scores_for_one_number_are_said_once_they_come(caplog: pytest.LogCaptureFixture) -> None:
    reader = Reader(NUMPY, "logits", None, NUMBERS)
    assert warnings_in(caplog) == []
    assert reader.read(SCORES, SCORES).prediction is None
    assert reader.read(SCORES, SCORES).prediction is None
    (line,) = warnings_in(caplog)
    assert "the model returns several scores for each row, where the baseline has one number" in line
    assert reader.read(SCORES, SCORES[:, :1]).prediction.tolist() == [0.1, 0.8]
