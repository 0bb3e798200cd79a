"""The TensorFlow wrapper with the real framework."""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import copy
import tempfile
import threading
from typing import Any

import numpy as np
import tensorflow as tf
from checking import Series, baseline, close, edges, main, raises, table
from tensors import check_as_confidences, check_in_expressions

from modelplane_exporter.frameworks import tensorflow as wrapper

tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)
layers = tf.keras.layers


def sequential(last: str | None = "softmax", units: int = 3) -> tf.keras.Model:
    tf.keras.utils.set_random_seed(0)
    return tf.keras.Sequential(
        [
            layers.Input((4,)),
            layers.Dense(8, activation="relu", name="hidden"),
            layers.Dense(units, last, name="last"),
        ]
    )


def functional(last: str | None = "softmax") -> tf.keras.Model:
    tf.keras.utils.set_random_seed(0)
    given = layers.Input((4,))
    hidden = layers.Dense(8, activation="relu", name="hidden")(given)
    return tf.keras.Model(given, layers.Dense(3, last, name="last")(hidden))


class Subclassed(tf.keras.Model):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.hidden = layers.Dense(8, activation="relu", name="hidden")
        self.last = layers.Dense(3, activation="softmax", name="last")

    def call(self, given: tf.Tensor) -> tf.Tensor:
        return self.last(self.hidden(given))


def rows(count: int = 5) -> np.ndarray:
    return np.random.default_rng(count).normal(size=(count, 4)).astype(np.float32)


def check_call_predict_and_batch() -> None:
    for bare in (sequential(), functional()):
        series = Series()
        model = wrapper.wrap(bare, **series.options)
        result = model(rows(), training=False)
        assert np.array_equal(result, bare(rows()))
        total = float(tf.reduce_sum(tf.reduce_max(result, axis=1)))
        close(series.confidences(), (5, total))
        assert np.allclose(model.predict(rows(), verbose=0), result)
        assert np.allclose(model.predict_on_batch(rows()), result)
        close(series.confidences(), (15, 3 * total), 1e-4)
        assert (series.requests(), series.items()) == (3, 15)
        assert series.labels("model_info")["framework_version"] == tf.__version__
        assert series.invalid() == {}


def check_recognised_outputs() -> None:
    binary = sequential("sigmoid", 1)
    activation = tf.keras.Sequential([layers.Input((4,)), layers.Dense(3), layers.Activation("softmax")])
    softmax = tf.keras.Sequential([layers.Dense(3), layers.Softmax()])
    unbuilt = tf.keras.Sequential([layers.Dense(1, "sigmoid")])
    for model in (binary, activation, softmax, unbuilt):
        series = Series()
        wrapper.wrap(model, **series.options)(rows())
        assert series.confidences()[0] == 5, model
    given = layers.Input((4,))
    two = tf.keras.Model(given, [layers.Dense(3, "softmax")(given), layers.Dense(3, "softmax")(given)])
    for model in (sequential(None), sequential("sigmoid", 3), Subclassed(), two):
        series = Series()
        wrapper.wrap(model, **series.options)(rows())
        assert series.confidences()[0] == 0, model
        assert series.items() == 5
        assert series.invalid() == {}


def check_logits() -> None:
    for units in (1, 3):
        series = Series()
        result = wrapper.wrap(sequential(None, units), output="logits", **series.options)(rows())
        pairs = tf.concat([result, tf.zeros_like(result)], axis=1) if units == 1 else result
        close(series.confidences(), (5, float(tf.reduce_sum(tf.reduce_max(tf.nn.softmax(pairs), axis=1)))))
    series = Series()
    half = tf.keras.Sequential([layers.Activation("linear", dtype="float16")])
    wrapper.wrap(half, output="logits", **series.options)(tf.zeros((2, 4), tf.float16))
    close(series.confidences(), (2, 0.5))


def check_functions_and_signatures() -> None:
    class Module(tf.Module):  # type: ignore[misc]
        @tf.function(  # type: ignore[untyped-decorator]
            input_signature=[tf.TensorSpec((None, 4), tf.float32)]
        )
        def serve(self, rows: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"hidden": rows[:, :1], "probabilities": tf.nn.softmax(rows)}

    module = Module()
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures=module.serve)
        loaded = tf.saved_model.load(folder)
        signature = loaded.signatures["serving_default"]
        for function in (module.serve, signature):
            series = Series()
            model = wrapper.wrap(function, output="probabilities", **series.options)
            result = model(rows=tf.constant(rows()))
            close(
                series.confidences(),
                (5, float(tf.reduce_sum(tf.reduce_max(result["probabilities"], axis=1)))),
            )
            assert (series.requests(), series.items()) == (1, 5)


def check_graphs_and_symbols_pass_through() -> None:
    series = Series()
    model = wrapper.wrap(sequential(), **series.options)
    assert tf.function(lambda given: model(given))(tf.constant(rows())).shape == (5, 3)
    given = layers.Input((4,))
    assert tf.keras.Model(given, model(given))(rows()).shape == (5, 3)
    assert series.requests() == 0
    assert series.invalid() == {}


def check_data_sets_are_not_used_up() -> None:
    series = Series()
    model = wrapper.wrap(sequential(), **series.options)
    batches = iter([rows(2), rows(3)])
    data = tf.data.Dataset.from_generator(
        lambda: batches, output_signature=tf.TensorSpec((None, 4), tf.float32)
    )
    assert model.predict(data, verbose=0).shape == (5, 3)
    assert (series.requests(), series.items(), series.confidences()[0]) == (1, 5, 5)


def check_several_inputs() -> None:
    inputs = {name: layers.Input((1,), name=name) for name in ("age", "height")}
    named = tf.keras.Model(inputs, layers.Dense(1)(layers.Concatenate()(list(inputs.values()))))
    series = Series(baseline=baseline(features={"age": rows(99)[:, 0], "height": rows(99)[:, 1]}))
    model = wrapper.wrap(named, **series.options)
    model({"age": tf.constant(rows(7)[:, :1]), "height": tf.constant(rows(7)[:, 1:2])})
    assert (series.items(), series.observed("input", "height")) == (7, 7)
    assert series.observed("input", "age", "__missing__") == 0
    listed = tf.keras.Model(list(inputs.values()), layers.Concatenate()(list(inputs.values())))
    series = Series()
    wrapper.wrap(listed, **series.options).predict([rows(6)[:, :1], rows(6)[:, :1]], verbose=0)
    assert series.items() == 6


def check_features_and_predictions() -> None:
    fitted = baseline(features=table(4), prediction=np.array(["a", "b", "c"]))
    series = Series(baseline=fitted)
    model = wrapper.wrap(sequential(), classes=["a", "b", "c"], **series.options)
    for result in (model(tf.constant(rows(100))).numpy(), model.predict(rows(100), verbose=0)):
        winners = result.argmax(axis=1)
    for index, name in enumerate("abc"):
        assert series.observed("output", "prediction", name) == 2 * (winners == index).sum()
    signal = fitted.of_kind("input")[1]
    counts = np.histogram(rows(100)[:, 1].astype(float), [-np.inf, *edges(signal), np.inf])[0]
    assert series.histogram("input", "f1") == (2 * counts).tolist()
    assert series.invalid() == {}
    series = Series(baseline=baseline(prediction=np.array(["0", "1"])))
    result = wrapper.wrap(sequential("sigmoid", 1), **series.options)(rows(50)).numpy()
    assert series.observed("output", "prediction", "1") == (result > 0.5).sum()


def check_the_proxy_is_the_model() -> None:
    series, bare = Series(), sequential()
    model = wrapper.wrap(bare, **series.options)
    assert isinstance(model, tf.keras.Model)
    assert model.get_layer("hidden") is bare.layers[0]
    assert len(model.get_weights()) == 4
    model.compile(loss="sparse_categorical_crossentropy")
    model.fit(rows(8), np.zeros(8), verbose=0)
    with tempfile.TemporaryDirectory() as folder:
        model.save(f"{folder}/model.keras")
        loaded = tf.keras.models.load_model(f"{folder}/model.keras")
    assert np.allclose(loaded(rows()), bare(rows()))
    assert series.requests() == 0
    raises(ValueError, "", lambda: model(rows()[:, :2]))
    assert series.requests("failure") == 1


def check_joined_call_and_synchronize() -> None:
    series = Series()
    model = wrapper.wrap(sequential(), synchronize=True, **series.options)
    with model.exporter.track(tenant_id="user-B"):
        model(rows())
    model(rows())
    assert series.requests() == 2
    assert series.value("model_inference_items_total", tenant_id="user-B") == 5


def watched(model: tf.keras.Model, names: list[str]) -> Series:
    return Series(
        baseline=baseline(activations=wrapper.collect_layers(model, names, [rows(2), rows(3), rows(9)]))
    )


def check_collected_layers() -> None:
    model = sequential()
    columns = wrapper.collect_layers(model, ["hidden"], (rows(count) for count in (2, 3)))
    assert list(columns) == ["hidden/mean_absolute", "hidden/zero_ratio"]
    for index, count in enumerate((2, 3)):
        hidden = model.layers[0](rows(count)).numpy()
        close((columns["hidden/mean_absolute"][index],), (float(np.abs(hidden).mean()),))
        close((columns["hidden/zero_ratio"][index],), (float((hidden == 0).mean()),))
    assert "call" not in vars(model)
    assert "call" not in vars(model.layers[0])


def check_watched_layers_of_each_kind_of_model() -> None:
    for bare in (sequential(), functional(), Subclassed()):
        bare(rows())
        series, before = watched(bare, ["hidden", "last"]), bare(rows()).numpy()
        model = wrapper.wrap(bare, **series.options)
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.square(bare(rows())))
        wanted = tape.gradient(loss, bare.trainable_variables)
        with wrapper.watch_layers(model, ["hidden", "last"], every=5):
            for _ in range(25):
                assert np.array_equal(model(rows()), before)
            assert series.observed("activation", "hidden/zero_ratio") == 5
            assert series.observed("activation", "last/mean_absolute") == 5
            assert series.value("modelplane_exporter_sampling_ratio", kind="activation") == 0.2
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(tf.square(bare(rows())))
            got = tape.gradient(loss, bare.trainable_variables)
            assert all(np.array_equal(a, b) for a, b in zip(got, wanted, strict=True))
            # A traced graph is left alone, and its cached function does no harm later.
            assert np.allclose(model.predict(rows(), verbose=0), before, atol=1e-6)
            if not isinstance(bare, Subclassed):  # Keras copies no model that lacks a configuration
                assert np.array_equal(copy.deepcopy(bare)(rows()), before)
        before_removal = series.observed("activation", "hidden/zero_ratio")
        for _ in range(10):
            model(rows())
        assert np.allclose(model.predict(rows(), verbose=0), before, atol=1e-6)
        assert series.observed("activation", "hidden/zero_ratio") == before_removal
        assert "call" not in vars(bare)
        assert series.invalid() == {}


def check_odd_layers() -> None:
    class Pair(tf.keras.layers.Layer):  # type: ignore[misc]
        def call(self, given: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return tf.argmax(given, axis=1), given - given

    inner = sequential()
    given = layers.Input((4,))
    model = tf.keras.Model(given, [*Pair(name="pair")(given), inner(given)])
    names = ["pair", f"{inner.name}/hidden"]
    columns = wrapper.collect_layers(model, names, [rows()])
    assert columns["pair/zero_ratio"].tolist() == [1.0]
    assert columns[f"{inner.name}/hidden/mean_absolute"][0] > 0


def check_watches_of_the_same_layer_in_any_order() -> None:
    bare = sequential()
    series = watched(bare, ["hidden"])
    exporter = series.exporter("tensorflow")
    first, second = (wrapper.watch_layers(bare, ["hidden"], exporter=exporter, every=1) for _ in range(2))
    bare(rows())
    assert series.observed("activation", "hidden/zero_ratio") == 2
    first.remove()
    bare(rows())
    assert series.observed("activation", "hidden/zero_ratio") == 3
    second.remove()
    second.remove()
    bare(rows())
    assert series.observed("activation", "hidden/zero_ratio") == 3


def check_threads_do_not_mix() -> None:
    bare = sequential()
    series = watched(bare, ["hidden", "last"])
    with wrapper.watch_layers(bare, ["hidden", "last"], exporter=series.exporter("tensorflow"), every=1):
        threads = [threading.Thread(target=lambda: [bare(rows()) for _ in range(20)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert series.observed("activation", "hidden/mean_absolute") == 80
    assert series.observed("activation", "last/zero_ratio") == 80


def check_bad_layers() -> None:
    bare = sequential()
    exporter = watched(bare, ["hidden"]).exporter("tensorflow")
    watch: Any = wrapper.watch_layers
    raises(ValueError, "'hidden'", lambda: watch(bare, ["hiden"], exporter=exporter))
    raises(
        ValueError, "no activation signals of layer 'last'", lambda: watch(bare, ["last"], exporter=exporter)
    )
    raises(ValueError, "exporter is required", lambda: watch(bare, ["hidden"]))


def check_tensors() -> None:
    check_in_expressions(tf.constant)
    check_as_confidences(tf.fill((2, 3), 0.5))


if __name__ == "__main__":
    main(globals())
