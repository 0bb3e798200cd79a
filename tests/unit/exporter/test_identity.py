"""The tenant of a context."""

from __future__ import annotations

import asyncio
import threading

from prometheus_client import CollectorRegistry

from exporter_support.llm_series import outcomes
from modelplane_exporter import PER_CALL, ModelMetricsExporter, tenant


def test_the_tenant_of_a_context_is_that_of_its_thread(registry: CollectorRegistry) -> None:
    exporter = ModelMetricsExporter("llm", "v1", PER_CALL, "pytorch", registry=registry, confidence=None)
    predict = exporter(lambda: None)

    def work(name: str) -> None:
        with tenant(name):
            for _ in range(500):
                predict()

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [outcomes(registry, tenant_id=name) for name in "abcd"] == [[500, 0, 0]] * 4


def test_the_tenant_of_a_context_is_that_of_its_task(registry: CollectorRegistry) -> None:
    exporter = ModelMetricsExporter("llm", "v1", PER_CALL, "pytorch", registry=registry, confidence=None)

    @exporter
    async def predict() -> None:
        await asyncio.sleep(0.001)

    async def task(name: str) -> None:
        with tenant(name):
            for _ in range(5):
                await predict()

    async def scenario() -> None:
        await asyncio.gather(*map(task, "abcd"))

    asyncio.run(scenario())
    assert [outcomes(registry, tenant_id=name) for name in "abcd"] == [[5, 0, 0]] * 4
