"""Watched layers: which calls, which layers, what is reported."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from exporter_support.framework_doubles import CallDouble, ExporterDouble, Model, fitted, measured
from modelplane_exporter.frameworks import layers


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
    assert exporter.log == []
    assert layers.exporter_of(measured(exporter), None) is exporter


def test_layer_names() -> None:
    known = {"layer4.0.conv1": 1, "layer4.0.conv2": 2, "fc": 3}
    assert layers.named(["fc"], known) == {"fc": 3}
    with pytest.raises(
        ValueError, match=r"no layer 'layer4.0.conv3'; close names: 'layer4.0.conv\d', 'layer4.0.conv\d'$"
    ):
        layers.named(["layer4.0.conv3"], known)
    with pytest.raises(ValueError, match=r"close names: 'layer4\.0\.conv1'"):
        layers.named(["zzz"], known)
    refused: tuple[Any, ...] = ([], "fc")
    for names in refused:
        with pytest.raises(ValueError, match="names must be a list of at least one layer"):
            layers.named(names, known)


def test_collected_columns() -> None:
    collected = layers.Collected()
    collected.add({"a/mean_absolute": 1.0, "a/zero_ratio": 0.5})
    collected.add({})
    columns = collected.columns(["a"])
    np.testing.assert_array_equal(columns["a/mean_absolute"], [1.0, np.nan])
    np.testing.assert_array_equal(columns["a/zero_ratio"], [0.5, np.nan])
