"""Fewer samples charge the same: a range is read cell by cell only where that changes nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from datasource_support.sample_store import Scrape, Store, counted, labels_of, seconds, without
from modelplane_datasource.costs import sample_reader, samples
from modelplane_datasource.costs.ledger.builder import Samples, build_ledger
from modelplane_datasource.costs.ledger.cells import CellGrid
from modelplane_datasource.costs.ledger.lines import Policy
from modelplane_datasource.costs.ledger.prices import tariff_of
from modelplane_datasource.costs.ledger.usage import CounterSeries, DeviceUse, ScrapeTiming, TokenUse
from modelplane_datasource.costs.sample_reader import RangeSamples, SampleReader
from modelplane_datasource.prometheus.decoding import RawSeries
from modelplane_datasource.prometheus.errors import UpstreamError
from modelplane_datasource.timeline.grid import Grid
from modelplane_datasource.timeline.time_range import TimeRange
from modelplane_schema import metrics
from modelplane_schema.identity import Identity
from modelplane_schema.registry import Registry

CELL, SCRAPE, HOUR = 300_000, 60_000, 3_600_000
START = 1_698_400_800_000
CELLS = CellGrid(START, START + HOUR, CELL)
FIRST = START - HOUR  # of what the cells depend on
REGISTRY = Registry.model_validate(
    {
        "apiVersion": "modelplane/v1",
        "tenants": [{"id": "user-A"}, {"id": "user-B"}],
        "models": [
            {
                "name": "resnet50", "framework": "pytorch", "owner": "vision",
                "tenants": ["user-A", "user-B"],
                "versions": [{"version": "v1"}],
                "token_prices": [
                    {"kind": "input", "amount": 2, "currency": "USD", "effective_from": "2023-01-01"}
                ],
            }
        ],
        "devices": {
            "inventory": [{"device": "GPU-1", "device_type": "h200", "from": "2023-01-01"}],
            "prices": [
                {"device_type": "h200", "amount": 3.6, "currency": "USD", "per": "hour",
                 "effective_from": "2023-01-01"}
            ],
        },
    }
)  # fmt: skip
TARIFF = tariff_of(REGISTRY.devices, REGISTRY.models)


ALWAYS = range(FIRST - CELL + 7_000, START + HOUR + 1, SCRAPE)
TO_NOW = range(FIRST - CELL + 7_000, START + 3 * HOUR + 1, SCRAPE)


def reader(store: Any) -> SampleReader:
    return SampleReader(store, [metrics.DEVICE_SECONDS, metrics.TOKENS], ScrapeTiming(SCRAPE), CELL)


def read(store: Any) -> RangeSamples:
    (result,) = reader(store).read(TimeRange(START, START + HOUR))
    return result


def test_of_a_gap_free_range_the_last_sample_of_each_cell_is_read() -> None:
    result = read(Store([(seconds("user-A"), counted(ALWAYS))]))
    assert result.is_gap_free
    (series,) = result.series[metrics.DEVICE_SECONDS.name]
    assert series.times.tolist() == list(range(START, START + HOUR + 1, CELL))
    held = dict(counted(ALWAYS))
    assert series.values.tolist() == [
        held[max(at for at in held if at <= edge)] for edge in series.times.tolist()
    ]
    assert result.scraped(ScrapeTiming(SCRAPE)) == 60


NOON = START + HOUR // 2
NOW = START + 3 * HOUR


def restarted(scrapes: list[Scrape], at: int, value: float = 0.0) -> list[Scrape]:
    before = next(scrape.value for scrape in scrapes if scrape.at >= at) - value
    return [scrape._replace(value=scrape.value - before) if scrape.at >= at else scrape for scrape in scrapes]


GROWN = [Scrape(at, 80.0 * number) for number, at in enumerate(at for at in ALWAYS if at >= NOON)]
NOT_GAP_FREE = {
    "it restarts": [(seconds("user-A"), restarted(counted(ALWAYS), NOON))],
    "it restarts and is beyond where it was before the cell ends": [
        (seconds("user-A"), [*without(counted(ALWAYS, 0.0), NOON, 2 * START), *GROWN])
    ],
    "another misses a cell": [
        (seconds("user-A"), counted(ALWAYS)),
        (seconds("user-B"), without(counted(ALWAYS), NOON + 1, NOON + CELL + 1)),
    ],
    "another begins": [
        (seconds("user-A"), counted(ALWAYS)), (seconds("user-B"), without(counted(ALWAYS), 0, NOON)),
    ],
    "another ends": [
        (seconds("user-A"), counted(ALWAYS)),
        (seconds("user-B"), without(counted(ALWAYS), NOON, 2 * START)),
    ],
    "it ended in the cell before": [
        (seconds("user-A"), counted(ALWAYS)),
        (seconds("user-B"), without(counted(ALWAYS), START - 60_000, 2 * START)),
    ],
    "the device was not seen for three scrapes": [
        (seconds("user-A"), without(counted(ALWAYS), NOON, NOON + 150_000))
    ],
    "the device was not seen at the end": [
        (seconds("user-A"), without(counted(ALWAYS), START + HOUR - 130_000, 2 * START))
    ],
    "tokens restart": [
        (seconds("user-A"), counted(ALWAYS)),
        (labels_of(metrics.TOKENS.name, "user-A", kind="input"), restarted(counted(ALWAYS), NOON)),
    ],
}  # fmt: skip


@pytest.mark.parametrize("why", NOT_GAP_FREE)
def test_a_range_in_which_something_happens_is_read_as_it_was_scraped(why: str) -> None:
    result = read(Store(NOT_GAP_FREE[why]))
    assert not result.is_gap_free
    for labels, scrapes in NOT_GAP_FREE[why]:
        expected = [scrape for scrape in scrapes if START - 2 * SCRAPE < scrape.at <= START + HOUR]
        matching = [series for series in result.series[labels["__name__"]] if series.labels == labels]
        assert [
            (at, value)
            for series in matching
            for at, value in zip(series.times.tolist(), series.values, strict=True)
        ] == expected


AFTERNOON = range(FIRST - CELL + 7_000, START + 5 * HOUR + 1, SCRAPE)
EVENTS = {
    "it restarts": [(seconds("user-A"), restarted(counted(AFTERNOON), START + 2 * HOUR + 1))],
    "another begins": [
        (seconds("user-A"), counted(AFTERNOON)),
        (seconds("user-B"), without(counted(AFTERNOON), 0, START + 2 * HOUR + 1)),
    ],
    "another ends": [
        (seconds("user-A"), counted(AFTERNOON)),
        (seconds("user-B"), without(counted(AFTERNOON), START + 2 * HOUR + 1, 2 * START)),
    ],
    "it misses a cell": [
        (seconds("user-A"), without(counted(AFTERNOON), START + 2 * HOUR + 1, START + 2 * HOUR + CELL + 1))
    ],
}  # fmt: skip


@pytest.mark.parametrize("what", EVENTS)
def test_of_a_long_range_only_where_something_happens_is_read_as_it_was_scraped(what: str) -> None:
    before, event, after = reader(Store(EVENTS[what])).read(TimeRange(START, START + 4 * HOUR))
    assert (before.is_gap_free, event.is_gap_free, after.is_gap_free) == (True, False, True)
    assert before.time_range == (START, event.time_range.start)
    assert event.time_range.start == START + 2 * HOUR
    assert event.time_range.length <= 3 * CELL
    assert after.time_range == (event.time_range.end, START + 4 * HOUR)
    there = {part: {series.labels["tenant_id"] for series in part.series[metrics.DEVICE_SECONDS.name]}
             for part in (before, after)}  # fmt: skip
    assert there[before] | there[after] == {labels["tenant_id"] for labels, _ in EVENTS[what]}
    assert before.samples <= 2 * 25


def test_a_part_of_less_than_an_hour_is_read_as_it_was_scraped() -> None:
    late = without(counted(AFTERNOON), 0, START + HOUR - CELL + 1)
    held = [(seconds("user-A"), counted(AFTERNOON)), (seconds("user-B"), late)]
    event, after = reader(Store(held)).read(TimeRange(START, START + 3 * HOUR))
    assert (event.is_gap_free, after.is_gap_free) == (False, True)
    assert event.time_range == (START, START + HOUR + CELL)


def test_samples_at_other_times_than_the_edges_are_refused() -> None:
    class Careless(Store):
        def unrestricted_samples_on(self, promql: str, grid: Grid) -> tuple[RawSeries, ...]:
            every = super().unrestricted_samples_on(promql, grid)
            return tuple(dataclasses.replace(series, times=series.times + 1) for series in every)

    with pytest.raises(UpstreamError, match="other times"):
        read(Careless([(seconds("user-A"), counted(ALWAYS))]))


def test_a_counter_that_falls_is_not_gap_free_whatever_is_said_of_resets() -> None:
    """A store may withhold the latest samples from one of both queries."""

    class Forgetful(Store):
        def unrestricted_samples_on(self, promql: str, grid: Grid) -> tuple[RawSeries, ...]:
            return () if promql.startswith("resets") else super().unrestricted_samples_on(promql, grid)

    fallen = Forgetful([(seconds("user-A"), restarted(counted(ALWAYS), NOON))])
    assert not read(fallen).is_gap_free
    rising = Forgetful([(seconds("user-A"), counted(ALWAYS))])
    assert read(rising).is_gap_free


def test_representatives_of_many_devices_are_read_by_short_queries() -> None:
    """Sixty tenants with names of 100 characters, each with a device of its own."""
    owners = [f"{number:0>100}" for number in range(60)]
    held = [(seconds(tenant, f"{tenant}:1", f"{tenant}/1"), counted(ALWAYS)) for tenant in owners]
    requested: list[str] = []

    class Watched(Store):
        def unrestricted_samples(self, selected: str, start: int, end: int) -> tuple[RawSeries, ...]:
            requested.append(selected)
            return super().unrestricted_samples(selected, start, end)

    result = read(Watched(held))
    assert result.is_gap_free
    assert result.seen_at.keys() == {f"{tenant}/1" for tenant in owners}
    assert max(map(len, requested)) < 16 * 1024
    assert len(requested) == 3


def test_scrapes_as_rare_as_cells_are_read_as_they_are() -> None:
    store = Store([(seconds("user-A"), counted(range(FIRST, START + HOUR + 1, 120_000)))])
    slow = dataclasses.replace(reader(store), timing=ScrapeTiming(120_000))
    (result,) = slow.read(TimeRange(START, START + HOUR))
    assert not result.is_gap_free


def test_a_device_is_seen_by_any_of_its_series() -> None:
    """Two tenants, of whom each alone misses three scrapes; and the device itself, which is always there."""
    gap = without(counted(ALWAYS), NOON, NOON + 150_000)
    other = without(counted(ALWAYS), NOON - 600_000, NOON - 450_000)
    both = Store([(seconds("user-A"), gap), (seconds("user-B"), other)])
    assert not read(both).is_gap_free  # of one representative nothing is known there
    assert lines(both, cell_by_cell=True) == lines(both, cell_by_cell=False)


def ledger_of(measured: Samples) -> list[tuple[Any, ...]]:
    """The ledger of ``CELLS`` as plain values.

    What each cell holds samples of counts too: for shares of idle time, and for processes seen at once.
    """
    ledger = build_ledger(CELLS, measured, TARIFF, Policy("even", "scale"))
    return [
        (line.kind, line.asset, line.identity, line.quantities.tolist(), line.amounts.tolist())
        for line in ledger.lines
    ]


def all_samples(held: list[tuple[dict[str, str], list[Scrape]]]) -> Samples:
    """Everything that a store holds."""

    def series(name: str, key: Callable[[dict[str, str]], Any]) -> list[CounterSeries[Any]]:
        return [
            CounterSeries(
                key(labels), labels["instance"], np.array([scrape.at for scrape in scrapes], dtype=np.int64),
                np.array([scrape.value for scrape in scrapes]),
            )
            for labels, scrapes in held
            if labels["__name__"] == name and scrapes
        ]  # fmt: skip

    def identity(labels: dict[str, str]) -> Identity:
        return Identity(*(labels[name] for name in metrics.IDENTITY))

    return Samples(
        ScrapeTiming(SCRAPE),
        series(
            metrics.DEVICE_SECONDS.name,
            lambda labels: DeviceUse(labels["device"], labels["device_type"], identity(labels)),
        ),
        series(metrics.TOKENS.name, lambda labels: TokenUse(identity(labels), labels["kind"])),
    )


def lines(store: Any, *, cell_by_cell: bool, length: int = 900_000) -> list[tuple[Any, ...]]:
    """The ledger of ``CELLS`` as plain values, from ranges of ``length`` milliseconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(samples, "FIRST_RANGE", length)
        patch.setattr(samples, "LONGEST_RANGE", length)
        patch.setattr(sample_reader, "_FEWEST_CELLS", 2)
        if not cell_by_cell:
            patch.setattr(sample_reader, "_FEWEST_SCRAPES", 1_000_000)
        return ledger_of(samples.read_samples(store, CELLS, ScrapeTiming(SCRAPE), NOW))


MOMENTS = st.integers(FIRST // 1000, NOW // 1000).map(lambda at: at * 1000)
EIGHTHS = st.integers(0, 400).map(lambda number: number / 8)  # sums of them are exact


class Counted(NamedTuple):
    """Grows by ``step`` with each scrape; a gap begins at a time and lasts so many milliseconds."""

    offset: int
    step: float
    gaps: list[tuple[int, int]]
    restarts: list[tuple[int, float]]
    begins: int
    ends: int

    def scrapes(self) -> list[Scrape]:
        scrapes = counted(range(FIRST - CELL + self.offset, NOW + 1, SCRAPE), self.step)
        for at, length in self.gaps:
            scrapes = without(scrapes, at, at + length)
        for at, step in self.restarts:
            if any(scrape.at >= at for scrape in scrapes):
                scrapes = restarted(scrapes, at, step)
        return without(without(scrapes, 0, self.begins), self.ends, 2 * START)


HAPPENINGS = st.builds(
    Counted,
    st.integers(0, SCRAPE - 1),
    EIGHTHS,
    st.lists(st.tuples(MOMENTS, st.integers(0, 2 * HOUR)), max_size=2),
    st.lists(st.tuples(MOMENTS, EIGHTHS), max_size=1),
    st.just(0) | MOMENTS,
    st.just(2 * START) | MOMENTS,
)


SERIES = (
    seconds("user-A"), seconds("user-B"), seconds("user-B", "b:8000"), seconds("user-A", "c:8000", "c/1"),
    labels_of(metrics.TOKENS.name, "user-A", kind="input"),
)  # fmt: skip


AT_ONCE = Counted(0, 0.0, [], [], START + 301_000, 2 * START)


@pytest.mark.slow
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example((AT_ONCE, AT_ONCE, None, None, Counted(0, 0.0, [], [], 0, START + 61_000)))
@given(st.tuples(*(st.none() | HAPPENINGS for _ in SERIES)))
def test_the_ledger_is_that_of_all_samples(happenings: tuple[Counted | None, ...]) -> None:
    scrapes = [counted(TO_NOW, 1.5) if counter is None else counter.scrapes() for counter in happenings]
    held = list(zip(SERIES, scrapes, strict=True))
    store = Store(held)
    gap_free = [result.is_gap_free for result in read_ranges(store)]
    event(f"gap-free ranges: {sum(gap_free)} of {len(gap_free)}")
    expected = ledger_of(all_samples(held))
    assert lines(store, cell_by_cell=True) == expected
    assert lines(store, cell_by_cell=True, length=2 * HOUR) == expected
    assert lines(store, cell_by_cell=False) == expected


def read_ranges(store: Any) -> Iterator[RangeSamples]:
    for start in range(FIRST, START + HOUR, 900_000):
        yield from reader(store).read(TimeRange(start, start + 900_000))


def test_gap_free_and_other_ranges_follow_each_other() -> None:
    """A restart and a gap of a scrape too many, in ranges of their own."""
    scrapes = without(restarted(counted(ALWAYS), START + 1_000_000), START + 3_000_000, START + 3_200_000)
    store = Store([(seconds("user-A"), scrapes), (seconds("user-B"), counted(ALWAYS))])
    assert [result.is_gap_free for result in read_ranges(store)] == [
        True,
        True,
        True,
        True,
        True,
        False,
        True,
        False,
    ]
    assert lines(store, cell_by_cell=True) == lines(store, cell_by_cell=False)
    charged = {
        line[2].tenant_id: sum(line[3]) for line in lines(store, cell_by_cell=True) if line[0] == "direct"
    }
    assert charged["user-B"] == np.diff([scrape.value for scrape in counted(ALWAYS)])[-60:].sum() * 1_000_000
