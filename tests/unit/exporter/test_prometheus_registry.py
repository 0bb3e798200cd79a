"""What is used of prometheus_client's private attributes has a fallback where a release lacks them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import cast

import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import Metric as Family

from exporter_support.exposing import OPENMETRICS
from modelplane_exporter import ModelMetricsExporter
from modelplane_exporter.prometheus_registry import other_collectors, replace_lock_after_fork
from modelplane_exporter.serving.responder import exposition
from modelplane_exporter.store.stores import store_for


class PublicRegistry:
    """A registry with its public methods and no others."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.collect = registry.collect
        self.get_target_info = registry.get_target_info


@pytest.fixture
def measured(registry: CollectorRegistry) -> Iterator[CollectorRegistry]:
    """A registry with a model's series, those of somebody else, and a target."""
    registry.set_target_info({"service": "resnet"})
    Counter("theirs", "Theirs.", registry=registry).inc(3)
    exporter = ModelMetricsExporter("m", "v1", "t", "jax", registry=registry)
    exporter(lambda: {"confidence": 0.4})()
    yield registry
    exporter.close()


def public(registry: CollectorRegistry) -> CollectorRegistry:
    return cast("CollectorRegistry", PublicRegistry(registry))


@pytest.mark.parametrize("accept", ["", OPENMETRICS])
def test_without_a_list_of_collectors_the_exposition_is_the_same(
    measured: CollectorRegistry, accept: str
) -> None:
    store = store_for(measured)
    with_list, without_list = (
        [line for line in exposition(registry, store, accept)[0].splitlines() if b"_seconds" not in line]
        for registry in (measured, public(measured))
    )
    assert sum(line.startswith(b"theirs_total") for line in with_list) == 1
    assert with_list == without_list


def test_our_store_is_not_among_the_others(measured: CollectorRegistry) -> None:
    for registry in (measured, public(measured)):
        others = other_collectors(registry, store_for(measured))
        assert [family.name for family in families(others)] == ["theirs"]


def families(collectors: Iterable[object]) -> Iterator[Family]:
    for collector in collectors:
        yield from collector.collect()  # type: ignore[attr-defined]


def test_a_held_lock_is_replaced_and_a_registry_without_one_is_left_alone(
    measured: CollectorRegistry,
) -> None:
    with measured._lock:
        replace_lock_after_fork(measured)
        assert list(measured.collect())
    replace_lock_after_fork(public(measured))
