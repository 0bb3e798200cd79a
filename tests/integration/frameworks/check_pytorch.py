"""The PyTorch wrapper with the real framework."""

from __future__ import annotations

import copy
import io
import pickle
import types
import warnings
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
import torch
from checking import Series, baseline, close, edges, main, raises, table
from tensors import check_as_confidences, check_in_expressions
from torch import Tensor, nn
from torch_modules import images, network

from modelplane_exporter import tenant
from modelplane_exporter.frameworks import pytorch


def check_logits() -> None:
    series, module = Series(), network()
    model = pytorch.wrap(module, output="logits", **series.options)
    given = images()
    result = model(given)
    assert torch.equal(result, module(given))
    assert result.requires_grad
    assert series.requests() == 1
    assert series.items() == 5
    close(series.confidences(), (5, float(torch.softmax(result, 1).max(1).values.sum().detach())))
    labels = series.labels("model_info")
    assert labels["framework"] == "pytorch"
    assert labels["framework_version"] == torch.__version__
    assert series.invalid() == {}


def check_recognised_outputs() -> None:
    given = images()
    for last in (nn.Softmax(dim=1), nn.LogSoftmax(dim=-1)):
        series, module = Series(), nn.Sequential(network(), last)
        pytorch.wrap(module, **series.options)(given)
        wanted = torch.softmax(network()(given), 1).max(1).values.sum()
        close(series.confidences(), (5, float(wanted.detach())))
    series = Series()
    risk = nn.Sequential(nn.Linear(4, 1), nn.Sigmoid())
    probability = pytorch.wrap(risk, **series.options)(given)
    close(series.confidences(), (5, float(torch.maximum(probability, 1 - probability).sum().detach())))


def check_outputs_that_say_nothing() -> None:
    several_labels = nn.Sequential(nn.Linear(4, 3), nn.Sigmoid())
    for module in (network(), several_labels, nn.Sequential(nn.Softmax(dim=0))):
        series = Series()
        pytorch.wrap(module, **series.options)(images())
        assert series.confidences() == (0, 0)
        assert series.invalid() == {}
        assert series.items() == 5


def check_binary_logits_and_columns() -> None:
    for module in (nn.Linear(4, 1), nn.Sequential(nn.Linear(4, 1), nn.Flatten(0))):
        series = Series()
        result = pytorch.wrap(module, output="logits", **series.options)(images())
        probability = torch.sigmoid(result.detach())
        close(series.confidences(), (5, float(torch.maximum(probability, 1 - probability).sum())))


def check_extreme_logits() -> None:
    series = Series()
    scores = torch.tensor([[1e30, -1e30], [0.0, 0.0], [float("nan"), 0.0], [-3e38, -3e38]])
    pytorch.wrap(nn.Identity(), output="logits", **series.options)(scores)
    close(series.confidences(), (3, 2.0))
    assert series.invalid() == {"confidence_not_a_number": 1}


def check_out_of_range_is_counted() -> None:
    series = Series()
    pytorch.wrap(nn.Identity(), output="probabilities", **series.options)(torch.tensor([[3.0]]))
    assert series.invalid() == {"confidence_out_of_range": 1}
    series = Series()
    pytorch.wrap(nn.Identity(), output="probabilities", **series.options)(torch.tensor([[3.0, 1.0]]))
    assert series.invalid() == {"confidence_ambiguous": 1}


def check_half_precision_and_modes() -> None:
    for kind in (torch.bfloat16, torch.float16, torch.float64):
        series = Series()
        model = pytorch.wrap(network().to(kind), output="logits", **series.options)
        with torch.inference_mode():
            result = model(images().to(kind))
        assert result.dtype == kind
        close(series.confidences(), (5, float(torch.softmax(result.double(), 1).max(1).values.sum())), 1e-4)
    series = Series()
    model = pytorch.wrap(network(), output="logits", **series.options)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert model(images()).dtype == torch.bfloat16
    assert series.confidences()[0] == 5


def check_compiled_module() -> None:
    series, module = Series(), network(nn.Softmax(dim=1))
    compiled = torch.compile(module, backend="eager")
    assert isinstance(compiled, nn.Module)
    model = pytorch.wrap(compiled, **series.options)
    given = images()
    assert torch.equal(model(given), module(given))
    assert (series.requests(), series.confidences()[0]) == (1, 5)


def check_a_compiler_sees_the_bare_module() -> None:
    series, module = Series(), network().requires_grad_(False)
    model = pytorch.wrap(module, output="logits", **series.options)
    compiled = torch.compile(lambda given: model(given) * 2, backend="eager")
    assert torch.equal(compiled(images()), module(images()) * 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        traced = torch.jit.trace(  # type: ignore[no-untyped-call]
            lambda given: model(given) * 2, images(), check_trace=False
        )
    assert torch.equal(traced(images(7)), module(images(7)) * 2)
    assert isinstance(model, nn.Module)
    exported = torch.export.export(model, (images(),))
    assert torch.equal(exported.module()(images()), module(images()))
    assert series.requests() == 0


def check_gradients_and_state() -> None:
    module, twin = network(), network()
    model = pytorch.wrap(module, output="logits", **Series().options)
    for network_ in (model, twin):
        loss = nn.functional.cross_entropy(network_(images()), torch.tensor([0, 1, 2, 0, 1]))
        loss.backward()  # type: ignore[no-untyped-call]
    for measured, bare in zip(module.parameters(), twin.parameters(), strict=True):
        assert measured.grad is not None
        assert bare.grad is not None
        assert torch.equal(measured.grad, bare.grad)
    assert list(model.state_dict()) == list(twin.state_dict())


def check_the_proxy_is_the_module() -> None:
    module = network()
    model = pytorch.wrap(module, **Series().options)
    assert model.eval() is model
    assert model.to("cpu").train() is model
    assert module.training
    model.note = "set"
    assert module.note == "set"
    del model.note
    assert not hasattr(module, "note")
    assert isinstance(model, nn.Module)
    assert isinstance(model, nn.Sequential)
    assert len(model) == 3
    assert model[0] is module[0]
    assert list(model) == list(module)
    assert [name for name, _ in model.named_parameters()] == [name for name, _ in module.named_parameters()]
    assert {"exporter", "state_dict"} <= set(dir(model))


def check_a_parent_takes_the_proxy_as_a_child() -> None:
    series = Series()
    model = pytorch.wrap(network(), **series.options)
    assert isinstance(model, nn.Module)
    parent = nn.Sequential(OrderedDict(body=model, head=nn.Linear(3, 1)))
    assert "body.0.weight" in parent.state_dict()
    assert len(list(parent.parameters())) == 6
    parent.eval()
    assert not model.training
    assert repr(model) == repr(model.__wrapped__)
    assert parent.double()(images().double()).dtype == torch.float64
    assert series.requests() == 1


def check_copies_and_pickles_are_the_bare_module() -> None:
    series = Series()
    model = pytorch.wrap(network(), **series.options)
    saved = io.BytesIO()
    torch.save(model, saved)
    saved.seek(0)
    loaded = torch.load(saved, weights_only=False)
    for twin in (copy.copy(model), copy.deepcopy(model), pickle.loads(pickle.dumps(model)), loaded):  # noqa: S301
        assert type(twin) is nn.Sequential
        assert torch.equal(twin(images()), model.__wrapped__(images()))
    twin = copy.deepcopy(model)
    assert isinstance(twin, nn.Sequential)
    assert twin[0].weight is not model.__wrapped__[0].weight
    assert series.requests() == 0


def check_parallel_module() -> None:
    series = Series()
    model = pytorch.wrap(nn.DataParallel(network(nn.Softmax(dim=1))), **series.options)
    model(images())
    assert series.confidences()[0] == 5


def check_results_that_hold_tensors() -> None:
    class Encoder(nn.Module):
        def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> dict[str, Tensor]:
            return {"loss": torch.tensor(0.5), "logits": input_ids.float(), "hidden": torch.ones(2, 9, 9)}

    class Answer:
        def __init__(self, logits: Tensor) -> None:
            self.logits = logits

    class Tuple(nn.Module):
        def forward(self, given: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
            return given, (given, given)

    class Holder(nn.Module):
        def forward(self, given: Tensor) -> Answer:
            return Answer(given)

    for module in (Encoder(), Tuple(), Holder()):
        series = Series()
        model = pytorch.wrap(module, output="logits", **series.options)
        given = torch.tensor([[1, 2, 3], [4, 5, 6]])
        model(input_ids=given) if isinstance(module, Encoder) else model(given.float())
        close((series.items(), series.confidences()[0]), (2, 2))


def check_items_of_odd_inputs() -> None:
    class Anything(nn.Module):
        def forward(self, *given: Any) -> Tensor:
            return torch.zeros(1)

    generator = iter(range(3))
    cases = (
        ((images(3),), 3), (([torch.zeros(3, 4, 4), torch.zeros(3, 5, 5)],), 2), (((images(4), 0),), 4),
        (({"x": images(6)},), 6), ((np.zeros((7, 2)),), 7), ((generator,), 1),
        ((), 1), ((torch.tensor(3),), 1),
    )  # fmt: skip
    for args, wanted in cases:
        series = Series()
        pytorch.wrap(Anything(), **series.options)(*args)
        assert series.items() == wanted, (args, series.items())
    assert list(generator) == [0, 1, 2]


def check_errors_pass_and_count() -> None:
    series = Series()
    model = pytorch.wrap(network(), output="logits", **series.options)
    raises(RuntimeError, "shapes", lambda: model(torch.zeros(2, 5)))
    assert (series.requests("failure"), series.requests()) == (1, 0)


def check_a_call_inside_track_joins_it() -> None:
    series = Series()
    model = pytorch.wrap(network(nn.Softmax(dim=1)), **series.options)
    with model.exporter.track(tenant_id="user-B") as call:
        model(images())
        call.tokens(input=3)
    assert series.requests() == 1
    assert series.value("model_inference_items_total", tenant_id="user-B") == 5
    assert series.confidences()[0] == 5
    assert series.value("model_inference_latency_seconds_count") == 1


def check_features_and_predictions() -> None:
    fitted = baseline(features=table(4), prediction=np.array(["cat", "dog", "cow", "cat"]))
    series = Series(baseline=fitted)
    model = pytorch.wrap(network(), output="logits", classes=["cat", "dog", "cow"], **series.options)
    given = images(70)
    result = model(given)
    signal = fitted.of_kind("input")[2]
    counts = np.histogram(given[:, 2].double().numpy(), [-np.inf, *edges(signal), np.inf])[0]
    assert series.histogram("input", "f2") == counts.tolist()
    for index, name in enumerate(["cat", "dog", "cow"]):
        assert series.observed("output", "prediction", name) == int((result.argmax(1) == index).sum())
    model(images(1)[0])
    assert series.observed("input", "f2") == 71
    assert series.items() == 71
    assert series.confidences()[0] == 71
    assert series.invalid() == {}


def check_an_image_is_no_table() -> None:
    series = Series(baseline=baseline(features=table(4)))
    pytorch.wrap(nn.Flatten(), **series.options)(torch.zeros(2, 1, 8, 8))
    assert series.observed("input", "f0") == 0
    assert series.invalid() == {}


def check_regression() -> None:
    series = Series(baseline=baseline(prediction=np.linspace(-1, 1, 50)))
    result = pytorch.wrap(nn.Linear(4, 1), **series.options)(images(9))
    assert series.observed("output", "prediction") == 9
    assert series.observed("output", "prediction", "__missing__") == 0
    deviations = series.value("model_signal_deviation_square_sum_total")
    mean, stddev = 0.0, float(np.linspace(-1, 1, 50).std())
    close((deviations,), (float((((result.detach() - mean) / stddev) ** 2).sum()),), 1e-3)


def check_a_hostile_result_is_harmless() -> None:
    class Hostile(dict[str, Any]):
        def get(self, *args: Any) -> Any:
            raise ValueError("no")

    class Module(nn.Module):
        def forward(self, given: Tensor) -> Hostile:
            return Hostile()

    series = Series()
    model = pytorch.wrap(Module(), output="logits", **series.options)
    assert model(images()) == {}
    assert series.requests() == 1


def check_synchronize() -> None:
    series = Series()
    model = pytorch.wrap(network(), synchronize=True, **series.options)
    assert model(images()).shape == (5, 3)  # nothing to wait for on a CPU
    waits: list[str] = []
    event = types.SimpleNamespace(
        record=lambda stream: waits.append(f"record {stream}"), synchronize=lambda: waits.append("wait")
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "Event", lambda: event)
        patch.setattr(torch.cuda, "current_stream", lambda device: f"stream of {device}")
        patch.setattr(pytorch, "_is_on_gpu", lambda tensor: True)
        model(images())
    assert waits == ["record stream of cpu", "wait"]


def check_bad_options() -> None:
    exporter = Series().exporter("pytorch")
    unknown: Any = "scores"
    raises(ValueError, "output must be", lambda: pytorch.wrap(network(), output=unknown, exporter=exporter))
    raises(ValueError, "not both", lambda: pytorch.wrap(network(), exporter=exporter, model_name="a"))
    raises(ValueError, "classes must be", lambda: pytorch.wrap(network(), classes="ab", exporter=exporter))
    raises(TypeError, "model_name", lambda: pytorch.wrap(network(), tenant_id="a"))


def check_tenant_of_a_block() -> None:
    from modelplane_exporter import PER_CALL

    series = Series(tenant_id=PER_CALL)
    model = pytorch.wrap(network(), **series.options)
    with tenant("user-C"):
        model(images())
    assert series.value("model_inference_requests_total", tenant_id="user-C", outcome="success") == 1


def check_tensors() -> None:
    check_in_expressions(lambda values: torch.tensor(values, requires_grad=True))
    check_as_confidences(torch.full((2, 3), 0.5, requires_grad=True))


if __name__ == "__main__":
    main(globals())
