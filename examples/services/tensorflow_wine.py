"""wine-grader: tells three cultivars of wine apart with a small Keras network in TensorFlow."""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np
from catalogue import explain_missing
from replay import Array, Predict, Workload, fetch_features, log_training, run, shifted

from modelplane_exporter import PER_CALL, ModelMetricsExporter

try:
    import tensorflow as tf
    from sklearn.datasets import load_wine
    from sklearn.model_selection import train_test_split
except ModuleNotFoundError as error:
    explain_missing(error, __file__)

TENANTS = ("retail-eu", "vision-lab")
COLOUR_INTENSITY = 9


def train(features: Array, labels: np.ndarray) -> tf.keras.Model:
    """A network from 13 measurements to the probabilities of 3 cultivars."""
    tf.keras.utils.set_random_seed(0)
    normalisation = tf.keras.layers.Normalization()
    normalisation.adapt(features)
    model = tf.keras.Sequential(
        [
            tf.keras.layers.Input((features.shape[1],)),
            normalisation,
            tf.keras.layers.Dense(16, activation="relu"),
            tf.keras.layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(optimizer=tf.keras.optimizers.Adam(0.02), loss="sparse_categorical_crossentropy")
    model.fit(features, labels, epochs=20, verbose=0)
    return model


def service(model: tf.keras.Model) -> Predict:
    """The inference function, measured."""
    exporter = ModelMetricsExporter(
        model_name="wine-grader",
        model_version="v2.0.1",
        tenant_id=PER_CALL,
        framework="tensorflow",
        owner="retail",
        stage="production",
        framework_version=tf.__version__,
        tenants=TENANTS,
    )

    @exporter
    def predict(measurements: Array, lookup_seconds: float = 0.0) -> dict[str, object]:
        row = tf.convert_to_tensor([fetch_features(measurements, lookup_seconds)], dtype=tf.float32)
        tf.debugging.check_numerics(row, "measurements")  # refuses NaN
        probabilities = model(row, training=False)[0]  # refuses a wrong shape
        return {"cultivar": int(tf.argmax(probabilities)), "confidence": tf.reduce_max(probabilities)}

    return predict


def drift(measurements: Array, rng: np.random.Generator) -> Array:
    """A colorimeter that lost its calibration."""
    return shifted(measurements, COLOUR_INTENSITY, 9.0)


def build() -> Workload:
    """Train, and serve the wines that were held out."""
    tf.config.threading.set_intra_op_parallelism_threads(1)  # the examples share the machine
    tf.config.threading.set_inter_op_parallelism_threads(1)
    features, labels = load_wine(return_X_y=True)
    train_features, test_features, train_labels, test_labels = train_test_split(
        features, labels, test_size=0.3, stratify=labels, random_state=0
    )
    model = train(train_features, train_labels)
    guesses = model(test_features, training=False).numpy().argmax(axis=1)
    log_training("wine-grader v2.0.1", (guesses == test_labels).mean())
    return Workload((service(model),), TENANTS, test_features, drift)


if __name__ == "__main__":
    run(build, __doc__)
