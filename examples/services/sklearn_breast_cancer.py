"""tumour-screen: tells malignant from benign tumours with a scikit-learn pipeline."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the examples share the machine

import numpy as np
from catalogue import explain_missing
from replay import Array, Predict, Workload, fetch_features, log_training, run, shifted

from modelplane_exporter import PER_CALL, ModelMetricsExporter

try:
    import sklearn
    from sklearn.datasets import load_breast_cancer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import train_test_split
    from sklearn.pipeline import Pipeline, make_pipeline
    from sklearn.preprocessing import StandardScaler
except ModuleNotFoundError as error:
    explain_missing(error, __file__)

TENANTS = ("north-clinic", "south-clinic")
CLASSES = ("malignant", "benign")
WORST_TEXTURE = 21


def service(model: Pipeline) -> Predict:
    """The inference function, measured."""
    exporter = ModelMetricsExporter(
        model_name="tumour-screen",
        model_version="v1.0.4",
        tenant_id=PER_CALL,
        framework="sklearn",
        owner="clinical",
        stage="production",
        framework_version=sklearn.__version__,
        tenants=TENANTS,
    )

    @exporter
    def predict(features: Array, lookup_seconds: float = 0.0) -> dict[str, object]:
        row = fetch_features(features, lookup_seconds).reshape(1, -1)
        probabilities = model.predict_proba(row)[0]  # refuses NaN and a wrong number of features
        return {"label": CLASSES[probabilities.argmax()], "confidence": probabilities.max()}

    return predict


def drift(features: Array, rng: np.random.Generator) -> Array:
    """A microscope whose images are too coarse."""
    return shifted(features, WORST_TEXTURE, 25.0)


def build() -> Workload:
    """Train, and serve the rows that were held out."""
    features, labels = load_breast_cancer(return_X_y=True)
    train_features, test_features, train_labels, test_labels = train_test_split(
        features, labels, test_size=0.3, stratify=labels, random_state=0
    )
    model = make_pipeline(StandardScaler(), LogisticRegression())
    model.fit(train_features, train_labels)
    log_training("tumour-screen v1.0.4", model.score(test_features, test_labels))
    return Workload((service(model),), TENANTS, test_features, drift)


if __name__ == "__main__":
    run(build, __doc__)
