"""PyTorch: measure an ``nn.Module`` and watch its layers."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

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
from modelplane_exporter.frameworks.readings import Arrays, Output, Reader, Reading, first_input

_HOUSEKEEPING = frozenset(dir(nn.Module)) - {"forward"}


def wrap(
    module: nn.Module,
    *,
    output: Output | None = None,
    classes: Sequence[object] | None = None,
    synchronize: bool = False,
    methods: Sequence[str] = (),
    exporter: ModelMetricsExporter | None = None,
    **options: Any,
) -> Measured:
    """Measure every call of ``module``, compiled or not; everything else is reached through the result.

    ``output`` says what the returned tensor of shape (rows, classes), (rows, 1) or (rows,) is. Without it a
    Sequential that ends in Softmax, LogSoftmax, or Sigmoid of one column is recognised. ``classes`` name the
    classes for the signal "prediction" of the baseline. ``synchronize`` waits until the GPU has finished, so
    that latency holds the device's work; on a CPU there is nothing to wait for. ``methods`` are measured too,
    each call with its items. ``options`` are those of ModelMetricsExporter, unless an ``exporter`` is given.
    ValueError for bad options.
    """
    require_methods(module, methods)
    exporter = exporter_for("pytorch", torch.__version__, exporter, options)
    reader = Reader(TORCH, output or _recognised(module), classes, exporter.baseline)

    def read(args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> Reading:
        return reader.read(first_input(args, kwargs), result)

    readers = {
        **readers_of(methods, Reader(TORCH, baseline=exporter.baseline), first_input),
        "__call__": read,
    }
    wait = _wait if synchronize else None
    return Measured(module, exporter, readers, wait=wait, traced=_is_traced, housekeeping=_HOUSEKEEPING)


def watch_layers(
    module: nn.Module | Measured,
    names: Sequence[str],
    *,
    exporter: ModelMetricsExporter | None = None,
    every: int = 100,
) -> Watch:
    """Observe layers of ``module``, named as in ``named_modules()``, in one of ``every`` calls.

    Each gives the activation signals ``<layer>/mean_absolute`` and ``<layer>/zero_ratio``, over the first
    tensor of floats that it returns. Results and gradients stay as they are. Layers that were compiled are
    not seen. ``exporter`` is that of the module if ``wrap`` returned it. Call ``remove()`` of the result, or
    use it as a context manager. ValueError for a name that is no layer or not in the baseline.
    """
    exporter = layers.exporter_of(module, exporter)
    bare = unwrapped(module)
    watched = layers.named(names, dict(bare.named_modules()))
    watch = Watch(layers.sampled(exporter, names, every), _summary, _to_host, layers.to_exporter(exporter))
    return _hooked(watch, bare, watched)


def collect_layers(
    module: nn.Module | Measured, names: Sequence[str], batches: Iterable[Any]
) -> dict[str, Any]:
    """The activation signals of ``module`` over training data, for ``Baseline.fit(activations=...)``.

    Calls ``module(batch)`` for each batch, in evaluation mode and without gradients, and gives for each
    signal a NumPy column with one value for each batch. Let batches be as large as those in service.
    """
    bare = unwrapped(module)
    watched = layers.named(names, dict(bare.named_modules()))
    collected = layers.Collected()
    modes = {child: child.training for child in bare.modules()}
    bare.eval()
    try:
        with torch.no_grad(), _hooked(Watch(layers.always, _summary, _to_host, collected.add), bare, watched):
            for batch in batches:
                bare(batch)
    finally:
        for child, mode in modes.items():
            child.training = mode
    return collected.columns(names)


class _Hook:
    """A hook that a copy or pickle of its module does not take along."""

    def __init__(self, function: Callable[..., None]) -> None:
        self._function = function

    def __call__(self, *args: Any) -> None:
        if not _is_traced((), {}):
            self._function(*args)

    def __reduce__(self) -> Any:
        return _no_hook, ()


def _no_hook() -> _Hook:
    return _Hook(_ignore)


def _ignore(*args: Any) -> None:
    """A hook that was left behind."""


def _hooked(watch: Watch, module: nn.Module, watched: Mapping[str, nn.Module]) -> Watch:
    begin = _Hook(lambda module, args: watch.begin())
    watch.undo_with(module.register_forward_pre_hook(begin).remove)
    for name, layer in watched.items():
        observe = _Hook(lambda layer, args, returned, name=name: watch.observe(name, returned))
        watch.undo_with(layer.register_forward_hook(observe).remove)
    finish = _Hook(lambda module, args, returned: watch.finish())
    watch.undo_with(module.register_forward_hook(finish).remove)
    return watch


def _summary(returned: Any) -> Tensor | None:
    """Mean absolute value and share of zeros of the first tensor of floats, as a tensor of shape (2,)."""
    floats = next((tensor for tensor in _tensors(returned) if tensor.is_floating_point()), None)
    if floats is None or not floats.numel():
        return None
    with torch.no_grad():
        # The norm builds no copy of the layer; counting zeros a copy of one byte each, three times as fast as
        # torch.count_nonzero on a CPU.
        total = torch.linalg.vector_norm(
            floats, ord=1, dtype=torch.promote_types(floats.dtype, torch.float32)
        )
        return torch.stack((total, (floats == 0).sum().to(total))) / floats.numel()


def _to_host(summaries: Sequence[Tensor]) -> list[list[float]]:
    device = summaries[0].device
    rows: list[list[float]] = torch.stack(
        [summary.to(device, torch.float32) for summary in summaries]
    ).tolist()
    return rows


def _tensors(returned: Any) -> Iterator[Tensor]:
    if isinstance(returned, Tensor):
        yield returned
    elif isinstance(returned, Mapping):
        yield from _tensors(tuple(returned.values()))
    elif isinstance(returned, tuple | list):
        for value in returned:
            yield from _tensors(value)


def _recognised(module: nn.Module) -> Output | None:
    """What the last layer of a Sequential says of its output; log-probabilities are logits too."""
    module = getattr(module, "_orig_mod", module)  # compiled
    if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
        module = module.module
    *before, last = _in_order(module)
    if isinstance(last, nn.Softmax | nn.LogSoftmax) and last.dim in (None, 1, -1):
        return "probabilities" if isinstance(last, nn.Softmax) else "logits"
    columns = getattr(before[-1], "out_features", None) if before else None
    return "probabilities" if isinstance(last, nn.Sigmoid) and columns == 1 else None


def _in_order(module: nn.Module) -> Iterator[nn.Module]:
    """The layers of nested Sequentials, in the order in which they run."""
    if not isinstance(module, nn.Sequential):
        yield module
        return
    for child in module:
        yield from _in_order(child)


def _is_traced(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    return torch.compiler.is_compiling() or torch.jit.is_tracing()  # type: ignore[attr-defined,no-untyped-call]


def _wait(result: Any) -> None:
    """Wait for what the current stream of the result's GPU has to do."""
    tensor = next((tensor for tensor in _tensors(result) if _is_on_gpu(tensor)), None)
    if tensor is not None:
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(tensor.device))
        event.synchronize()


def _is_on_gpu(tensor: Tensor) -> bool:
    return tensor.is_cuda


def _confidence(scores: Tensor, output: Output) -> Tensor:
    wide = scores.detach().to(torch.promote_types(scores.dtype, torch.float32))
    if scores.shape[1] == 1:
        column = wide[:, 0]
        return torch.maximum(column, 1 - column) if output == "probabilities" else column.abs().sigmoid()
    if output == "logits":
        return wide.softmax(1).amax(1)
    differs = (wide.sum(1) - 1).abs() > readings.SUM_TOLERANCE
    return wide.amax(1).masked_fill(differs, readings.AMBIGUOUS)


TORCH = Arrays(
    lambda value: isinstance(value, Tensor),
    _confidence,
    functools.partial(readings.winner, torch),
    Tensor.cpu,
)
