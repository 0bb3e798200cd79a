"""wine-grader: tells three cultivars of wine apart with a small Keras network in TensorFlow."""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np
from catalogue import explain_missing
from replay import Answer, Array, Endpoint, Workload, fetch_features, log_training, run
from stories import STORIES

from modelplane_exporter import PER_CALL, Baseline

try:
    import tensorflow as tf
    from sklearn.datasets import load_wine
    from sklearn.model_selection import train_test_split

    from modelplane_exporter.frameworks.tensorflow import wrap
except ModuleNotFoundError as error:
    explain_missing(error, __file__)

TENANTS = ("retail-eu", "vision-lab")
VERSION = "v2.0.1"


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


def service(network: tf.keras.Model, cultivars: list[str], baseline: Baseline) -> Endpoint:
    """The inference function, measured; ``cultivars`` names the classes."""
    model = wrap(
        network,
        classes=cultivars,
        model_name="wine-grader",
        model_version=VERSION,
        tenant_id=PER_CALL,
        owner="retail",
        stage="production",
        tenants=TENANTS,
        baseline=baseline,
    )

    def predict(measurements: Array, lookup_seconds: float = 0.0) -> Answer:
        with model.exporter.track():  # so that the lookup is a part of the latency
            row = tf.convert_to_tensor([fetch_features(measurements, lookup_seconds)], dtype=tf.float32)
            tf.debugging.check_numerics(row, "measurements")  # refuses NaN
            probabilities = model(row, training=False)[0].numpy()  # refuses a wrong shape
        return {"cultivar": cultivars[probabilities.argmax()], "confidence": probabilities.max()}

    return Endpoint(VERSION, predict)


def build() -> Workload:
    """Train, fit the baseline to the training set, and serve."""
    tf.config.threading.set_intra_op_parallelism_threads(1)  # the examples share the machine
    tf.config.threading.set_inter_op_parallelism_threads(1)
    wines = load_wine()
    cultivars = wines.target_names.tolist()
    train_features, test_features, train_labels, test_labels = train_test_split(
        wines.data, wines.target, test_size=0.3, stratify=wines.target, random_state=0
    )
    model = train(train_features, train_labels)
    guesses = model(test_features, training=False).numpy().argmax(axis=1)
    log_training(f"wine-grader {VERSION}", (guesses == test_labels).mean())
    graded = model(train_features, training=False).numpy().argmax(axis=1)
    baseline = Baseline.fit(
        "wine-grader",
        train_features,
        names=wines.feature_names,
        prediction=[cultivars[grade] for grade in graded],
    )
    return Workload(
        STORIES["wine-grader"], (service(model, cultivars, baseline),), wines.data, names=wines.feature_names
    )


if __name__ == "__main__":
    run(build, __doc__)
