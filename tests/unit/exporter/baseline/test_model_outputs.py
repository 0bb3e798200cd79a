"""A baseline of what the model returns for its training data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from modelplane_exporter.baseline import Baseline, BaselineError, CategoricalSignal, NumericSignal, Signal

ROWS = np.linspace(-1, 1, 40).reshape(-1, 1)


class Classifier:
    """The sign of the only feature, with a probability that is as large as the feature."""

    def __init__(self, classes: Any) -> None:
        self.classes_ = np.array(classes)

    def predict_proba(self, rows: Any) -> Any:
        return np.hstack([(1 - rows) / 2, (1 + rows) / 2])

    def predict(self, rows: Any) -> Any:
        return self.classes_[self.predict_proba(rows).argmax(axis=1)]


class Regressor:
    def predict(self, rows: Any) -> Any:
        return 3 * rows


def prediction(model: Any, rows: Any = ROWS) -> Signal:
    (signal,) = Baseline.fit("m", rows, model=model).of_kind("output")
    assert signal.name == "prediction"
    return signal


@pytest.mark.parametrize(
    ("classes", "names"),
    [
        (["no", "yes"], ("no", "yes")),
        ([0, 1], ("0", "1")),
        ([False, True], ("false", "true")),
        ([1.0, 2.0], ("1", "2")),
    ],
)
def test_a_classifier_gives_its_classes_by_either_method(classes: Any, names: tuple[str, ...]) -> None:
    model = Classifier(classes)
    for given in (model, model.predict, model.predict_proba):
        signal = prediction(given)
        assert isinstance(signal, CategoricalSignal)
        assert (signal.categories, signal.ratios) == (names, (0.5, 0.5, 0.0, 0.0))


def test_whole_numbers_of_a_classifier_are_classes_however_many() -> None:
    class Many(Classifier):
        def predict(self, rows: Any) -> Any:
            return np.arange(len(rows)) * 100

    signal = prediction(Many(range(0, 4000, 100)))
    assert isinstance(signal, CategoricalSignal)
    assert signal.ratios[-2:] == (0.5, 0.0)


def test_a_function_may_be_the_model() -> None:
    signal = prediction(lambda rows: np.where(rows[:, 0] > 0.5, "high", "low"))
    assert isinstance(signal, CategoricalSignal)
    assert signal.categories == ("low", "high")
    probabilities = prediction(lambda rows: np.hstack([(1 - rows) / 2, (1 + rows) / 2]))
    assert probabilities.bins[:2] == ("0", "1")


def test_a_regressor_gives_numbers() -> None:
    for model in (Regressor(), Regressor().predict, lambda rows: 3 * rows[:, 0]):
        signal = prediction(model)
        assert isinstance(signal, NumericSignal)
        assert signal.stddev == pytest.approx(3 * ROWS.std())


class Tensor:
    """An array on a device, which NumPy cannot read at once."""

    def __init__(self, values: Any) -> None:
        self.values = values

    def detach(self) -> Tensor:
        return self

    def cpu(self) -> Any:
        return self.values


def test_a_tensor_comes_to_the_host() -> None:
    assert isinstance(prediction(lambda rows: Tensor(rows)), NumericSignal)


@pytest.mark.parametrize(
    ("model", "error"),
    [
        ("model", r"model must have a method predict or be a function \(got str\)"),
        (
            lambda rows: np.hstack([rows, rows]),
            r"model must return one prediction .* \(got shape \(40, 2\)\)",
        ),
        (lambda rows: rows[:0].reshape(0, 3), r"\(got shape \(0, 3\)\)"),
        (lambda rows: 1.0, r"\(got shape \(\)\)"),
    ],
)
def test_models_that_return_something_else(model: Any, error: str) -> None:
    with pytest.raises(BaselineError, match=error):
        prediction(model)


def test_a_model_goes_with_features_and_without_predictions() -> None:
    for options in ({"features": ROWS, "prediction": ROWS}, {"prediction": ROWS}, {"business": {"a": [1.0]}}):
        with pytest.raises(BaselineError, match="model goes with features and instead of prediction"):
            Baseline.fit("m", model=Regressor(), **options)


@pytest.mark.parametrize("values", [[0, 1, 1, None], np.array([0, 1, 1]), np.array([0, 1, 1], np.uint8)])
def test_few_whole_numbers_that_were_predicted_are_classes(values: Any) -> None:
    (signal,) = Baseline.fit("m", prediction=values).signals
    assert isinstance(signal, CategoricalSignal)
    assert signal.categories == ("1", "0")
    for many in (range(21), [0.5, 1.0], [None, 1.0]):
        assert isinstance(Baseline.fit("m", prediction=list(many)).signals[0], NumericSignal)
    assert isinstance(Baseline.fit("m", {"x": values}).signals[0], NumericSignal)
