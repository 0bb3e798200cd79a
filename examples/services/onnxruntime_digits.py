"""digit-scanner: reads handwritten digits with a scikit-learn model, converted and served by ONNX Runtime."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the examples share the machine

import numpy as np
from catalogue import explain_missing
from replay import INK, Answer, Array, Endpoint, Workload, fetch_features, ink, log_training, run
from stories import STORIES

from modelplane_exporter import PER_CALL, Baseline

try:
    from onnxruntime import InferenceSession, SessionOptions
    from skl2onnx import to_onnx
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import train_test_split
    from sklearn.pipeline import Pipeline, make_pipeline
    from sklearn.preprocessing import MinMaxScaler

    from modelplane_exporter.frameworks.onnxruntime import wrap
except ModuleNotFoundError as error:
    explain_missing(error, __file__)

TENANTS = ("vision-lab", "north-clinic")
VERSION = "v3.1.0"


def convert(model: Pipeline, sample: np.ndarray) -> InferenceSession:
    """A session for a fitted classifier; ``sample`` gives the type and width of its input."""
    onnx_model = to_onnx(model, sample[:1], options={"zipmap": False})
    options = SessionOptions()
    options.intra_op_num_threads = 1
    return InferenceSession(onnx_model.SerializeToString(), options)


def service(session: InferenceSession, baseline: Baseline) -> Endpoint:
    """The inference function, measured."""
    model = wrap(
        session,
        model_name="digit-scanner",
        model_version=VERSION,
        tenant_id=PER_CALL,
        owner="vision",
        stage="production",
        tenants=TENANTS,
        baseline=baseline,
    )

    def predict(image: Array, lookup_seconds: float = 0.0) -> Answer:
        with model.exporter.track() as call:  # so that the lookup is a part of the latency
            # ONNX Runtime refuses a wrong shape but computes with NaN, so NumPy refuses that.
            pixels = np.asarray_chkfinite(fetch_features(image, lookup_seconds))
            labels, probabilities = model.run(None, {"X": pixels.reshape(1, -1).astype(np.float32)})
            call.features(ink(pixels))  # not what wrap sees, because the model takes pixels
        return {"label": int(labels[0]), "confidence": probabilities.max()}

    return Endpoint(VERSION, predict)


def build() -> Workload:
    """Train, convert, fit the baseline to the training set, and serve."""
    digits = load_digits()
    train_rows, test_rows, train_labels, test_labels = train_test_split(
        digits.data.astype(np.float32), digits.target, test_size=0.25, stratify=digits.target, random_state=0
    )
    model = make_pipeline(MinMaxScaler(), LogisticRegression(max_iter=200))
    session = convert(model.fit(train_rows, train_labels), train_rows)
    labels, _ = session.run(None, {"X": test_rows})
    log_training(f"digit-scanner {VERSION}", (labels == test_labels).mean())
    labels, _ = session.run(None, {"X": train_rows})
    baseline = Baseline.fit(
        "digit-scanner",
        ink(train_rows.reshape(-1, 8, 8).astype(float)),
        names=INK,
        prediction=labels,
    )
    return Workload(STORIES["digit-scanner"], (service(session, baseline),), digits.images)


if __name__ == "__main__":
    run(build, __doc__)
