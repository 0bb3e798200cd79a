"""Fixtures of all tests of the exporter."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, Counter

from exporter_support.exposing import FakeStore
from modelplane_exporter.rate_limited_log import rate_limited


@pytest.fixture(autouse=True)
def _nothing_was_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    """The log is limited by time, so a line of one test must not silence that of the next."""
    monkeypatch.setattr(rate_limited, "_last", {})


@pytest.fixture(autouse=True)
def _nothing_is_collected() -> Iterator[None]:
    """What a test made and does not hold, or an earlier one left, goes when a test says so, or after it.

    An exporter that is collected takes its version's series with it, and a file its descriptor.
    """
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def fake_store(monkeypatch: pytest.MonkeyPatch) -> FakeStore:
    """What answers to a scrape show of our own."""
    fake = FakeStore()
    monkeypatch.setattr("modelplane_exporter.serving.responder.store_for", lambda registry: fake)
    return fake


@pytest.fixture
def exposed_registry(fake_store: FakeStore) -> CollectorRegistry:
    """Our store between two foreign collectors."""
    registry = CollectorRegistry()
    Counter("before", "Before.", registry=registry).inc(2)
    registry.register(fake_store)
    Counter("after", "After.", registry=registry).inc(3)
    return registry
