"""The ONNX Runtime wrapper with the real framework."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
from checking import Series, baseline, close, edges, main, raises
from onnx import TensorProto, helper
from skl2onnx import to_onnx
from sklearn.datasets import load_iris
from sklearn.linear_model import LinearRegression, LogisticRegression

from modelplane_exporter.frameworks import onnxruntime as wrapper
from modelplane_exporter.frameworks.readings import Output

ROWS, LABELS = load_iris(return_X_y=True)
ROWS = ROWS.astype(np.float32)
SPECIES = np.array(["setosa", "versicolor", "virginica"])[LABELS]


def session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options)


def classifier(labels: Any = LABELS, **options: Any) -> onnxruntime.InferenceSession:
    model = LogisticRegression(max_iter=1000).fit(ROWS, labels)
    return session(to_onnx(model, ROWS[:1], options=options))


def graph(*nodes: Any, inputs: dict[str, int], output: str) -> onnxruntime.InferenceSession:
    """A session of ``nodes``; ``inputs`` maps names to widths."""
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, width])
        for name, width in inputs.items()
    ]
    result = helper.make_tensor_value_info(output, TensorProto.FLOAT, [None, None])
    made = helper.make_graph(nodes, "checks", values, [result])
    opsets = [helper.make_opsetid("", 17)]
    return session(helper.make_model(made, opset_imports=opsets, ir_version=9))


def check_probabilities() -> None:
    for options in ({"zipmap": False}, {"zipmap": True}):
        series, bare = Series(), classifier(**options)
        model = wrapper.wrap(bare, **series.options)
        labels, result = model.run(None, {"X": ROWS})
        wanted = bare.run(None, {"X": ROWS})
        assert np.array_equal(labels, wanted[0])
        assert type(result) is type(wanted[1])
        array = np.array([list(row.values()) for row in result]) if options["zipmap"] else result
        close(series.confidences(), (150, float(array.max(axis=1).sum())), 1e-3)
        assert (series.requests(), series.items()) == (1, 150)
        assert series.labels("model_info")["framework_version"] == onnxruntime.__version__


def check_chosen_outputs() -> None:
    series = Series()
    model = wrapper.wrap(classifier(zipmap=False), **series.options)
    model.run(["probabilities"], {"X": ROWS[:3]})
    model.run(output_names=["label"], input_feed={"X": ROWS[:4]})
    assert (series.requests(), series.items(), series.confidences()[0]) == (2, 7, 3)


def check_logits() -> None:
    bare = graph(helper.make_node("Identity", ["X"], ["scores"]), inputs={"X": 3}, output="scores")
    outputs: tuple[tuple[Output | None, int], ...] = (("logits", 2), (None, 0))
    for output, wanted in outputs:
        series = Series()
        wrapper.wrap(bare, output=output, **series.options).run(None, {"X": ROWS[:2, :3]})
        assert (series.items(), series.confidences()[0]) == (2, wanted)
        assert series.invalid() == {}
    exact = np.exp(ROWS[:2, :3].astype(float))
    series = Series()
    wrapper.wrap(bare, output="logits", **series.options).run(None, {"X": ROWS[:2, :3]})
    close(series.confidences(), (2, float((exact / exact.sum(axis=1, keepdims=True)).max(axis=1).sum())))


def check_features_and_labels() -> None:
    columns = {f"f{index}": ROWS[:, index] for index in range(4)}
    for labels in (LABELS, SPECIES):
        fitted = baseline(features=columns, prediction=labels.astype(str))
        series = Series(baseline=fitted)
        wrapper.wrap(classifier(labels, zipmap=False), **series.options).run(None, {"X": ROWS})
        assert series.observed("output", "prediction", str(labels[0])) == 50
        signal = fitted.of_kind("input")[2]
        counts = np.histogram(ROWS[:, 2].astype(float), [-np.inf, *edges(signal), np.inf])[0]
        assert series.histogram("input", "f2") == counts.tolist()
        assert series.invalid() == {}


def check_named_inputs() -> None:
    series = Series(baseline=baseline(features={"a": ROWS[:, 0], "b": ROWS[:, 1]}))
    bare = graph(helper.make_node("Add", ["a", "b"], ["sum"]), inputs={"a": 1, "b": 1}, output="sum")
    wrapper.wrap(bare, **series.options).run(None, {"a": ROWS[:5, [0]], "b": ROWS[:5, [1]]})
    assert series.observed("input", "a") == 5
    assert series.observed("input", "b", "__missing__") == 0
    assert series.items() == 5
    assert series.invalid() == {}


def check_classes_and_regression() -> None:
    bare = graph(helper.make_node("Identity", ["X"], ["scores"]), inputs={"X": 3}, output="scores")
    series = Series(baseline=baseline(prediction=np.array(["a", "b", "c"])))
    model = wrapper.wrap(bare, output="logits", classes=("a", "b", "c"), **series.options)
    model.run(None, {"X": np.eye(3, dtype=np.float32)[[1, 1, 2]]})
    assert [series.observed("output", "prediction", name) for name in "abc"] == [0, 2, 1]
    regression = session(to_onnx(LinearRegression().fit(ROWS[:, :3], ROWS[:, 3]), ROWS[:1, :3]))
    series = Series(baseline=baseline(prediction=ROWS[:, 3]))
    wrapper.wrap(regression, **series.options).run(None, {"X": ROWS[:, :3]})
    assert series.observed("output", "prediction") == 150
    assert series.observed("output", "prediction", "__missing__") == 0


def check_the_rest_is_the_session() -> None:
    series, bare = Series(), classifier(zipmap=False)
    model = wrapper.wrap(bare, **series.options)
    assert isinstance(model, onnxruntime.InferenceSession)
    assert [described.name for described in model.get_inputs()] == ["X"]
    assert model.get_providers() == bare.get_providers()
    value = onnxruntime.OrtValue.ortvalue_from_numpy(ROWS[:2])
    model.run_with_ort_values(["label"], {"X": value})
    assert series.requests() == 0
    model.run(None, {"X": value})
    assert (series.requests(), series.items()) == (1, 2)
    raises(Exception, "Got invalid dimensions", lambda: model.run(None, {"X": ROWS[:, :2]}))
    raises(TypeError, "input_feed", lambda: model.run(None))
    assert series.requests("failure") == 2


if __name__ == "__main__":
    main(globals())
