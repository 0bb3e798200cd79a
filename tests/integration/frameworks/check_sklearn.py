"""The scikit-learn wrapper with the real framework."""

from __future__ import annotations

import copy
import importlib.util
import pickle
import warnings
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import sklearn
from checking import MODEL, Series, baseline, close, edges, main, raises, table
from sklearn.base import clone, is_classifier
from sklearn.datasets import load_iris, make_multilabel_classification
from sklearn.ensemble import IsolationForest, RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.validation import check_is_fitted

from modelplane_exporter import Baseline
from modelplane_exporter.frameworks import sklearn as wrapper

ROWS, LABELS = load_iris(return_X_y=True)
SPECIES = np.array(["setosa", "versicolor", "virginica"])[LABELS]


def pipeline(labels: Any = SPECIES) -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(ROWS, labels)


def check_probabilities() -> None:
    series, bare = Series(), pipeline()
    model = wrapper.wrap(bare, **series.options)
    result = model.predict_proba(ROWS)
    assert np.array_equal(result, bare.predict_proba(ROWS))
    assert series.requests() == 1
    assert series.items() == 150
    close(series.confidences(), (150, float(result.max(axis=1).sum())))
    model.predict_log_proba(ROWS[:10])
    close(series.confidences(), (160, float(result.max(axis=1).sum() + result[:10].max(axis=1).sum())))
    assert series.labels("model_info")["framework"] == "sklearn"
    assert series.labels("model_info")["framework_version"] == sklearn.__version__


def check_methods_without_probabilities() -> None:
    series = Series()
    model = wrapper.wrap(pipeline(), **series.options)
    assert list(model.predict(ROWS[:3])) == ["setosa"] * 3
    model.decision_function(ROWS[:4])
    wrapper.wrap(StandardScaler().fit(ROWS), **series.options).transform(ROWS[:5])
    wrapper.wrap(IsolationForest(n_estimators=5).fit(ROWS), **series.options).score_samples(ROWS[:6])
    assert (series.requests(), series.items()) == (4, 18)
    assert series.confidences() == (0, 0)
    assert series.invalid() == {}


def check_logits_of_a_decision_function() -> None:
    series = Series()
    bare = LogisticRegression().fit(ROWS, LABELS > 0)
    model = wrapper.wrap(bare, output="logits", **series.options)
    model.decision_function(ROWS)
    close(series.confidences(), (150, float(bare.predict_proba(ROWS).max(axis=1).sum())))
    wrong: Any = "probabilities"
    raises(ValueError, "output must be None, logits", lambda: wrapper.wrap(bare, output=wrong))


def check_only_the_methods_that_are_there() -> None:
    model = wrapper.wrap(LinearSVC().fit(ROWS, LABELS), **Series().options)
    assert not hasattr(model, "predict_proba")
    assert hasattr(model, "decision_function")
    raises(AttributeError, "predict_proba", lambda: model.predict_proba(ROWS))


def check_features_of_frames_keep_their_names() -> None:
    columns = [f"f{index}" for index in range(4)]
    frame = pd.DataFrame(ROWS, columns=columns)
    fitted = baseline(features=frame, prediction=SPECIES)
    for given in (frame[columns[::-1]], ROWS, ROWS.tolist(), pl.DataFrame(ROWS, schema=columns)):
        series = Series(baseline=fitted)
        model = wrapper.wrap(LogisticRegression(max_iter=1000).fit(given, SPECIES), **series.options)
        result = model.predict_proba(given)
        assert result.shape == (150, 3)
        counts = np.histogram(ROWS[:, 2], [-np.inf, *edges(fitted.of_kind("input")[2]), np.inf])[0]
        assert series.histogram("input", "f2") == counts.tolist()
        for index, species in enumerate(("setosa", "versicolor", "virginica")):
            assert series.observed("output", "prediction", species) == (result.argmax(axis=1) == index).sum()
        assert series.invalid() == {}
        assert series.items() == 150


def check_labels_and_values_are_predictions() -> None:
    series = Series(baseline=baseline(prediction=SPECIES))
    wrapper.wrap(pipeline(), **series.options).predict(ROWS)
    assert series.observed("output", "prediction", "virginica") > 40
    series = Series(baseline=baseline(prediction=ROWS[:, 3]))
    model = wrapper.wrap(LinearRegression().fit(ROWS[:, :3], ROWS[:, 3]), **series.options)
    model.predict(ROWS[:, :3])
    assert series.observed("output", "prediction") == 150
    assert series.observed("output", "prediction", "__missing__") == 0
    model = wrapper.wrap(LinearRegression().fit(ROWS[:, :3], ROWS[:, [3]]), **series.options)
    model.predict(ROWS[:, :3])
    assert series.observed("output", "prediction") == 300


def check_training_rows_are_no_drift_against_what_the_model_returned() -> None:
    for labels in (LABELS, SPECIES, LABELS == 0, LABELS.astype(float)):
        noisy = np.random.default_rng(0).permutation(labels)  # a model that errs
        bare = make_pipeline(StandardScaler(), LogisticRegression()).fit(
            ROWS, np.where(ROWS[:, 0] > 6, noisy, labels)
        )
        fitted = Baseline.fit(MODEL, ROWS, model=bare)
        (signal,) = fitted.of_kind("output")
        for method in ("predict", "predict_proba", "predict_log_proba"):
            series = Series(baseline=fitted)
            getattr(wrapper.wrap(bare, **series.options), method)(ROWS)
            counts = [series.observed("output", "prediction", name) for name in signal.bins]
            assert counts == [round(150 * ratio) for ratio in signal.ratios]
    rows, values = ROWS[:, :3], ROWS[:, 3]
    regression = LinearRegression().fit(rows, values)
    fitted = Baseline.fit(MODEL, rows, model=regression)
    series = Series(baseline=fitted)
    wrapper.wrap(regression, **series.options).predict(rows)
    assert series.histogram("output", "prediction") == [
        round(150 * r) for r in fitted.signals[-1].ratios[:-1]
    ]


def check_other_methods_predict_nothing() -> None:
    series = Series(baseline=baseline(prediction=ROWS[:, 3]))
    wrapper.wrap(IsolationForest(n_estimators=5).fit(ROWS), **series.options).score_samples(ROWS)
    wrapper.wrap(StandardScaler().fit(ROWS[:, :1]), **series.options).transform(ROWS[:, :1])
    assert series.observed("output", "prediction") == 0


def check_several_outputs_have_no_single_confidence() -> None:
    series = Series()
    several = MultiOutputClassifier(LogisticRegression(max_iter=1000)).fit(
        ROWS, np.column_stack([LABELS, LABELS > 0])
    )
    assert len(wrapper.wrap(several, **series.options).predict_proba(ROWS)) == 2
    assert (series.items(), series.confidences()) == (150, (0, 0))
    assert series.invalid() == {"confidence_ambiguous": 1}


def check_probabilities_of_several_labels_are_no_confidence() -> None:
    rows, labels = make_multilabel_classification(300, n_classes=4, random_state=0)
    for bare in (
        OneVsRestClassifier(LogisticRegression(max_iter=500)),
        OneVsRestClassifier(DecisionTreeClassifier()),  # rows of 0 and 1, of which many sum to 1
        MLPClassifier(max_iter=30),
        ClassifierChain(LogisticRegression(max_iter=500)),
        RandomForestClassifier(5),
        make_pipeline(StandardScaler(), OneVsRestClassifier(LogisticRegression(max_iter=500))),
        GridSearchCV(OneVsRestClassifier(LogisticRegression(max_iter=500)), {"estimator__C": [1.0]}, cv=2),
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the network does not converge in so few steps
            bare.fit(rows, labels)
        series = Series(baseline=baseline(prediction=["0", "1", "2", "3"]))
        model = wrapper.wrap(bare, **series.options)
        for row in rows[:20]:
            model.predict_proba(row[None])
        model.predict_proba(rows)
        assert (series.items(), series.confidences()) == (320, (0, 0)), bare
        assert series.invalid() == {"confidence_ambiguous": 21}, bare
        assert series.observed("output", "prediction") == 0
        series = Series()
        wrapper.wrap(bare, output="multilabel", **series.options).predict_proba(rows)
        assert (series.items(), series.confidences(), series.invalid()) == (300, (0, 0), {})


def check_log_probabilities() -> None:
    series, bare = Series(), pipeline()
    wrapper.wrap(bare, **series.options).predict_log_proba(ROWS)
    close(series.confidences(), (150, float(bare.predict_proba(ROWS).max(axis=1).sum())))
    rows, labels = make_multilabel_classification(50, random_state=0)
    series = Series()
    network = MLPClassifier(max_iter=5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network.fit(rows, labels)
    wrapper.wrap(network, **series.options).predict_log_proba(rows)
    assert (series.confidences(), series.invalid()) == ((0, 0), {"confidence_ambiguous": 1})


def check_texts() -> None:
    series = Series()
    bare = make_pipeline(CountVectorizer(), LogisticRegression()).fit(["good film", "bad film"], [1, 0])
    wrapper.wrap(bare, **series.options).predict_proba(["good", "bad", "film"])
    assert series.items() == 3


def check_the_proxy_is_the_estimator() -> None:
    series, bare = Series(), pipeline()
    model = wrapper.wrap(bare, **series.options)
    assert isinstance(model, Pipeline)
    assert is_classifier(model)
    check_is_fitted(model)
    check_is_fitted(wrapper.wrap(bare[-1], **Series().options))
    assert model["logisticregression"] is bare[-1]
    assert len(model) == 2
    assert model.get_params()["logisticregression__C"] == 1.0
    assert model.fit(ROWS, SPECIES) is model
    assert model.score(ROWS, SPECIES) > 0.9
    assert list(model.classes_) == ["setosa", "versicolor", "virginica"]
    assert series.requests() == 0


def check_a_frozen_estimator() -> None:
    if importlib.util.find_spec("sklearn.frozen") is None:
        print("FrozenEstimator is not checked: scikit-learn has it from 1.6 on")  # noqa: T201
        return
    from sklearn.frozen import FrozenEstimator

    series = Series()
    frozen = FrozenEstimator(wrapper.wrap(pipeline(), **series.options))
    assert series.requests() == 0
    assert list(frozen.predict(ROWS[:2])) == ["setosa"] * 2
    assert series.requests() == 1


def check_copies_are_the_bare_estimator() -> None:
    series = Series()
    model = wrapper.wrap(pipeline(), **series.options)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):  # noqa: S301
        assert type(twin) is Pipeline
        assert np.array_equal(twin.predict(ROWS), model.__wrapped__.predict(ROWS))
    assert type(clone(model)) is Pipeline
    assert series.requests() == 0


def check_errors_pass_and_count() -> None:
    series = Series(baseline=baseline(features=table(4)))
    model = wrapper.wrap(pipeline(), **series.options)
    raises(ValueError, "features", lambda: model.predict(ROWS[:, :3]))
    raises(ValueError, "NaN", lambda: model.predict_proba(np.full((1, 4), np.nan)))
    assert (series.requests("failure"), series.requests()) == (2, 0)
    assert series.observed("input", "f0") == 0


def check_a_library_with_the_same_methods() -> None:
    series = Series(framework="mylib", framework_version="9")
    wrapper.wrap(pipeline(), **series.options).predict(ROWS)
    assert series.labels("model_info")["framework"] == "mylib"
    assert series.labels("model_info")["framework_version"] == "9"


def check_joined_call() -> None:
    series = Series()
    exporter = series.exporter("sklearn")
    model = wrapper.wrap(pipeline(), exporter=exporter)
    assert model.exporter is exporter
    with exporter.track():
        model.predict_proba(ROWS[:7])
    assert (series.requests(), series.items(), series.confidences()[0]) == (1, 7, 7)


if __name__ == "__main__":
    main(globals())
