"""Watched layers of PyTorch modules, with the real framework."""

from __future__ import annotations

import copy
import pickle
import threading

import numpy as np
import torch
from checking import Series, baseline, close, main, raises
from torch import Tensor, nn
from torch_modules import images, network

from modelplane_exporter.frameworks import pytorch


def activations(module: nn.Module, names: list[str]) -> Series:
    batches = [images(3) for _ in range(4)]
    columns = pytorch.collect_layers(module, names, batches)
    return Series(baseline=baseline(activations=columns))


def check_collected_layers() -> None:
    module = network().train()
    module[1].eval()
    columns = pytorch.collect_layers(module, ["1", "0"], (images(rows) for rows in (2, 3)))
    assert list(columns) == ["1/mean_absolute", "1/zero_ratio", "0/mean_absolute", "0/zero_ratio"]
    for index, rows in enumerate((2, 3)):
        hidden = module[1](module[0](images(rows))).detach()
        close((columns["1/mean_absolute"][index],), (float(hidden.abs().mean()),))
        close((columns["1/zero_ratio"][index],), (float((hidden == 0).float().mean()),))
    assert module.training
    assert not module[1].training
    assert not module._forward_hooks
    assert not module[0]._forward_hooks


def check_watched_layers() -> None:
    module = network()
    series = activations(module, ["1"])
    twin = copy.deepcopy(module)
    model = pytorch.wrap(module, **series.options)
    with pytorch.watch_layers(model, ["1"], every=5):
        for _ in range(50):
            model(images())
        assert series.observed("activation", "1/zero_ratio") == 10
        assert series.value("modelplane_exporter_sampling_ratio", kind="activation") == 0.2
        # Outside of a wrapped call, without gradients, and with them.
        with torch.no_grad():
            for _ in range(5):
                module(images())
        assert series.observed("activation", "1/mean_absolute") == 11
        for network_ in (module, twin):
            network_(images()).square().sum().backward()
        assert torch.equal(module(images()), twin(images()))
    for watched, bare in zip(module.parameters(), twin.parameters(), strict=True):
        assert watched.grad is not None
        assert bare.grad is not None
        assert torch.equal(watched.grad, bare.grad)
    before = series.observed("activation", "1/mean_absolute")
    for _ in range(20):
        model(images())
    assert series.observed("activation", "1/mean_absolute") == before
    assert not module._forward_hooks
    assert not module._forward_pre_hooks
    assert series.invalid() == {}


def check_odd_layers() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.recurrent = nn.LSTM(4, 3, batch_first=True)
            self.picks = nn.Identity()
            self.shared = nn.ReLU()
            self.empty = nn.Identity()
            self.unused = nn.Identity()

        def forward(self, given: Tensor) -> Tensor:
            out, _ = self.recurrent(given[:, None])
            self.empty(out[:0])
            self.picks(out.argmax(-1))
            result: Tensor = self.shared(self.shared(out) - 1)
            return result

    module = Odd()
    names = ["recurrent", "picks", "shared", "empty", "unused"]
    columns = pytorch.collect_layers(module, names, [images()])
    assert columns["recurrent/mean_absolute"][0] > 0
    for name in ("picks", "empty", "unused"):
        assert np.isnan(columns[f"{name}/zero_ratio"]).all()
    close(
        (columns["shared/zero_ratio"][0],),
        ((float((module.recurrent(images()[:, None])[0] <= 0).float().mean()) + 1) / 2,),
    )


def check_copies_of_a_watched_module_are_not_watched() -> None:
    module = network()
    series = activations(module, ["1"])
    with pytorch.watch_layers(module, ["1"], exporter=series.exporter("pytorch"), every=1):
        for twin in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):  # noqa: S301
            assert torch.equal(twin(images()), module(images()))
        assert list(module.state_dict()) == list(network().state_dict())
    assert series.observed("activation", "1/zero_ratio") == 2


def check_threads_do_not_mix() -> None:
    module = nn.Sequential(nn.Identity(), nn.ReLU())
    names = ["0", "1"]
    columns = pytorch.collect_layers(module, names, [images(2), images(3)])
    series = Series(baseline=baseline(activations=columns))
    with pytorch.watch_layers(module, names, exporter=series.exporter("pytorch"), every=1):
        threads = [threading.Thread(target=lambda: [module(images()) for _ in range(100)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert series.observed("activation", "0/mean_absolute") == 400
    assert series.observed("activation", "1/zero_ratio") == 400


def check_a_failing_call_leaves_nothing_behind() -> None:
    module = network()
    series = activations(module, ["0"])
    with pytorch.watch_layers(module, ["0"], exporter=series.exporter("pytorch"), every=1):
        module[2].forward = lambda given: 1 / 0
        raises(ZeroDivisionError, "", lambda: module(images()))
        del module[2].forward
        module(images())
    assert series.observed("activation", "0/mean_absolute") == 1


def check_bad_layers() -> None:
    module = network()
    series = activations(module, ["0"])
    exporter = series.exporter("pytorch")
    watch = pytorch.watch_layers
    deep = nn.ModuleDict({"layer4": nn.ModuleDict({"conv1": nn.ReLU(), "conv2": nn.ReLU()})})
    raises(ValueError, "'layer4.conv2'", lambda: watch(deep, ["layer4.conv3"], exporter=exporter))
    raises(
        ValueError,
        "baseline has no activation signals of layer '1'",
        lambda: watch(module, ["1"], exporter=exporter),
    )
    raises(ValueError, "exporter is required", lambda: watch(module, ["0"]))
    raises(ValueError, "every must be", lambda: watch(module, ["0"], exporter=exporter, every=0))
    raises(ValueError, "names must be", lambda: watch(module, "0", exporter=exporter))
    assert not module._forward_hooks


if __name__ == "__main__":
    main(globals())
