"""Whatever is decorated behaves as the bare thing, or is refused."""

from __future__ import annotations

import abc
import asyncio
import copy
import functools
import inspect
import pickle
from collections.abc import Callable, Iterator
from types import FunctionType, MethodType
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from exporter_support.llm_series import outcomes
from modelplane_exporter import ModelMetricsExporter

Decorator = Callable[[Any], Any]


class Model:
    """A model."""

    kind = "small"

    def __init__(self) -> None:
        self.bias = 1

    def __call__(self, x: int, *, scale: int = 1) -> int:
        """Infer."""
        return (x + self.bias) * scale

    def __len__(self) -> int:
        return 0

    def __enter__(self) -> Model:
        return self

    def __exit__(self, *error: object) -> None:
        self.bias = 0

    def __add__(self, other: object) -> object:
        return ("sum", other)

    def reload(self) -> None:
        self.bias = 10


class AsyncModel:
    async def __call__(self, x: int) -> int:
        return x


class StreamModel:
    def __call__(self, x: int) -> Iterator[int]:
        yield x


def test_descriptors_are_decorated_inside(registry: CollectorRegistry, exporter: Decorator) -> None:
    class Service:
        @exporter
        @staticmethod
        def of_nobody(x: int) -> int:
            return x

        @exporter
        @classmethod
        def of_class(cls, x: int) -> tuple[type, int]:
            return cls, x

        @exporter  # type: ignore[prop-decorator]
        @property
        def label(self) -> str:
            """The label."""
            return getattr(self, "_label", "none")

        @label.setter
        def label(self, value: str) -> None:
            self._label = value

    class Derived(Service):
        pass

    service = Derived()
    assert (Service.of_nobody(1), service.of_nobody(2)) == (1, 2)
    assert (Derived.of_class(1), service.of_class(x=2)) == ((Derived, 1), (Derived, 2))
    assert service.label == "none"
    service.label = "cat"
    assert service.label == "cat"
    for name, kind in (("of_nobody", staticmethod), ("of_class", classmethod), ("label", property)):
        assert isinstance(inspect.getattr_static(Service, name), kind)
    assert str(inspect.signature(Service.of_class)) == "(x: 'int') -> 'tuple[type, int]'"
    assert Service.__dict__["label"].__doc__ == "The label."
    assert outcomes(registry) == [6, 0, 0]


def test_what_cannot_behave_as_the_bare_thing_is_refused(exporter: Decorator) -> None:
    with pytest.raises(TypeError, match=r"a class cannot be decorated, .*: decorate the method of Model"):
        exporter(Model)
    refused: tuple[Any, ...] = (
        functools.cached_property(lambda self: 1), functools.partialmethod(pow), property(), 3, None,
        functools.singledispatchmethod(lambda self: 1),
    )  # fmt: skip
    for target in refused:
        with pytest.raises(TypeError, match="only what is called can be decorated: put the exporter on"):
            exporter(target)


def test_an_object_stays_that_object(registry: CollectorRegistry, exporter: Decorator) -> None:
    bare = Model()
    model: Any = exporter(bare)
    assert [isinstance(model, kind) for kind in (Model, int)] == [True, False]
    assert (model(1), model(1, scale=2), model.__call__(2)) == (2, 4, 3)
    model.reload()
    model.note = "new"
    assert (bare.bias, vars(bare), vars(model)) == (10, {"bias": 10, "note": "new"}, vars(bare))
    del model.note
    assert not hasattr(bare, "note")
    assert (model.kind, model.__doc__, type(model).__name__) == ("small", "A model.", "Model")
    assert model.__module__ == Model.__module__
    assert inspect.signature(model) == inspect.signature(bare)
    assert model.__call__.__doc__ == "Infer."
    assert (len(model), bool(model), model + 1, repr(model)) == (0, False, ("sum", 1), repr(bare))
    with model as entered:
        assert entered is model
    assert bare.bias == 0
    assert not hasattr(model, "__iter__")
    assert (model == bare, hash(model) == hash(bare), model.__wrapped__ is bare) == (True, True, True)
    with pytest.raises(AttributeError, match="'Model' object has no attribute 'absent'"):
        _ = model.absent
    with pytest.raises(TypeError, match="unexpected keyword"):
        model(1, size=2)
    assert outcomes(registry) == [3, 1, 0]


def test_async_and_streaming_objects(registry: CollectorRegistry, exporter: Decorator) -> None:
    model = exporter(AsyncModel())
    assert inspect.iscoroutinefunction(model.__call__)
    assert not inspect.iscoroutinefunction(model)  # nor is the bare one
    assert asyncio.run(model(3)) == 3
    stream = exporter(StreamModel())
    assert inspect.isgeneratorfunction(stream.__call__)
    assert list(stream(4)) == [4]
    assert outcomes(registry) == [2, 0, 0]


def test_functions_that_are_not_pythons(registry: CollectorRegistry, exporter: Decorator) -> None:
    @exporter
    @functools.lru_cache
    def cached(x: int) -> int:
        """Cached."""
        return x

    assert (cached(1), cached(1), cached.cache_info().hits) == (1, 1, 1)
    assert (cached.__name__, cached.__doc__, cached.__module__) == ("cached", "Cached.", __name__)

    class Holder:
        method = cached

    holder = Holder()
    assert holder.method() is holder
    assert exporter(len)([1]) == 1
    assert (exporter(len).__name__, exporter(len).__module__) == ("len", "builtins")
    partial: Any = exporter(functools.partial(pow, 2))
    assert (partial(3), partial.args, isinstance(partial, functools.partial)) == (8, (2,), True)
    bound: Any = exporter(Model().__call__)
    assert (bound(1), inspect.ismethod(bound), bound.__func__) == (2, True, Model.__call__)
    assert outcomes(registry) == [6, 0, 0]


def test_a_bound_or_partial_async_function_says_so(exporter: Decorator) -> None:
    async def predict(x: int, y: int) -> int:
        return x + y

    partial = exporter(functools.partial(predict, 1))
    assert inspect.iscoroutinefunction(partial)
    assert asyncio.run(partial(2)) == 3
    assert inspect.iscoroutinefunction(exporter(AsyncModel().__call__))


def test_a_dispatching_function_keeps_its_registry(registry: CollectorRegistry, exporter: Decorator) -> None:
    @exporter
    @functools.singledispatch
    def kind(value: object) -> str:
        return "object"

    kind.register(int, lambda value: "int")
    assert (kind(1), kind("a")) == ("int", "object")
    assert outcomes(registry) == [2, 0, 0]


def test_abstract_methods_stay_abstract(exporter: Decorator) -> None:
    class Base(abc.ABC):
        @exporter
        @abc.abstractmethod
        def predict(self, x: int) -> str:
            """Infer."""

        @exporter
        @classmethod
        @abc.abstractmethod
        def load(cls) -> None: ...

    assert Base.__abstractmethods__ == {"predict", "load"}
    assert Base.predict.__doc__ == "Infer."


def test_a_function_looks_like_the_bare_one(exporter: Decorator) -> None:
    def predict(x: int, *, y: int = 2) -> int:
        return x + y

    predict.version = 3  # type: ignore[attr-defined]
    decorated = exporter(predict)
    assert inspect.signature(decorated) == inspect.signature(predict)
    assert inspect.unwrap(decorated) is predict
    assert decorated.version == 3
    assert (type(decorated), type(decorated.__get__(1, int))) == (FunctionType, MethodType)


MODULE_EXPORTER = ModelMetricsExporter(
    "llm", "v1", "a", "pytorch", registry=CollectorRegistry(), confidence=None
)


@MODULE_EXPORTER
@functools.lru_cache
def remembered(x: int) -> int:
    return x


@MODULE_EXPORTER
def function(x: int) -> int:
    return x


MODEL: Any = MODULE_EXPORTER(Model())


def copies(value: Any) -> list[Any]:
    return [pickle.loads(pickle.dumps(value)), copy.deepcopy(value), copy.copy(value)]  # noqa: S301


@pytest.mark.parametrize("target", [remembered, function, MODULE_EXPORTER])
def test_what_has_a_name_or_belongs_to_the_process_is_copied_as_itself(target: Callable[..., Any]) -> None:
    assert all(copied is target for copied in copies(target))


def test_a_copied_object_is_measured_too() -> None:
    registry = MODULE_EXPORTER._arguments["registry"]
    before = outcomes(registry)[0] or 0
    for copied in copies(MODEL):
        assert copied is not MODEL
        assert copied.__wrapped__ is not MODEL.__wrapped__
        assert (type(copied.__wrapped__), copied(1)) == (Model, 2)
    partial = pickle.loads(pickle.dumps(MODULE_EXPORTER(functools.partial(pow, 2))))  # noqa: S301
    assert partial(3) == 8
    assert outcomes(registry)[0] == before + 4


def test_a_holder_of_an_exporter_can_be_copied(exporter: Decorator) -> None:
    class Holder:
        def __init__(self) -> None:
            self.exporter = exporter
            self.model = [1]

    twin = copy.deepcopy(Holder())
    assert twin.exporter is exporter
