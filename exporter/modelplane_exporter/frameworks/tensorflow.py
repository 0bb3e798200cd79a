"""TensorFlow: measure a Keras model, a ``tf.function`` or a signature of a SavedModel; watch Keras layers."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf

from modelplane_exporter.exporter import ModelMetricsExporter
from modelplane_exporter.frameworks import layers, readings
from modelplane_exporter.frameworks.layers import Watch
from modelplane_exporter.frameworks.measured import (
    Measured,
    exporter_for,
    readers_of,
    require_methods,
    unwrapped,
)
from modelplane_exporter.frameworks.numpy_arrays import NUMPY
from modelplane_exporter.frameworks.readings import Arrays, Output, Reader, Reading, first_input

_HOUSEKEEPING = frozenset(dir(tf.keras.Model)) - {"call", "test_on_batch"}


def wrap(
    model: Any,
    *,
    output: Output | None = None,
    classes: Sequence[object] | None = None,
    synchronize: bool = False,
    methods: Sequence[str] = (),
    exporter: ModelMetricsExporter | None = None,
    **options: Any,
) -> Measured:
    """Measure ``model``: of a Keras model ``__call__``, ``predict`` and ``predict_on_batch``, else the call.

    ``output`` says what the returned tensor of shape (rows, classes), (rows, 1) or (rows,) is. Without it a
    Sequential or functional model is recognised whose last layer is a softmax, or a sigmoid of one unit.
    ``classes`` name the classes for the signal "prediction" of the baseline. ``synchronize`` waits until
    every GPU has finished, so that latency holds the device's work; on a CPU there is nothing to wait for.
    Inside a traced graph calls pass through unmeasured. ``methods`` are measured too, each call with its
    items. ``options`` are those of ModelMetricsExporter, unless an ``exporter`` is given. ValueError for bad
    options.
    """
    require_methods(model, methods)
    exporter = exporter_for("tensorflow", tf.__version__, exporter, options)
    output = output or _recognised(model)
    tensors = Reader(TENSORFLOW, output, classes, exporter.baseline)
    arrays = Reader(NUMPY, output, classes, exporter.baseline)

    def read(args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> Reading:
        return tensors.read(_input(args, kwargs), result)

    def read_array(args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> Reading:
        return arrays.read(_input(args, kwargs), result)

    readers = {
        **readers_of(methods, Reader(TENSORFLOW, baseline=exporter.baseline), _input),
        "__call__": read,
        "predict": read_array,
        "predict_on_batch": read_array,
    }
    wait = _wait if synchronize else None
    return Measured(model, exporter, readers, wait=wait, traced=_is_traced, housekeeping=_HOUSEKEEPING)


def watch_layers(
    model: Any,
    names: Sequence[str],
    *,
    exporter: ModelMetricsExporter | None = None,
    every: int = 100,
) -> Watch:
    """Observe layers of a Keras ``model`` in one of ``every`` calls ``model(x)``.

    A layer of a nested model is named "outer/inner". Each gives the activation signals
    ``<layer>/mean_absolute`` and ``<layer>/zero_ratio``, over the first tensor of floats that it returns.
    Results and gradients stay as they are. ``predict`` and ``tf.function`` run a traced graph, in which
    layers are not seen. ``exporter`` is that of the model if ``wrap`` returned it. Call ``remove()`` of the
    result, or use it as a context manager. ValueError for a name that is no layer or not in the baseline.
    """
    exporter = layers.exporter_of(model, exporter)
    bare = unwrapped(model)
    watched = layers.named(names, dict(_layers(bare)))
    watch = Watch(layers.sampled(exporter, names, every), _summary, _to_host, layers.to_exporter(exporter))
    return _hooked(watch, bare, watched)


def collect_layers(model: Any, names: Sequence[str], batches: Iterable[Any]) -> dict[str, Any]:
    """The activation signals of a Keras ``model`` over training data, for ``Baseline.fit(activations=...)``.

    Calls ``model(batch)`` for each batch and gives for each signal a NumPy column with one value for each
    batch. Let batches be as large as those in service.
    """
    bare = unwrapped(model)
    watched = layers.named(names, dict(_layers(bare)))
    collected = layers.Collected()
    with _hooked(Watch(layers.always, _summary, _to_host, collected.add), bare, watched):
        for batch in batches:
            bare(batch)
    return collected.columns(names)


def _hooked(watch: Watch, model: Any, watched: Mapping[str, Any]) -> Watch:
    for name, layer in watched.items():
        _replace_call(watch, layer, functools.partial(watch.observe, name))
    _replace_call(watch, model, lambda returned: watch.finish(), watch.begin)
    return watch


def _replace_call(
    watch: Watch, layer: Any, after: Callable[[Any], None], before: Callable[[], None] | None = None
) -> None:
    """Run ``before`` and ``after`` around ``layer.call`` where it runs eagerly; Keras has no hooks."""
    call, attribute = layer.call, vars(layer).get("call")
    removed = False

    def observed(*args: Any, **kwargs: Any) -> Any:
        if removed or not tf.executing_eagerly():
            return call(*args, **kwargs)
        if before is not None:
            before()
        returned = call(*args, **kwargs)
        after(returned)
        return returned

    def undo() -> None:
        nonlocal removed
        removed = True
        if layer.call is not observed:  # another watch came later and calls this one
            return
        del layer.call
        if attribute is not None:
            layer.call = attribute

    layer.call = observed
    watch.undo_with(undo)


def _layers(model: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for layer in model.layers:
        yield prefix + layer.name, layer
        if isinstance(layer, tf.keras.Model):
            yield from _layers(layer, f"{prefix}{layer.name}/")


def _summary(returned: Any) -> Any:
    """Mean absolute value and share of zeros of the first tensor of floats, as a tensor of shape (2,)."""
    floats = (value for value in tf.nest.flatten(returned) if tf.is_tensor(value) and value.dtype.is_floating)
    first = next(floats, None)
    if first is None or not tf.size(first):
        return None
    wide = tf.cast(first, tf.float32) if first.dtype.size < 4 else first
    mean_absolute = tf.cast(tf.reduce_mean(tf.abs(wide)), tf.float32)
    return tf.stack((mean_absolute, tf.math.zero_fraction(first)))


def _to_host(summaries: Sequence[Any]) -> list[list[float]]:
    rows: list[list[float]] = tf.stack(summaries).numpy().tolist()
    return rows


def _recognised(model: Any) -> Output | None:
    """What the last layer says of the output of a model whose layers have an order."""
    ordered = isinstance(model, tf.keras.Sequential) or len(getattr(model, "outputs", None) or ()) == 1
    if not isinstance(model, tf.keras.Model) or not ordered or not model.layers:
        return None
    last = model.layers[-1]
    activation = getattr(getattr(last, "activation", None), "__name__", None)
    if isinstance(last, tf.keras.layers.Softmax) or activation == "softmax":
        return "probabilities"
    return "probabilities" if activation == "sigmoid" and _columns(model, last) == 1 else None


def _columns(model: Any, last: Any) -> int | None:
    shapes = [output.shape for output in getattr(model, "outputs", None) or ()]
    return shapes[0][-1] if shapes else getattr(last, "units", None)


def _input(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """The first input; Keras takes several as a list."""
    given = first_input(args, kwargs)
    return tuple(given) if isinstance(given, list) else given


def _is_traced(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    symbolic = any(isinstance(value, tf.keras.KerasTensor) for value in tf.nest.flatten((args, kwargs)))
    return symbolic or not tf.executing_eagerly()


def _wait(result: Any) -> None:
    tf.test.experimental.sync_devices()


def _confidence(scores: Any, output: Output) -> Any:
    wide = tf.cast(scores, tf.float32) if scores.dtype.size < 4 else scores
    if scores.shape[1] == 1:
        column = wide[:, 0]
        return tf.maximum(column, 1 - column) if output == "probabilities" else tf.sigmoid(tf.abs(column))
    if output == "logits":
        return tf.reduce_max(tf.nn.softmax(wide), axis=1)
    highest = tf.reduce_max(wide, axis=1)
    differs = tf.abs(tf.reduce_sum(wide, axis=1) - 1) > readings.SUM_TOLERANCE
    return tf.where(differs, tf.constant(readings.AMBIGUOUS, wide.dtype), highest)


def _winner(scores: Any, output: Output) -> Any:
    if scores.shape[1] == 1:
        return tf.cast(scores[:, 0] > (0.5 if output == "probabilities" else 0.0), tf.int64)
    return tf.argmax(scores, axis=1)


TENSORFLOW = Arrays(tf.is_tensor, _confidence, _winner, lambda array: array.numpy())
