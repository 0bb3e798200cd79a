"""A store with one snapshot, and what is in an exposition."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.registry import Collector

from modelplane_exporter.exposition.families import families
from modelplane_exporter.layout.calls import CELLS, Exemplar, Key, Snapshot
from modelplane_exporter.layout.state import MetricSample, State
from modelplane_schema.identity import Identity
from modelplane_schema.metrics import EXPORTER_SCRAPE_DURATION

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
SNAPSHOT = Snapshot(
    Key(Identity("m", "v1", "t", "jax"), "GPU-1", "a100"),
    tuple(range(1, CELLS + 1)),
    {2: Exemplar("a" * 32, 0.004, 1.5)},
)


class FakeStore(Collector):
    """One snapshot; counts the scrapes and collections."""

    def __init__(self) -> None:
        self.scrapes: list[float] = []
        self.collected = 0
        self.error: Exception | None = None

    def state(self) -> State:
        if self.error:
            raise self.error
        return State([SNAPSHOT], [MetricSample(EXPORTER_SCRAPE_DURATION, (), 0.5)])

    @property
    def scrape_seconds(self) -> float:
        return self.scrapes[-1]

    @scrape_seconds.setter
    def scrape_seconds(self, seconds: float) -> None:
        self.scrapes.append(seconds)

    def describe(self) -> Iterable[Family]:
        return []

    def collect(self) -> Iterable[Family]:
        self.collected += 1
        return families(*self.state())


class Failing(Collector):
    def describe(self) -> Iterable[Family]:
        return []

    def collect(self) -> Iterable[Family]:
        yield GaugeMetricFamily("half", "Half of a failing collector.", 1)
        raise RuntimeError("the secret")


def parse_openmetrics(text: str) -> Iterable[Family]:
    """The families of an OpenMetrics text. The parser has no types."""
    return text_string_to_metric_families(text)  # type: ignore[no-untyped-call, no-any-return]


def names(families: Iterable[Family]) -> list[str]:
    return [family.name for family in families]


def total(body: bytes, name: str) -> list[float]:
    return [s.value for family in parse_text(body.decode()) for s in family.samples if s.name == name]
