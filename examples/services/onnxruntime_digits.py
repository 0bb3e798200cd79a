"""digit-scanner: reads handwritten digits with a scikit-learn model, converted and served by ONNX Runtime."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the examples share the machine

import numpy as np
from catalogue import explain_missing
from replay import Array, Predict, Workload, fetch_features, log_training, rotated, run

from modelplane_exporter import PER_CALL, ModelMetricsExporter

try:
    import onnxruntime
    from skl2onnx import to_onnx
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import train_test_split
    from sklearn.pipeline import Pipeline, make_pipeline
    from sklearn.preprocessing import MinMaxScaler
except ModuleNotFoundError as error:
    explain_missing(error, __file__)

TENANTS = ("vision-lab", "north-clinic")


def convert(model: Pipeline, sample: np.ndarray) -> onnxruntime.InferenceSession:
    """A session for a fitted classifier; ``sample`` gives the type and width of its input."""
    onnx_model = to_onnx(model, sample[:1], options={"zipmap": False})
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(onnx_model.SerializeToString(), options)


def service(session: onnxruntime.InferenceSession) -> Predict:
    """The inference function, measured."""
    exporter = ModelMetricsExporter(
        model_name="digit-scanner",
        model_version="v3.1.0",
        tenant_id=PER_CALL,
        framework="onnxruntime",
        owner="vision",
        stage="production",
        framework_version=onnxruntime.__version__,
        tenants=TENANTS,
    )

    @exporter
    def predict(image: Array, lookup_seconds: float = 0.0) -> dict[str, object]:
        # ONNX Runtime refuses a wrong shape but computes with NaN, so NumPy refuses that.
        pixels = np.asarray_chkfinite(fetch_features(image, lookup_seconds), dtype=np.float32)
        labels, probabilities = session.run(None, {"X": pixels.reshape(1, -1)})
        return {"label": int(labels[0]), "confidence": probabilities.max()}

    return predict


def drift(image: Array, rng: np.random.Generator) -> Array:
    """Paper fed sideways: the model grows more certain, and wrong."""
    return rotated(image)


def build() -> Workload:
    """Train, convert, and serve the images that were held out."""
    digits = load_digits()
    train_rows, test_rows, train_labels, test_labels = train_test_split(
        digits.data.astype(np.float32), digits.target, test_size=0.25, stratify=digits.target, random_state=0
    )
    model = make_pipeline(MinMaxScaler(), LogisticRegression(max_iter=200))
    session = convert(model.fit(train_rows, train_labels), train_rows)
    labels, _ = session.run(None, {"X": test_rows})
    log_training("digit-scanner v3.1.0", (labels == test_labels).mean())
    return Workload((service(session),), TENANTS, test_rows.reshape(-1, 8, 8), drift)


if __name__ == "__main__":
    run(build, __doc__)
