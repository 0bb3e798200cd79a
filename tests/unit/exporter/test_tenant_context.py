"""Which tenant a call counts for: values that name one, blocks, and streams that outlive their block."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import pickle
import threading
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from enum import IntEnum, StrEnum
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from modelplane_exporter import PER_CALL, ModelMetricsExporter, bind_tenant, tenant
from modelplane_exporter.tenant_context import tenant_in_force
from modelplane_schema.metrics import MAX_LABEL_LENGTH

UUID = uuid.UUID("4932bd7b-1e91-491e-97df-10fbc31b213e")


class Account(IntEnum):
    ACME = 7


class Name(StrEnum):
    ACME = "acme"


class Text(str):
    """Of another type than str, and still a text."""


def counted(registry: CollectorRegistry) -> Counter[str]:
    """Finished calls by tenant, without those of none."""
    return Counter(
        {
            sample.labels["tenant_id"]: int(sample.value)
            for family in registry.collect()
            for sample in family.samples
            if sample.name == "model_inference_requests_total" and sample.value
        }
    )


@pytest.fixture
def exporter(registry: CollectorRegistry) -> ModelMetricsExporter:
    return ModelMetricsExporter("llm", "v1", PER_CALL, "pytorch", registry=registry, confidence=None)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (7, "7"), (0, "0"), (-3, "-3"), (2**80, str(2**80)), (Account.ACME, "7"), (UUID, str(UUID)),
        ("7", "7"), (Name.ACME, "acme"), (Text("acme"), "acme"), ("é" * MAX_LABEL_LENGTH,) * 2,
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_values_that_name_a_tenant_however_it_is_given(
    registry: CollectorRegistry, exporter: ModelMetricsExporter, value: Any, text: str
) -> None:
    with tenant(value):
        exporter(lambda: None)()
    with exporter.track(tenant_id=value):
        pass
    with exporter.track_batch({value: 2}):
        pass
    exporter.event("click", tenant_id=value)
    options: Any = {"framework": "pytorch", "registry": registry, "confidence": None}
    ModelMetricsExporter("llm", "v1", lambda: value, **options)(lambda: None)()
    ModelMetricsExporter("llm", "v1", value, **options)(lambda: None)()
    ModelMetricsExporter("other", "v1", PER_CALL, tenants=[value], **options)
    assert counted(registry) == {text: 5}
    labels = {"model_version": "v1", "tenant_id": text, "framework": "pytorch"}
    assert (
        registry.get_sample_value(
            "model_business_events_total", {**labels, "model_name": "llm", "event": "click"}
        )
        == 1
    )
    assert (
        registry.get_sample_value(
            "model_inference_requests_total", {**labels, "model_name": "other", "outcome": "success"}
        )
        == 0
    )


def test_integers_of_numpy_name_a_tenant(registry: CollectorRegistry, exporter: ModelMetricsExporter) -> None:
    numpy = pytest.importorskip("numpy")
    with tenant(numpy.int64(7)):
        exporter(lambda: None)()
    assert counted(registry) == {"7": 1}


NO_TENANTS = {
    "bool": (True, "a value of type bool is no tenant"),
    "bytes": (b"acme", "a value of type bytes is no tenant"),
    "float": (7.0, "a value of type float is no tenant"),
    "list": (["acme"], "a value of type list is no tenant"),
    "empty": (" ", "an empty text is no tenant"),
    "reserved": ("__all__", "__all__ is reserved"),
    "long": ("x" * 100_000, "what has more than 256 characters is no tenant"),
    "surrogate": ("\ud800", "a text with lone surrogates is no tenant"),
    "endless": (10**5000, "what has more than 256 characters is no tenant"),
}


@pytest.mark.parametrize("kind", NO_TENANTS)
def test_what_names_no_tenant_is_unknown_and_says_so_once(
    registry: CollectorRegistry, exporter: ModelMetricsExporter, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    value, problem = NO_TENANTS[kind]
    predict: Callable[[], None] = exporter(lambda: None)
    for _ in range(3):
        with tenant(value):  # type: ignore[arg-type]  # what else people give
            predict()
    assert counted(registry) == {"__unknown__": 3}
    (record,) = caplog.records
    assert (
        f"what was given is no tenant, so that the call counts for __unknown__ ({problem}" in record.message
    )
    assert "To do: give an int, a UUID, or a text of at most 256 characters" in record.message
    assert "xxx" not in record.message
    with pytest.raises(ValueError, match="tenant_id is required"):
        ModelMetricsExporter("llm", "v1", value, "pytorch", registry=registry)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="items must map tenants"):
        exporter.track_batch({value: 1} if kind != "list" else {None: 1})


def test_a_call_outside_of_all_blocks_says_once_what_to_do(
    registry: CollectorRegistry, exporter: ModelMetricsExporter, caplog: pytest.LogCaptureFixture
) -> None:
    predict: Callable[[], None] = exporter(lambda: None)
    with tenant("acme"):
        predict()
        worker = threading.Thread(target=predict)
        worker.start()
        worker.join()
    predict()
    assert counted(registry) == {"acme": 1, "__unknown__": 2}
    (record,) = caplog.records
    assert record.message.startswith("llm v1: tenant_id: no tenant is in force, so that the call counts for")
    assert all(remedy in record.message for remedy in ("with tenant(...)", "bind_tenant(...)", "`async def`"))


def tokens() -> Iterator[object]:
    yield tenant_in_force()
    yield tenant_in_force()


async def atokens() -> AsyncIterator[object]:
    for _ in range(2):
        await asyncio.sleep(0)
        yield tenant_in_force()


async def answer() -> list[object]:
    before = tenant_in_force()
    await asyncio.sleep(0)
    return [before, tenant_in_force()]


def test_a_generator_counts_for_the_tenant_of_its_making(
    registry: CollectorRegistry, exporter: ModelMetricsExporter
) -> None:
    """Each step has it in force, in whichever thread, and the consumer has its own."""
    stream = exporter(tokens)
    assert inspect.isgeneratorfunction(stream)
    with tenant("acme"):
        running = stream()
    assert inspect.isgenerator(running)
    with tenant("globex"), ThreadPoolExecutor(1) as threads:
        assert [next(running), tenant_in_force()] == ["acme", "globex"]
        assert threads.submit(next, running).result() == "acme"
        assert list(running) == []
    assert counted(registry) == {"acme": 1}


def test_an_async_generator_counts_for_the_tenant_of_its_making(
    registry: CollectorRegistry, exporter: ModelMetricsExporter
) -> None:
    stream = exporter(atokens)

    async def consume(running: AsyncIterator[object]) -> list[object]:
        return [[item, tenant_in_force()] async for item in running]

    async def scenario() -> list[object]:
        with tenant("acme"):
            running = stream()
        assert inspect.isasyncgen(running)
        with tenant("globex"):
            return await asyncio.create_task(consume(running))

    assert inspect.isasyncgenfunction(stream)
    assert asyncio.run(scenario()) == [["acme", "globex"], ["acme", "globex"]]
    assert counted(registry) == {"acme": 1}


def test_a_coroutine_counts_for_the_tenant_of_its_making(
    registry: CollectorRegistry, exporter: ModelMetricsExporter
) -> None:
    predict = exporter(answer)

    async def scenario() -> list[list[object]]:
        calls = []
        for name in ("acme", "globex"):
            with tenant(name):
                calls.append(predict())
        return await asyncio.gather(*calls)

    assert inspect.iscoroutinefunction(predict)
    assert asyncio.run(scenario()) == [["acme", "acme"], ["globex", "globex"]]
    assert counted(registry) == {"acme": 1, "globex": 1}


@pytest.mark.parametrize("make", [tokens, atokens, answer], ids=["generator", "async generator", "coroutine"])
def test_what_a_plain_function_returns_counts_for_the_tenant_of_its_making(
    registry: CollectorRegistry, exporter: ModelMetricsExporter, make: Callable[[], Any]
) -> None:
    async def consume(running: Any) -> list[object]:
        if inspect.iscoroutine(running):
            return list(await running)
        return list(running) if inspect.isgenerator(running) else [item async for item in running]

    with tenant("acme"):
        running = exporter(lambda: make())()
    assert asyncio.run(consume(running)) == ["acme", "acme"]
    assert counted(registry) == {"acme": 1}


def test_a_stream_of_a_fixed_tenant_holds_that_of_the_models_inside(registry: CollectorRegistry) -> None:
    fixed = ModelMetricsExporter("outer", "v1", "team", "pytorch", registry=registry, confidence=None)
    inner = ModelMetricsExporter("inner", "v1", PER_CALL, "pytorch", registry=registry, confidence=None)
    embed = inner(lambda: 1)

    @fixed
    def stream() -> Iterator[int]:
        yield embed()

    with tenant("acme"):
        running = stream()
    assert list(running) == [1]
    assert counted(registry) == {"team": 1, "acme": 1}


def test_a_tenant_function_is_asked_when_the_stream_is_made(registry: CollectorRegistry) -> None:
    request = {"tenant": "acme"}
    exporter = ModelMetricsExporter(
        "llm", "v1", lambda: request["tenant"], "pytorch", registry=registry, confidence=None
    )
    running = exporter(tokens)()
    request.clear()
    assert len(list(running)) == 2
    assert counted(registry) == {"acme": 1}


def test_a_block_inside_a_generator_holds_for_its_steps_and_not_for_its_consumer(
    registry: CollectorRegistry, exporter: ModelMetricsExporter
) -> None:
    """Each step is taken in another copy of the context, as in the thread pool of a web server."""
    predict = exporter(lambda: None)
    outer = ModelMetricsExporter("outer", "v1", "team", "pytorch", registry=registry, confidence=None)

    @outer
    def stream() -> Iterator[object]:
        with tenant("acme"):
            for _ in range(2):
                predict()
                yield tenant_in_force()
        yield tenant_in_force()

    running = stream()
    assert [contextvars.copy_context().run(next, running) for _ in range(3)] == ["acme", "acme", None]
    assert tenant_in_force() is None
    assert list(running) == []
    assert counted(registry) == {"acme": 2, "team": 1}


@pytest.mark.parametrize("copied", ["before", "inside"])
def test_a_block_may_be_left_in_another_context(exporter: ModelMetricsExporter, copied: str) -> None:
    """One that was copied inside the block is then outside of it; another keeps its own."""
    with tenant("outer"):
        elsewhere = contextvars.copy_context()
        block, call = tenant("acme"), exporter.track()
        block.__enter__()
        call.__enter__()
        if copied == "inside":
            elsewhere = contextvars.copy_context()
            assert elsewhere.run(exporter.current_call) is call
        elsewhere.run(call.__exit__, None, None, None)
        elsewhere.run(block.__exit__, None, None, None)
        assert elsewhere.run(tenant_in_force) == "outer"
        assert elsewhere.run(exporter.current_call) is None
        assert tenant_in_force() == "acme"


def test_a_generator_that_is_dropped_inside_a_block_leaves_other_tenants_alone() -> None:
    def dependency() -> Iterator[None]:
        with tenant("acme"):
            yield

    running = dependency()
    contextvars.copy_context().run(next, running)
    with tenant("globex"):
        del running
        assert tenant_in_force() == "globex"


def current(*_: object) -> object:
    """Can be pickled."""
    return tenant_in_force()


def test_a_bound_function_has_its_tenant_in_every_thread(
    registry: CollectorRegistry, exporter: ModelMetricsExporter
) -> None:
    predict = exporter(current)
    with tenant("acme"), ThreadPoolExecutor(2) as threads:
        assert threads.submit(predict).result() is None
        assert threads.submit(bind_tenant(predict)).result() == "acme"
        assert list(threads.map(bind_tenant(predict), range(4))) == ["acme"] * 4
        bound = bind_tenant(current)
    with tenant("globex"):
        assert bound() == "acme"
        assert pickle.loads(pickle.dumps(bound))() == "acme"  # noqa: S301 - it is ours
        assert tenant_in_force() == "globex"
    assert counted(registry) == {"__unknown__": 1, "acme": 5}


def test_bound_streams_have_their_tenant_until_their_end() -> None:
    with tenant("acme"):
        generator, iterator = bind_tenant(tokens()), bind_tenant(map(current, range(2)))
        function = bind_tenant(tokens)
    assert [*generator, *iterator, *function()] == ["acme"] * 6
    generator.close()  # type: ignore[attr-defined]  # it is a generator
    iterator.close()  # type: ignore[attr-defined]  # the one of an iterator closes nothing

    async def scenario() -> list[object]:
        with tenant("acme"):
            coroutine, generator, function = (
                bind_tenant(answer()),
                bind_tenant(atokens()),
                bind_tenant(answer),
            )
        assert inspect.iscoroutinefunction(function)
        items = [item async for item in generator]
        await generator.aclose()  # type: ignore[attr-defined]  # it is an async generator
        return [*items, *await asyncio.create_task(coroutine), *await function(), tenant_in_force()]

    assert asyncio.run(scenario()) == ["acme"] * 6 + [None]


def test_a_bound_generator_passes_on_what_is_sent_and_thrown() -> None:
    def talk() -> Iterator[object]:
        try:
            heard = yield tenant_in_force()
            yield heard
        except KeyError:
            yield tenant_in_force()

    with tenant("acme"):
        talker: Any = bind_tenant(talk())
    assert [next(talker), talker.send("hello"), talker.throw(KeyError())] == ["acme", "hello", "acme"]

    async def atalk() -> AsyncIterator[object]:
        try:
            heard = yield tenant_in_force()
            yield heard
        except KeyError:
            yield tenant_in_force()

    async def scenario() -> list[object]:
        with tenant("acme"):
            talker: Any = bind_tenant(atalk())
        return [await anext(talker), await talker.asend("hello"), await talker.athrow(KeyError())]

    assert asyncio.run(scenario()) == ["acme", "hello", "acme"]


def test_only_what_runs_can_be_bound() -> None:
    with pytest.raises(TypeError, match=r"bind_tenant takes a function, a coroutine, .* \(got a int\)"):
        bind_tenant(7)
