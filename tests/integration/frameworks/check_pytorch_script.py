"""Measured modules and decorated functions under PyTorch's compilers, tools and containers."""

from __future__ import annotations

import io
import multiprocessing
import pickle
import warnings
from typing import Any

import cloudpickle
import torch
from checking import Series, main, raises
from torch import Tensor, nn
from torch_modules import images, network

from modelplane_exporter import ModelMetricsExporter
from modelplane_exporter.frameworks import pytorch


def exporter(series: Series) -> ModelMetricsExporter:
    return series.exporter("pytorch")


def scripted(target: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.script(target)


class Language(nn.Module):
    """A module that is asked by other methods than its call."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 3)

    def forward(self, given: Tensor) -> Tensor:
        result: Tensor = self.head(given)
        return result

    def generate(self, given: Tensor, steps: int = 2) -> Tensor:
        return torch.stack([self(given).argmax(1) for _ in range(steps)], 1)

    def embed(self, given: Tensor) -> Tensor:
        return given


def check_other_methods() -> None:
    series, module = Series(), Language()
    model = pytorch.wrap(module, methods=("generate", "forward"), output="logits", **series.options)
    assert torch.equal(model.generate(images(), steps=3), module.generate(images(), steps=3))
    model.forward(images(2))
    model.embed(images())
    assert (series.requests(), series.items(), series.confidences()) == (2, 7, (0, 0))
    model(images())
    assert (series.requests(), series.items(), series.confidences()[0]) == (3, 12, 5)
    raises(ValueError, "has no method 'generat'", lambda: pytorch.wrap(module, methods=("generat",)))


def check_scripts_of_measured_modules() -> None:
    series, module = Series(), network()
    for target in (pytorch.wrap(module, **series.options), exporter(series)(module)):
        script = scripted(target)
        assert torch.equal(script(images()), module(images()))
        saved = io.BytesIO()
        torch.jit.save(script, saved)
    assert series.requests() == 0
    model = pytorch.wrap(script, **series.options)
    assert torch.equal(model(images()), module(images()))
    assert series.requests() == 1


class Parent(nn.Module):
    def __init__(self, body: Any) -> None:
        super().__init__()
        self.body = body

    def forward(self, given: Tensor) -> Tensor:
        result: Tensor = self.body(given)
        return result


def check_scripts_of_what_holds_a_measured_module() -> None:
    series, module = Series(), network()
    parent = Parent(pytorch.wrap(module, **series.options))
    assert torch.equal(parent(images()), module(images()))
    assert torch.equal(scripted(parent)(images()), module(images()))
    assert series.requests() == 1


def check_scripts_of_a_decorated_function() -> None:
    series = Series()

    def activate(given: Tensor) -> Tensor:
        return torch.relu(given) * 2

    decorated = exporter(series)(activate)
    assert torch.equal(scripted(decorated)(images()), decorated(images()))
    assert series.requests() == 1


DECORATED = Series()


class Decorated(nn.Module):
    """A module whose forward is decorated."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 3)

    @exporter(DECORATED)
    def forward(self, given: Tensor) -> Tensor:
        return torch.relu(self.head(given))


def check_scripts_of_a_decorated_forward() -> None:
    module = Decorated()
    wanted = module(images())
    raises(RuntimeError, "shapes", lambda: module(torch.zeros(2, 5)))
    assert torch.equal(scripted(module)(images()), wanted)
    assert torch.equal(torch.compile(module, backend="eager")(images()), wanted)
    assert torch.equal(pytorch.wrap(module, **Series().options)(images()), wanted)
    assert DECORATED.requests() >= 2
    assert DECORATED.requests("failure") == 1


def check_tools_that_ask_the_type() -> None:
    series, module = Series(), network()
    model: Any = pytorch.wrap(module, **series.options)
    assert torch.equal(torch.fx.symbolic_trace(model)(images()), module(images()))
    parameters = dict(model.named_parameters())
    assert torch.equal(torch.func.functional_call(model, parameters, (images(),)), module(images()))
    assert len(list(nn.ModuleList([model]).parameters())) == len(parameters)
    assert torch.equal(nn.utils.parametrizations.weight_norm(model[0])(images()), module[0](images()))
    model.extra = nn.Linear(2, 2)
    assert "extra.weight" in module.state_dict()
    assert model.load_state_dict(module.state_dict()).missing_keys == []
    assert type(model).__name__ == "Sequential"
    assert model.apply(lambda child: None) is model.requires_grad_(False) is model


def check_pickles_of_methods() -> None:
    series, module = Series(), network()
    model = pytorch.wrap(module, **series.options)
    for library in (pickle, cloudpickle):
        assert torch.equal(library.loads(library.dumps(model.forward))(images()), module(images()))
        assert type(library.loads(library.dumps(model.eval))()) is nn.Sequential
        decorated = library.loads(library.dumps(exporter(series)(module)))
        assert torch.equal(decorated(images()), module(images()))
    assert series.requests() == 2  # a decorated module comes back with its exporter
    process = multiprocessing.get_context("spawn").Process(target=model, args=(images(),))
    process.start()
    process.join()
    assert process.exitcode == 0


if __name__ == "__main__":
    main(globals())
