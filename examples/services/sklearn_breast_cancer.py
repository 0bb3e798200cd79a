"""tumour-screen: tells malignant from benign tumours with a scikit-learn pipeline."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the examples share the machine

import numpy as np
from catalogue import explain_missing
from replay import Answer, Array, Endpoint, Workload, fetch_features, log_training, run
from stories import STORIES

from modelplane_exporter import PER_CALL, Baseline

try:
    from sklearn.datasets import load_breast_cancer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import train_test_split
    from sklearn.pipeline import Pipeline, make_pipeline
    from sklearn.preprocessing import StandardScaler

    from modelplane_exporter.frameworks.sklearn import wrap
except ModuleNotFoundError as error:
    explain_missing(error, __file__)

TENANTS = ("north-clinic", "south-clinic")
VERSION = "v1.0.4"


def service(pipeline: Pipeline, baseline: Baseline) -> Endpoint:
    """The inference function, measured."""
    model = wrap(
        pipeline,
        model_name="tumour-screen",
        model_version=VERSION,
        tenant_id=PER_CALL,
        owner="clinical",
        stage="production",
        tenants=TENANTS,
        baseline=baseline,
        events=("reviewed",),
        feedback=True,
    )

    def predict(features: Array, lookup_seconds: float = 0.0) -> Answer:
        with model.exporter.track():  # so that the lookup is a part of the latency
            row = fetch_features(features, lookup_seconds).reshape(1, -1)
            probabilities = model.predict_proba(row)[0]  # refuses NaN and a wrong number of features
        return {"label": model.classes_[probabilities.argmax()], "confidence": probabilities.max()}

    def review(answer: Answer, truth: object) -> None:
        """A pathologist has looked at the tissue."""
        model.exporter.event("reviewed")
        model.exporter.feedback(correct=answer["label"] == truth)

    return Endpoint(VERSION, predict, review)


def build() -> Workload:
    """Train, fit the baseline to the training set, and serve."""
    tumours = load_breast_cancer()
    # The means of ten measurements; their standard errors and worst values are left out.
    features, labels = tumours.data[:, :10], tumours.target_names[tumours.target]
    train, held_out = train_test_split(np.arange(len(labels)), test_size=0.3, stratify=labels, random_state=0)
    model = make_pipeline(StandardScaler(), LogisticRegression())
    model.fit(features[train], labels[train])
    log_training(f"tumour-screen {VERSION}", model.score(features[held_out], labels[held_out]))
    baseline = Baseline.fit(
        "tumour-screen",
        features[train],
        names=tumours.feature_names[:10].tolist(),
        model=model,
    )
    truths = dict(zip(held_out.tolist(), labels[held_out], strict=True))
    return Workload(STORIES["tumour-screen"], (service(model, baseline),), features, truths)


if __name__ == "__main__":
    run(build, __doc__)
