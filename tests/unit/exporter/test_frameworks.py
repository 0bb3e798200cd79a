"""The proxy that measures, and what is read from calls, without any framework."""

from __future__ import annotations

import copy
import inspect
import math
import pickle
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from prometheus_client import CollectorRegistry

from modelplane_exporter import ModelMetricsExporter
from modelplane_exporter.baseline import Baseline
from modelplane_exporter.frameworks import layers
from modelplane_exporter.frameworks.measured import Measured, exporter_for, unwrapped
from modelplane_exporter.frameworks.numpy_arrays import NUMPY
from modelplane_exporter.frameworks.readings import Output, Reader, Reading, first_input, rows_of


class CallDouble:
    def __init__(self, log: list[tuple[str, Any]]) -> None:
        self.log = log

    def __enter__(self) -> CallDouble:
        self.log.append(("enter", None))
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.log.append(("exit", error))

    def stop(self) -> None:
        self.log.append(("stop", None))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda value: self.log.append((name, value))


class ExporterDouble:
    """Notes what it is told, in order."""

    def __init__(self, baseline: Baseline | None = None) -> None:
        self.baseline = baseline
        self.log: list[tuple[str, Any]] = []
        self.current: CallDouble | None = None

    def track(self) -> CallDouble:
        return CallDouble(self.log)

    def current_call(self) -> CallDouble | None:
        return self.current

    def activations(self, values: Mapping[str, object]) -> None:
        self.log.append(("activations", values))

    def sampling(self, kind: str, ratio: float) -> None:
        self.log.append((kind, ratio))

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.log]


class Model:
    """A model with what frameworks' objects have."""

    layers = ("first", "second")

    def __init__(self) -> None:
        self.bias = 1

    def __call__(self, *given: Any, fail: bool = False) -> Any:
        if fail:
            raise ValueError("refused")
        return given

    def predict(self, rows: Any, *, scale: int = 1) -> Any:
        """Predict rows."""
        return [scale] * len(rows)

    def train(self) -> Model:
        return self

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[str]:
        return iter(self.layers)

    def __getitem__(self, index: int) -> str:
        return self.layers[index]

    def __contains__(self, name: object) -> bool:
        return name in self.layers


READING = Reading(items=2, confidence=[0.5, 0.6], prediction=["a", "b"], features={"age": 3})


def measured(
    exporter: ExporterDouble, target: Any = None, reading: Reading = READING, **options: Any
) -> Measured:
    readers = {name: lambda args, kwargs, result: reading for name in ("__call__", "predict")}
    return Measured(target or Model(), exporter, readers, **options)  # type: ignore[arg-type]


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
    seen = []
    model = measured(exporter, traced=lambda args, kwargs: seen.append((args, kwargs)) is None)
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
    assert repr(model) == f"Measured({target!r})"
    assert weakref.ref(model)() is model
    assert {model: 1}[model] == 1
    with pytest.raises(AttributeError, match="'Model' object has no attribute 'absent'"):
        _ = model.absent


def test_the_exporter_is_at_hand() -> None:
    exporter = ExporterDouble()
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
    twins = (copy.copy(model), copy.deepcopy(model), pickle.loads(pickle.dumps(model)))  # noqa: S301
    for twin in twins:
        assert type(twin) is Model
        assert twin is not target
        assert vars(twin) == vars(target)
    holder = {"a": model, "b": model}
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


# What is read


def fitted(**groups: Any) -> Baseline:
    return Baseline.fit("m", **groups)


TABLE = fitted(features={"age": [1.0, 2.0, 3.0], "height": [1.0, 2.0, 3.0]})
finite = st.floats(-50, 50)


def naive(row: list[float], output: Output) -> tuple[float, int]:
    """Confidence and class of a row by the textbook, in Python's floats."""
    index = int(row[0] > (0.5 if output == "probabilities" else 0)) if len(row) == 1 else row.index(max(row))
    if output == "logits":
        exponentials = [math.exp(value) for value in row]
        row = (
            [value / sum(exponentials) for value in exponentials]
            if len(row) > 1
            else [1 / (1 + math.exp(-row[0]))]
        )
    if len(row) == 1:
        return max(row[0], 1 - row[0]), index
    return max(row), index


@given(arrays.arrays(np.float64, st.tuples(st.integers(1, 6), st.integers(1, 5)), elements=finite))
def test_logits_by_the_textbook(scores: np.ndarray) -> None:
    wanted = [naive(row, "logits") for row in scores.tolist()]
    assert NUMPY.confidence(scores, "logits").tolist() == pytest.approx([one for one, _ in wanted], rel=1e-9)
    assert NUMPY.winner(scores, "logits").tolist() == [index for _, index in wanted]


@given(arrays.arrays(np.float64, st.tuples(st.integers(1, 6), st.integers(1, 5)), elements=st.floats(0, 1)))
def test_probabilities_by_the_textbook(scores: np.ndarray) -> None:
    wanted = [naive(row, "probabilities") for row in scores.tolist()]
    assert NUMPY.confidence(scores, "probabilities").tolist() == [one for one, _ in wanted]
    assert NUMPY.winner(scores, "probabilities").tolist() == [index for _, index in wanted]


@given(arrays.arrays(np.float32, (3, 4), elements=st.floats(width=32)))
def test_any_logits_give_a_probability_or_nan(scores: np.ndarray) -> None:
    found = NUMPY.confidence(scores, "logits")
    assert (np.isnan(found) | ((found >= 0.2) & (found <= 1))).all()


@pytest.mark.parametrize(
    ("shape", "result_shape", "items", "confidences"),
    [
        ((5, 4), (5, 3), 5, 5),
        ((5, 4), (5, 1), 5, 5),
        ((5, 4), (5,), 5, 5),
        ((5, 2, 2), (5, 3), 5, 5),
        ((4,), (3,), 1, 1),
        ((4,), (), 1, 1),
        ((7, 4), (2, 3), 7, 2),
        ((), (3,), 3, 3),
    ],
)
def test_shapes(shape: tuple[int, ...], result_shape: tuple[int, ...], items: int, confidences: int) -> None:
    reading = Reader(NUMPY, "logits").read(np.zeros(shape), np.zeros(result_shape))
    assert (reading.items, len(reading.confidence)) == (items, confidences)


def test_more_axes_have_no_confidence() -> None:
    assert Reader(NUMPY, "logits").read(np.zeros((2, 3)), np.zeros((2, 5, 7))) == Reading(items=2)


def test_without_an_output_only_items_are_read() -> None:
    assert Reader(NUMPY).read(np.zeros((5, 4)), np.zeros((5, 3))) == Reading(items=5)
    assert Reader(NUMPY).read(None, np.zeros((5, 3))) == Reading(items=5)
    assert Reader(NUMPY).read(None, None) == Reading()
    assert Reader(NUMPY, "logits").read(np.zeros((5, 4)), {"text": "a"}) == Reading(items=5)


def test_the_output_is_found_in_results() -> None:
    scores, other = np.eye(3), np.zeros((3, 9, 9))

    class Answer:
        logits = scores

    for result in ({"loss": 0.1, "hidden": other, "logits": scores}, (scores, other), [1, scores], Answer()):
        assert Reader(NUMPY, "logits").read(scores, result).confidence == pytest.approx([0.5761169] * 3)


def test_predictions() -> None:
    names, numbers = fitted(prediction=["a", "b", "c"]), fitted(prediction=[1.0, 2.0, 3.0])
    scores = np.array([[0.1, 0.2, 0.7], [0.8, 0.1, 0.1]])
    read = Reader(NUMPY, "probabilities", ("a", "b", "c"), names).read
    assert read(scores, scores).prediction == ["c", "a"]
    assert Reader(NUMPY, "probabilities", None, names).read(scores, scores).prediction.tolist() == [2, 0]
    assert Reader(NUMPY, "probabilities", ("no", "yes"), names).read(scores, scores[:, 2]).prediction == [
        "yes",
        "no",
    ]
    assert Reader(NUMPY, None, None, names).read(scores, ["x", "y"]).prediction == ["x", "y"]
    assert Reader(NUMPY, None, None, numbers).read(scores, scores[:, :1]).prediction.tolist() == [0.1, 0.8]
    assert Reader(NUMPY, None, None, numbers).read(scores, scores).prediction is None
    assert Reader(NUMPY, "probabilities", None, None).read(scores, scores).prediction is None
    assert Reader(NUMPY, "probabilities", None, TABLE).read(scores, scores).prediction is None


def test_features_are_read_from_tables_only() -> None:
    read = Reader(NUMPY, baseline=TABLE).read
    frame = type("Frame", (), {"columns": ["age"], "shape": (3, 1)})()
    tables = (
        np.zeros((3, 2)),
        [[1, 2], [3, 4]],
        {"age": [1, 2]},
        {"age": 3, "unknown": 1},
        frame,
        np.zeros(2),
    )
    for table in tables:
        assert read(table, None).features is table
    assert [read(table, None).items for table in tables] == [3, 2, 2, 1, 3, 1]
    for given_ in (
        np.zeros((3, 4)),
        np.zeros((2, 2, 2)),
        {"input_ids": np.zeros((3, 2))},
        None,
        "text",
        1.0,
        [],
    ):
        assert read(given_, None).features is None
    assert Reader(NUMPY).read(np.zeros((3, 2)), None).features is None


def test_a_single_feature_is_a_column() -> None:
    one = fitted(features={"age": [1.0, 2.0]})
    reading = Reader(NUMPY, baseline=one).read(np.zeros(6), None)
    assert (reading.items, len(reading.features)) == (6, 6)


def test_bad_readers() -> None:
    with pytest.raises(
        ValueError, match=r"output must be None or one of probabilities, logits \(got 'scores'\)"
    ):
        Reader(NUMPY, "scores")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="classes must be a sequence of names"):
        Reader(NUMPY, "logits", "abc")


def test_inputs_and_rows() -> None:
    generator = iter([1])
    array = np.zeros((3, 2))
    assert first_input((1, generator, "text", array), {}) is array
    assert first_input((), {"training": False, "x": array}) is array
    assert first_input((generator,), {}) is None
    assert list(generator) == [1]
    cases = (
        (array, 3),
        ([1, 2], 2),
        ((array, 1), 3),
        ({"x": array}, 3),
        ({}, None),
        ((), None),
        (np.zeros(()), None),
    )
    assert [rows_of(value) for value, _ in cases] == [wanted for _, wanted in cases]
    odd = type("Odd", (), {"shape": lambda self: (3,)})()  # such as an OrtValue
    assert rows_of(odd) is None


# Layers


class WatchDouble:
    """A watch over summaries that are lists already; every second call is sampled."""

    def __init__(self) -> None:
        self.reports: list[Mapping[str, float]] = []
        turns = iter(range(1000))
        self.watch = layers.Watch(lambda: next(turns) % 2 == 0, self.summary, list, self.reports.append)

    def summary(self, returned: Any) -> Any:
        if isinstance(returned, Exception):
            raise returned
        return returned


def test_a_watch_reports_sampled_calls() -> None:
    double = WatchDouble()
    watch = double.watch
    watch.observe("a", [9, 9])  # called by itself, outside of the model
    watch.finish()
    for _ in range(3):
        watch.begin()
        watch.observe("a", [1.0, 0.5])
        watch.observe("b", None)
        watch.observe("a", [3.0, 0.0])
        watch.finish()
    assert double.reports == [{"a/mean_absolute": 2.0, "a/zero_ratio": 0.25}] * 2


def test_a_watch_raises_nothing(caplog: pytest.LogCaptureFixture) -> None:
    double = WatchDouble()
    double.watch.begin()
    double.watch.observe("a", ValueError("secret"))
    double.watch.observe("b", [1.0])
    double.watch.finish()
    assert "a layer was not observed: ValueError" in caplog.text
    assert "layers were not observed: ValueError" in caplog.text


def test_threads_have_calls_of_their_own() -> None:
    double = WatchDouble()
    double.watch.begin()
    other = threading.Thread(target=lambda: double.watch.observe("other", [1.0, 1.0]))
    other.start()
    other.join()
    double.watch.observe("a", [1.0, 1.0])
    double.watch.finish()
    assert list(double.reports[0]) == ["a/mean_absolute", "a/zero_ratio"]


def test_removing_undoes_once_and_backwards() -> None:
    undone: list[int] = []
    with WatchDouble().watch as watch:
        for number in range(3):
            watch.undo_with(lambda number=number: undone.append(number))  # type: ignore[misc]
        watch.remove()
    assert undone == [2, 1, 0]


def test_activations_go_to_the_current_call_or_the_exporter() -> None:
    exporter = ExporterDouble()
    report = layers.to_exporter(exporter)  # type: ignore[arg-type]
    report({"a/zero_ratio": 1.0})
    assert exporter.log == [("activations", {"a/zero_ratio": 1.0})]
    joined: list[tuple[str, Any]] = []
    exporter.current = CallDouble(joined)
    report({"a/zero_ratio": 0.0})
    assert joined == [("activations", {"a/zero_ratio": 0.0})]


def test_one_call_of_every_block_is_sampled_and_shown() -> None:
    exporter = ExporterDouble(fitted(activations={"a/zero_ratio": [0.0, 1.0]}))
    take = layers.sampled(exporter, ["a"], 10)  # type: ignore[arg-type]
    assert exporter.log == [("activation", 0.1)]
    assert all(sum(take() for _ in range(10)) == 1 for _ in range(20))


def test_bad_watches() -> None:
    exporter: Any = ExporterDouble(fitted(activations={"a/zero_ratio": [0.0, 1.0]}))
    for every in (0, -1, 2.5, "3"):
        with pytest.raises(ValueError, match="every must be a whole number from 1 on"):
            layers.sampled(exporter, ["a"], every)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no activation signals of layer 'b'"):
        layers.sampled(exporter, ["a", "b"], 1)
    bare: Any = ExporterDouble()
    with pytest.raises(ValueError, match="no activation signals of layer 'a'"):
        layers.sampled(bare, ["a"], 1)
    with pytest.raises(ValueError, match="exporter is required"):
        layers.exporter_of(Model(), None)
    assert layers.exporter_of(measured(exporter), None) is exporter
    assert exporter.log == []


def test_layer_names() -> None:
    known = {"layer4.0.conv1": 1, "layer4.0.conv2": 2, "fc": 3}
    assert layers.named(["fc"], known) == {"fc": 3}
    with pytest.raises(
        ValueError, match=r"no layer 'layer4.0.conv3'; close names: 'layer4.0.conv\d', 'layer4.0.conv\d'$"
    ):
        layers.named(["layer4.0.conv3"], known)
    with pytest.raises(ValueError, match=r"close names: 'layer4\.0\.conv1'"):
        layers.named(["zzz"], known)
    for names in ([], "fc"):
        with pytest.raises(ValueError, match="names must be a list of at least one layer"):
            layers.named(names, known)


def test_collected_columns() -> None:
    collected = layers.Collected()
    collected.add({"a/mean_absolute": 1.0, "a/zero_ratio": 0.5})
    collected.add({})
    columns = collected.columns(["a"])
    np.testing.assert_array_equal(columns["a/mean_absolute"], [1.0, np.nan])
    np.testing.assert_array_equal(columns["a/zero_ratio"], [0.5, np.nan])


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
