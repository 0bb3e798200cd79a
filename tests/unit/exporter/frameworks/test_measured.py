"""The proxy that measures a model and is that model in everything else."""

from __future__ import annotations

import copy
import inspect
import pickle
import subprocess
import sys
import weakref
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from exporter_support.framework_doubles import TABLE, CallDouble, ExporterDouble, Model, measured
from modelplane_exporter import ModelMetricsExporter
from modelplane_exporter.frameworks.measured import Measured, exporter_for, unwrapped
from modelplane_exporter.frameworks.numpy_arrays import NUMPY
from modelplane_exporter.frameworks.readings import Reader, Reading


def test_a_call_is_tracked_stopped_and_then_observed() -> None:
    exporter = ExporterDouble()
    model = measured(exporter, wait=lambda result: exporter.log.append(("wait", result)))
    argument = object()
    assert model(argument) == (argument,)
    assert exporter.names == [
        "enter", "wait", "stop", "items", "confidence", "prediction", "features", "exit",
    ]  # fmt: skip
    assert dict(exporter.log)["features"] == {"age": 3}
    assert dict(exporter.log)["exit"] is None


def test_nothing_is_told_that_was_not_read() -> None:
    exporter = ExporterDouble()
    measured(exporter, reading=Reading())(1)
    assert exporter.names == ["enter", "stop", "exit"]


def test_a_call_inside_another_joins_it() -> None:
    exporter = ExporterDouble()
    exporter.current = CallDouble(exporter.log)
    assert measured(exporter, wait=lambda result: exporter.log.append(("wait", result)))(1) == (1,)
    assert exporter.names == ["wait", "items", "confidence", "prediction", "features"]


def test_methods_are_measured_and_keep_their_names() -> None:
    exporter = ExporterDouble()
    model = measured(exporter)
    assert model.predict([1, 2], scale=3) == [3, 3]
    assert exporter.names.count("enter") == 1
    assert model.predict.__name__ == "predict"
    assert model.predict.__doc__ == "Predict rows."
    assert list(inspect.signature(model.predict).parameters) == ["rows", "scale"]
    assert list(inspect.signature(model.train).parameters) == []


def test_errors_of_the_model_pass() -> None:
    exporter = ExporterDouble()
    with pytest.raises(ValueError, match="refused"):
        measured(exporter)(fail=True)
    assert exporter.names == ["enter", "exit"]
    assert isinstance(exporter.log[-1][1], ValueError)


def test_an_error_of_the_device_is_the_models() -> None:
    def wait(result: object) -> None:
        raise RuntimeError("lost")

    exporter = ExporterDouble()
    with pytest.raises(RuntimeError, match="lost"):
        measured(exporter, wait=wait)(1)
    assert exporter.names == ["enter", "exit"]


def test_an_error_of_reading_is_logged_only(caplog: pytest.LogCaptureFixture) -> None:
    def read(args: object, kwargs: object, result: object) -> Reading:
        raise LookupError("secret")

    exporter = ExporterDouble()
    model = Measured(Model(), exporter, {"__call__": read})  # type: ignore[arg-type]
    assert model(7) == (7,)
    assert exporter.names == ["enter", "stop", "exit"]
    assert "a model's result was not read: LookupError" in caplog.text
    assert "secret" not in caplog.text


def test_what_is_traced_passes_through() -> None:
    exporter = ExporterDouble()
    seen: list[object] = []

    def traced(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        seen.append((args, kwargs))
        return True

    model = measured(exporter, traced=traced)
    assert model(1) == (1,)
    assert model.predict([1], scale=2) == [2]
    assert exporter.log == []
    assert seen == [((1,), {}), (([1],), {"scale": 2})]


def test_arguments_that_cannot_be_looked_at_are_measured(caplog: pytest.LogCaptureFixture) -> None:
    def traced(args: object, kwargs: object) -> bool:
        raise TypeError("mixed keys")

    exporter = ExporterDouble()
    assert measured(exporter, traced=traced)({1: 2, "a": 3}) == ({1: 2, "a": 3},)
    assert exporter.names[0] == "enter"
    assert "a model's arguments were not looked at: TypeError" in caplog.text


def test_an_object_whose_call_is_not_measured() -> None:
    exporter = ExporterDouble()
    model = Measured(Model(), exporter, {})  # type: ignore[arg-type]
    assert model(1) == (1,)
    assert exporter.log == []


def test_the_proxy_is_its_target() -> None:
    target = Model()
    model = measured(ExporterDouble(), target)
    assert isinstance(model, Model)
    assert model.__wrapped__ is target is unwrapped(model) is unwrapped(target)
    assert (len(model), list(model), model[1], "first" in model, bool(model)) == (
        2,
        ["first", "second"],
        "second",
        True,
        True,
    )
    model.bias = 2
    model.more = 3
    assert (target.bias, vars(target)["more"], vars(model)) == (2, 3, vars(target))
    del model.more
    assert not hasattr(target, "more")
    assert model.train() is model
    assert {"predict", "bias", "exporter"} <= set(dir(model))
    assert (repr(model), str(model), f"{model}") == (repr(target),) * 3
    assert weakref.ref(model)() is model
    assert {model: 1}[model] == 1
    with pytest.raises(AttributeError, match="'Model' object has no attribute 'absent'"):
        _ = model.absent


def test_the_exporter_is_at_hand() -> None:
    exporter: Any = ExporterDouble()
    assert measured(exporter).exporter is exporter


def test_targets_without_a_dictionary() -> None:
    exporter = ExporterDouble()
    assert measured(exporter, len)([1, 2]) == 2
    assert exporter.names[0] == "enter"
    with pytest.raises(TypeError, match="has no len"):
        len(measured(exporter, len))
    assert measured(exporter, len)  # no length, and true all the same


def test_copies_and_pickles_are_of_the_target() -> None:
    target = Model()
    model = measured(ExporterDouble(), target)
    twins: tuple[Any, ...] = (copy.copy(model), copy.deepcopy(model), pickle.loads(pickle.dumps(model)))  # noqa: S301
    for twin in twins:
        assert type(twin) is Model
        assert twin is not target
        assert vars(twin) == vars(target)
    holder: dict[str, Any] = {"a": model, "b": model}
    assert type(copy.deepcopy(holder)["a"]) is Model


def test_an_exporter_or_the_options_of_one() -> None:
    options = {"model_name": "m", "model_version": "1", "tenant_id": "t"}
    registry = CollectorRegistry()
    made = exporter_for("pytorch", "2.9", None, {**options, "registry": registry})
    assert exporter_for("pytorch", "2.9", made, {}) is made
    with pytest.raises(ValueError, match=r"not both \(got also model_name\)"):
        exporter_for("pytorch", "2.9", made, {"model_name": "m"})
    with pytest.raises(TypeError, match="tenant_id"):
        exporter_for("pytorch", "2.9", None, {"model_name": "m", "model_version": "1"})
    other = CollectorRegistry()
    exporter_for("sklearn", "1.7", None, {**options, "framework": "xgboost", "registry": other})
    infos = [
        sample.labels
        for each in (registry, other)
        for family in each.collect()
        for sample in family.samples
        if sample.name == "model_info"
    ]
    assert [(info["framework"], info["framework_version"]) for info in infos] == [
        ("pytorch", "2.9"),
        ("xgboost", ""),
    ]


@pytest.mark.slow
def test_nothing_is_imported_that_is_not_used() -> None:
    code = (
        "import sys, modelplane_exporter.frameworks, modelplane_exporter.frameworks.layers; "
        "print({'numpy', 'torch', 'tensorflow', 'jax', 'onnxruntime', 'sklearn'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_a_real_exporter_takes_what_is_read() -> None:
    registry = CollectorRegistry()
    exporter = ModelMetricsExporter(
        "m", "1", "t", "numpy", confidence=None, baseline=TABLE, registry=registry
    )
    reader = Reader(NUMPY, "logits", None, TABLE)
    model = Measured(lambda rows: rows * 2, exporter, {"__call__": lambda a, k, r: reader.read(a[0], r)})
    model(np.ones((4, 2)))
    samples = {
        (sample.name, sample.labels.get("signal"), sample.labels.get("outcome")): sample.value
        for family in registry.collect()
        for sample in family.samples
    }
    assert samples["model_inference_items_total", None, None] == 4
    assert samples["model_prediction_confidence_count", None, None] == 4
    assert samples["model_inference_requests_total", None, "success"] == 1
