"""progression-risk: tells whether diabetes will progress faster than the median, with JAX."""

from __future__ import annotations

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# The examples share the machine.
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

import numpy as np
from catalogue import explain_missing
from replay import Answer, Array, Endpoint, Workload, fetch_features, log_training, run
from stories import STORIES

from modelplane_exporter import PER_CALL, Baseline

try:
    import jax
    import jax.numpy as jnp
    from jax.experimental import checkify
    from sklearn.datasets import load_diabetes
    from sklearn.model_selection import train_test_split

    from modelplane_exporter.frameworks.jax import wrap
except ModuleNotFoundError as error:
    explain_missing(error, __file__)

TENANTS = ("north-clinic", "south-clinic")
VERSION = "v0.9.0"
Weights = dict[str, jax.Array]


def probability(weights: Weights, features: jax.Array) -> jax.Array:
    """The probability that progression is above the median, for features of shape (..., 10)."""
    standardised = (features - weights["mean"]) / weights["stddev"]
    return jax.nn.sigmoid(standardised @ weights["slope"] + weights["offset"])


def loss(slope_and_offset: Weights, scale: Weights, features: jax.Array, truth: jax.Array) -> jax.Array:
    """Mean cross-entropy with a small penalty on the slope."""
    likely = probability(slope_and_offset | scale, features)
    entropy = -jnp.mean(truth * jnp.log(likely) + (1 - truth) * jnp.log(1 - likely))
    return entropy + 0.01 * jnp.sum(slope_and_offset["slope"] ** 2)


def train(features: jax.Array, truth: jax.Array) -> Weights:
    """Logistic regression by gradient descent."""
    scale = {"mean": features.mean(axis=0), "stddev": features.std(axis=0)}
    weights = {"slope": jnp.zeros(features.shape[1]), "offset": jnp.zeros(())}
    gradient = jax.jit(jax.grad(loss))
    for _ in range(200):
        steps = gradient(weights, scale, features, truth)
        weights = jax.tree.map(lambda weight, step: weight - 0.5 * step, weights, steps)
    return weights | scale


def service(weights: Weights, baseline: Baseline) -> Endpoint:
    """The inference function, measured."""
    compiled = jax.jit(checkify.checkify(probability, errors=checkify.nan_checks))

    def checked(row: jax.Array) -> jax.Array:
        likely: jax.Array
        error, likely = compiled(weights, row)  # refuses a wrong shape
        error.throw()  # refuses NaN
        return likely

    model = wrap(
        checked,
        output="probabilities",
        model_name="progression-risk",
        model_version=VERSION,
        tenant_id=PER_CALL,
        owner="clinical",
        stage="production",
        tenants=TENANTS,
        baseline=baseline,
    )

    def predict(features: Array, lookup_seconds: float = 0.0) -> Answer:
        with model.exporter.track():  # so that the lookup is a part of the latency
            risk = float(model(jnp.asarray(fetch_features(features, lookup_seconds))))
        return {"above_median": risk > 0.5, "risk": risk, "confidence": max(risk, 1 - risk)}

    return Endpoint(VERSION, predict)


def build() -> Workload:
    """Train, fit the baseline to the training set, and serve."""
    patients = load_diabetes(scaled=False)
    train_features, test_features, train_progression, test_progression = train_test_split(
        patients.data, patients.target, test_size=0.3, random_state=0
    )
    median = np.median(train_progression)
    weights = train(jnp.asarray(train_features), jnp.asarray(train_progression > median))
    guesses = probability(weights, jnp.asarray(test_features)) > 0.5
    log_training(f"progression-risk {VERSION}", float((guesses == (test_progression > median)).mean()))
    baseline = Baseline.fit(
        "progression-risk",
        train_features,
        names=patients.feature_names,
        prediction=probability(weights, jnp.asarray(train_features)),
    )
    return Workload(STORIES["progression-risk"], (service(weights, baseline),), patients.data)


if __name__ == "__main__":
    run(build, __doc__)
