"""Methods of a measured model: which are measured, what is said of the others, and what a caller sees."""

from __future__ import annotations

import asyncio
import gc
import inspect
import logging
import pickle
import weakref
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from concurrent.futures import Future
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from modelplane_exporter import ModelMetricsExporter
from modelplane_exporter.frameworks.measured import Measured, exporter_of, readers_of, require_methods
from modelplane_exporter.frameworks.numpy_arrays import NUMPY
from modelplane_exporter.frameworks.readings import Reader, first_input

METHODS = ("embed", "agenerate", "stream", "astream", "submit", "later", "score_text", "static")


class Model:
    """A model of language."""

    def __init__(self) -> None:
        self.score_text: Callable[[str], float] = lambda text: 0.5
        self.exporter_of_the_team = None
        self.future: Future[int] = Future()

    def embed(self, texts: list[str], *, size: int = 1) -> list[list[int]]:
        """Embed texts."""
        return [[size] for _ in texts]

    async def agenerate(self, text: str) -> str:
        return text

    def stream(self, text: str) -> Generator[str, str, str]:
        yield (yield text)
        return "end"

    async def astream(self, text: str) -> AsyncGenerator[str, str]:
        yield (yield text)

    def submit(self, text: str) -> Future[int]:
        return self.future

    def later(self, text: str) -> Iterator[str]:
        return self.stream(text)

    @staticmethod
    def static(x: int) -> int:
        return x

    def other(self) -> int:
        return 1

    async def aother(self) -> int:
        return 2

    def warm_up(self) -> Model:
        return self

    def get_state(self) -> dict[str, int]:
        return {}


class Series:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.exporter = ModelMetricsExporter("m", "1", "t", "hf", confidence=None, registry=self.registry)

    def wrap(self, target: Any, methods: tuple[str, ...] = METHODS, **options: Any) -> Any:
        require_methods(target, methods)
        readers = readers_of(methods, Reader(NUMPY), first_input)
        return Measured(target, self.exporter, readers, **options)

    def value(self, name: str, **labels: str) -> float:
        identity = {"model_name": "m", "model_version": "1", "tenant_id": "t", "framework": "hf"}
        return self.registry.get_sample_value(name, {**identity, **labels}) or 0

    def requests(self, outcome: str = "success") -> float:
        return self.value("model_inference_requests_total", outcome=outcome)


@pytest.fixture
def series() -> Series:
    return Series()


def test_methods_of_every_kind_are_measured_to_their_end(series: Series) -> None:
    target = Model()
    model = series.wrap(target)

    async def use() -> list[str]:
        running = model.astream("a")
        return [
            await model.agenerate("x"),
            await anext(running),
            await running.asend("b"),
            await close(running),
        ]

    async def close(running: AsyncGenerator[str, str]) -> str:
        return "".join([item async for item in running])

    assert asyncio.run(use()) == ["x", "a", "b", ""]
    assert series.requests() == 2
    for running in (model.stream("a"), model.later("a")):
        assert (next(running), running.send("b")) == ("a", "b")
        with pytest.raises(StopIteration, match="end"):
            next(running)
    assert series.requests() == 4
    assert model.submit("a") is target.future
    assert series.value("model_active_inference_requests") == 1
    target.future.set_exception(KeyError())
    assert series.requests("failure") == 1
    assert model.embed(["a", "b", "c"], size=2) == [[2]] * 3
    assert (model.score_text("a"), model.static(3)) == (0.5, 3)
    assert series.requests() == 7
    assert series.value("model_inference_items_total") == 6 + 3
    assert series.value("model_time_to_first_token_seconds_count") == 3


def test_a_measured_method_looks_like_the_bare_one(series: Series) -> None:
    target = Model()
    model = series.wrap(target)
    for name in ("embed", "agenerate", "stream", "astream", "other", "aother", "warm_up"):
        measured, bare = getattr(model, name), getattr(target, name)
        for kind in (inspect.ismethod, inspect.iscoroutinefunction, inspect.isgeneratorfunction,
                     inspect.isasyncgenfunction, callable):  # fmt: skip
            assert kind(measured) == kind(bare), (name, kind)
        for attribute in ("__name__", "__qualname__", "__doc__", "__module__", "__func__"):
            assert getattr(measured, attribute) == getattr(bare, attribute), (name, attribute)
        assert inspect.signature(measured) == inspect.signature(bare)
        assert measured.__self__ is model
        assert measured == getattr(model, name)
        assert getattr(type(model), name) is getattr(Model, name)
    assert not callable(model)
    assert (model.__doc__, type(model).__name__, type(model).__module__) == (
        "A model of language.",
        "Model",
        __name__,
    )


def test_a_method_of_an_unmeasured_kind_is_named_once(
    series: Series, caplog: pytest.LogCaptureFixture
) -> None:
    model = series.wrap(Model(), ("embed",), housekeeping=("warm_up",))
    assert caplog.messages == []
    assert (model.other(), model.other(), asyncio.run(model.aother())) == (1, 1, 2)
    assert model.warm_up() is model
    model.get_state()
    model.embed(["a"])
    assert caplog.messages == [
        f"calls of Model.{name} are not measured; name them in methods= of wrap() if they run the model"
        for name in ("other", "aother")
    ]
    assert {record.levelno for record in caplog.records} == {logging.WARNING}
    assert series.requests() == 1


def test_inside_of_a_measured_call_nothing_is_said(series: Series, caplog: pytest.LogCaptureFixture) -> None:
    model = series.wrap(Model())
    with series.exporter.track():
        model.other()
        assert list(model.stream("a")) == ["a", None]
        assert asyncio.run(model.agenerate("a")) == "a"
    assert caplog.messages == []
    assert series.requests() == 1
    assert series.value("model_time_to_first_token_seconds_count") == 1


def test_a_pickled_method_says_that_it_is_bare(series: Series, caplog: pytest.LogCaptureFixture) -> None:
    model = series.wrap(Table(), ("rows",))
    for _ in range(2):
        assert pickle.loads(pickle.dumps(model.rows))(2) == [0, 1]  # noqa: S301
    assert caplog.messages == [
        "Table.rows was pickled: where it is loaded it is not measured; wrap the model there"
    ]
    assert pickle.loads(pickle.dumps(model)).rows(1) == [0]  # noqa: S301
    assert len(caplog.messages) == 1
    assert series.requests() == 0


class Table:
    def rows(self, count: int) -> list[int]:
        return list(range(count))


def test_methods_that_are_not_there_are_refused(series: Series) -> None:
    with pytest.raises(ValueError, match=r"methods must be a list of names, such as methods=\('embed',\)"):
        require_methods(Model(), "embed")
    with pytest.raises(ValueError, match="methods: Model has no method 'embedd'; close names: 'embed'"):
        series.wrap(Model(), ("embedd",))
    with pytest.raises(ValueError, match="has no method 'exporter_of_the_team'"):
        series.wrap(Model(), ("exporter_of_the_team",))


def test_an_attribute_of_the_target_comes_first(series: Series) -> None:
    target: Any = Model()
    model: Any = series.wrap(target)
    before = model.exporter
    target.exporter = "its own"
    assert (before is series.exporter, getattr(model, "exporter")) == (True, "its own")  # noqa: B009 - of mypy
    assert exporter_of(model) is series.exporter


def test_a_method_that_was_replaced_is_measured(series: Series) -> None:
    model = series.wrap(Model())
    model.embed = lambda texts: "replaced"
    assert model.embed(["a"]) == "replaced"
    model.score_text = lambda text: 0.7
    assert model.score_text("a") == 0.7
    assert series.requests() == 2


def test_a_model_that_nobody_holds_is_freed_at_once(series: Series) -> None:
    target = Model()
    model = series.wrap(target)
    model.embed(["a"])
    model.warm_up().other()
    model.score_text("a")
    freed = weakref.ref(target)
    gc.disable()
    try:
        del model, target
        assert freed() is None
    finally:
        gc.enable()
