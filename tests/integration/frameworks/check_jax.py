"""The JAX wrapper with the real framework."""

from __future__ import annotations

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import inspect
import threading
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from checking import Series, baseline, close, edges, main, raises, table
from tensors import check_as_confidences, check_in_expressions

from modelplane_exporter.frameworks import jax as wrapper

WEIGHTS = {"slope": jnp.asarray(np.random.default_rng(1).normal(size=(4, 3))), "offset": jnp.zeros(3)}


def logits(weights: dict[str, jax.Array], rows: jax.Array) -> jax.Array:
    """Scores of three classes."""
    return rows @ weights["slope"] + weights["offset"]


def rows(count: int = 5) -> jax.Array:
    return jnp.asarray(np.random.default_rng(count).normal(size=(count, 4)))


def confidence_of(scores: jax.Array) -> float:
    return float(jax.nn.softmax(scores).max(axis=-1).sum())


def check_plain_and_jitted() -> None:
    for function in (logits, jax.jit(logits)):
        series = Series()
        model = wrapper.wrap(function, output="logits", **series.options)
        result = model(WEIGHTS, rows())
        assert jnp.array_equal(result, function(WEIGHTS, rows()))
        assert (series.requests(), series.items()) == (1, 5)
        close(series.confidences(), (5, confidence_of(result)))
        assert series.labels("model_info")["framework"] == "jax"
        assert series.labels("model_info")["framework_version"] == jax.__version__
        assert model.__name__ == "logits"
        assert list(inspect.signature(model).parameters) == ["weights", "rows"]


def check_a_jitted_function_keeps_its_methods() -> None:
    series = Series()
    model = wrapper.wrap(jax.jit(logits), **series.options)
    assert model.lower(WEIGHTS, rows()).compile()(WEIGHTS, rows()).shape == (5, 3)
    model.clear_cache()
    assert series.requests() == 0


def check_transformations_pass_through() -> None:
    series = Series()
    model = wrapper.wrap(logits, output="logits", **series.options)
    assert jnp.allclose(jax.jit(model)(WEIGHTS, rows()), logits(WEIGHTS, rows()))
    total = jax.grad(lambda weights: model(weights, rows()).sum())(WEIGHTS)
    wanted = jax.grad(lambda weights: logits(weights, rows()).sum())(WEIGHTS)
    assert all(jnp.array_equal(total[name], wanted[name]) for name in WEIGHTS)
    assert jax.vmap(model, in_axes=(None, 0))(WEIGHTS, rows()).shape == (5, 3)
    assert jax.eval_shape(model, WEIGHTS, rows()).shape == (5, 3)
    assert series.requests() == 0
    raises(jax.errors.UnexpectedTracerError, "", leak)


def leak() -> None:
    leaked = []
    jax.jit(lambda given: leaked.append(given))(1.0)
    wrapper.wrap(jnp.sin, **Series().options)(leaked[0])


def check_single_row() -> None:
    series = Series(baseline=baseline(features=table(4)))
    model = wrapper.wrap(jax.jit(logits), output="logits", **series.options)
    result = model(WEIGHTS, rows(1)[0])
    assert result.shape == (3,)
    assert (series.items(), series.confidences()[0]) == (1, 1)
    close(series.confidences(), (1, confidence_of(result)))
    assert series.observed("input", "f3") == 1
    assert series.invalid() == {}


def check_single_probability() -> None:
    series = Series()
    model = wrapper.wrap(lambda rows: jax.nn.sigmoid(rows.sum(-1)), output="probabilities", **series.options)
    risk = model(rows(1)[0])
    assert risk.shape == ()
    close(series.confidences(), (1, max(float(risk), 1 - float(risk))))
    assert series.items() == 1
    risks = model(rows(6))
    close(
        series.confidences(),
        (7, max(float(risk), 1 - float(risk)) + float(jnp.maximum(risks, 1 - risks).sum())),
    )
    assert series.items() == 7


def check_arguments_that_are_no_pytree() -> None:
    series = Series()
    model = wrapper.wrap(lambda rows, table: rows, **series.options)
    assert model(rows(), {1: "a", "b": 2}).shape == (5, 4)
    assert (series.requests(), series.items()) == (1, 5)


def check_which_argument_is_the_input() -> None:
    class Parameters(NamedTuple):
        slope: jax.Array

    def dropout(weights: Any, key: jax.Array, given: jax.Array, *, more: Any = None) -> jax.Array:
        return given * 2

    keys = (jax.random.key(0), jax.random.PRNGKey(0))
    for weights, key in ((Parameters(jnp.ones(9)), keys[0]), ({}, keys[1])):
        series = Series()
        wrapper.wrap(dropout, **series.options)(weights, key, rows(5))
        assert series.items() == 5
    for inputs, args, kwargs in ((1, (jnp.ones(9), rows(3)), {}), ("x", (jnp.ones(9),), {"x": rows(3)})):
        series = Series()
        wrapper.wrap(lambda weights, x: x, inputs=inputs, **series.options)(*args, **kwargs)
        assert series.items() == 3
    for inputs, wanted in ((7, 9), ("absent", 9)):
        series = Series()
        wrapper.wrap(lambda weights: weights, inputs=inputs, **series.options)(jnp.ones(9))
        assert series.items() == wanted  # rows of the result


def check_pytree_results() -> None:
    class Answer(NamedTuple):
        logits: jax.Array
        hidden: jax.Array

    for result in (
        lambda x: {"hidden": x[:, :1], "logits": x},
        lambda x: (x, x),
        lambda x: Answer(x, x[:, :1]),
    ):
        series = Series()
        given = rows()
        wrapper.wrap(jax.jit(result), output="logits", **series.options)(given)
        close(series.confidences(), (5, confidence_of(given)))


def check_features_and_predictions() -> None:
    fitted = baseline(features=table(4), prediction=np.array([0, 1, 2]).astype(str))
    series = Series(baseline=fitted)
    model = wrapper.wrap(jax.jit(logits), output="logits", **series.options)
    result = model(WEIGHTS, rows(100))
    winners = np.asarray(result).argmax(axis=1)
    for index in range(3):
        assert series.observed("output", "prediction", str(index)) == (winners == index).sum()
    signal = fitted.of_kind("input")[1]
    counts = np.histogram(np.asarray(rows(100))[:, 1], [-np.inf, *edges(signal), np.inf])[0]
    assert series.histogram("input", "f1") == counts.tolist()
    assert series.invalid() == {}


def check_low_precision() -> None:
    for kind in (jnp.bfloat16, jnp.float16):
        series = Series()
        result = wrapper.wrap(lambda x: x, output="logits", **series.options)(rows().astype(kind))
        assert result.dtype == kind
        close(series.confidences(), (5, confidence_of(result.astype(jnp.float32))), 1e-4)


def check_synchronize_and_late_errors() -> None:
    series = Series()
    slow = jax.jit(lambda x: jax.lax.fori_loop(0, 200, lambda _, y: jnp.sin(y @ y) / 100, x))
    model = wrapper.wrap(slow, synchronize=True, **series.options)
    assert model(jnp.ones((200, 200))).is_ready()

    def refuse(x: np.ndarray) -> np.ndarray:
        raise ValueError("refused")

    def failing(x: jax.Array) -> jax.Array:
        shape = jax.ShapeDtypeStruct(x.shape, x.dtype)  # type: ignore[no-untyped-call]
        result: jax.Array = jax.pure_callback(refuse, shape, x)
        return result

    raises(
        Exception,
        "refused",
        lambda: wrapper.wrap(jax.jit(failing), synchronize=True, **series.options)(rows()),
    )
    assert (series.requests("failure"), series.requests()) == (1, 1)


def check_donated_buffers() -> None:
    series = Series(baseline=baseline(features=table(4)))
    donating = jax.jit(lambda x: x * 2, donate_argnums=0)
    given = rows()
    result = wrapper.wrap(donating, output="logits", **series.options)(given)
    assert result.shape == (5, 4)
    assert series.requests() == 1
    assert series.items() == 5


def check_threads() -> None:
    series = Series()
    model = wrapper.wrap(jax.jit(logits), output="logits", **series.options)
    threads = [threading.Thread(target=lambda: [model(WEIGHTS, rows()) for _ in range(20)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (series.requests(), series.items(), series.confidences()[0]) == (80, 400, 400)


def check_tensors() -> None:
    check_in_expressions(jnp.array)
    check_as_confidences(jnp.full((2, 3), 0.5))


if __name__ == "__main__":
    main(globals())
