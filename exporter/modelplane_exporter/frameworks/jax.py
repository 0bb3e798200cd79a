"""JAX: measure any callable, jitted or not."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from modelplane_exporter.exporter import ModelMetricsExporter
from modelplane_exporter.frameworks import readings
from modelplane_exporter.frameworks.measured import Measured, exporter_for, readers_of, require_methods
from modelplane_exporter.frameworks.readings import Arrays, Output, Reader, Reading

# Of flax, and of what is jitted.
_HOUSEKEEPING = frozenset(
    ("bind", "clone", "copy", "init", "init_with_output", "replace", "tabulate", "unbind", "variable")
).union(dir(jax.jit(lambda: None)))


def wrap(
    function: Callable[..., Any],
    *,
    output: Output | None = None,
    classes: Sequence[object] | None = None,
    inputs: int | str | None = None,
    synchronize: bool = False,
    methods: Sequence[str] = (),
    exporter: ModelMetricsExporter | None = None,
    **options: Any,
) -> Measured:
    """Measure every call of ``function``, jitted or not; its attributes are reached through the result.

    ``inputs`` is the position or name of the argument with the input; without it the first that is an array
    and no key of random numbers, because parameters are mostly a pytree. ``output`` says what the returned
    array of shape (rows, classes), (rows, 1) or (rows,) is; without it confidence is not read. ``classes``
    name the classes for the signal "prediction" of the baseline. ``synchronize`` waits with
    ``jax.block_until_ready``, so that latency holds the computation; its errors are raised then. Without it
    the call waits, after its latency was taken, for confidence and prediction if these are read. Inside a
    transformation of JAX (jit, grad, vmap) calls pass through unmeasured. ``methods`` of an object are
    measured too, each call with its items. ``options`` are those of ModelMetricsExporter, unless an
    ``exporter`` is given. ValueError for bad options.
    """
    require_methods(function, methods)
    exporter = exporter_for("jax", jax.__version__, exporter, options)
    reader = Reader(JAX, output, classes, exporter.baseline)

    given = functools.partial(_input, inputs=inputs)

    def read(args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> Reading:
        return reader.read(given(args, kwargs), result)

    readers = {
        **readers_of(methods, Reader(JAX, baseline=exporter.baseline), given),
        "__call__": read,
    }
    wait = jax.block_until_ready if synchronize else None
    return Measured(function, exporter, readers, wait=wait, traced=_is_traced, housekeeping=_HOUSEKEEPING)


def _input(args: tuple[Any, ...], kwargs: dict[str, Any], inputs: int | str | None) -> Any:
    if isinstance(inputs, str):
        return kwargs.get(inputs)
    if inputs is not None:
        return args[inputs] if inputs < len(args) else None
    return next((value for value in (*args, *kwargs.values()) if _is_data(value)), None)


def _is_data(value: Any) -> bool:
    """Whether a value is an array with rows and no key, which has a type of its own or is uint32[2]."""
    shape = getattr(value, "shape", ())
    if not shape or hasattr(value, "columns"):
        return bool(shape)
    return not (
        jnp.issubdtype(value.dtype, jax.dtypes.prng_key) or (shape == (2,) and value.dtype == "uint32")
    )


def _is_traced(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    return any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves((args, kwargs)))


@functools.partial(jax.jit, static_argnums=1)  # operation by operation it would take far longer
def _confidence(scores: jax.Array, output: Output) -> Any:
    return readings.confidence(jnp, scores.astype(jnp.promote_types(scores.dtype, jnp.float32)), output)


@functools.partial(jax.jit, static_argnums=1)
def _winner(scores: jax.Array, output: Output) -> Any:
    return readings.winner(jnp, scores, output)


JAX = Arrays(lambda value: isinstance(value, jax.Array), _confidence, _winner, np.asarray)
