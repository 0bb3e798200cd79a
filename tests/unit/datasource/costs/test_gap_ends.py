"""What lies beyond a range of time and decides a gap in scraping over its start or end."""

from __future__ import annotations

from typing import Any

import pytest

from datasource_support.hour_ledger import tariff
from datasource_support.sample_store import Scrape, Store, counted, seconds, without
from modelplane_datasource.costs import samples
from modelplane_datasource.costs.ledger.builder import build_ledger
from modelplane_datasource.costs.ledger.cells import CellGrid
from modelplane_datasource.costs.ledger.lines import Ledger
from modelplane_datasource.costs.ledger.report import cost_rows
from modelplane_datasource.costs.ledger.usage import ScrapeTiming
from modelplane_datasource.prometheus.decoding import RawSeries
from modelplane_datasource.prometheus.errors import REJECTED, UpstreamError
from modelplane_datasource.timeline.grid import Grid

SCRAPE, HOUR = 60_000, 3_600_000
START = 1_698_400_800_000
NOW = START + 12 * HOUR
TARIFF = tariff([{"device": "GPU-1", "device_type": "h200", "from": "2020-01-01"}])
ALWAYS = counted(range(START, NOW + 1, SCRAPE), 30.0)  # half of a device
GAP = (START + 3 * HOUR, START + 8 * HOUR)


def ledger(store: Any, start: int, end: int, lookback: int) -> Ledger:
    cells, timing = CellGrid(start, end), ScrapeTiming(SCRAPE, lookback)
    return build_ledger(cells, samples.read_samples(store, cells, timing, NOW), TARIFF)


def in_seconds(book: Ledger) -> dict[str, float]:
    return {row.kind: row.quantity / 1e6 for row in cost_rows(book) if row.quantity}


def two_processes(*, is_restarted: bool = False) -> list[tuple[dict[str, str], list[Scrape]]]:
    """One with a gap of five hours, after which it may be another, beside one that is idle."""
    interrupted = without(ALWAYS, GAP[0] + 1, GAP[1])
    if is_restarted:
        interrupted = [
            scrape._replace(value=scrape.value - 14_000) if scrape.at >= GAP[1] else scrape
            for scrape in interrupted
        ]
    return [
        (seconds("user-A"), interrupted),
        (seconds("user-B", "b:8000"), counted(range(START, NOW + 1, SCRAPE), 0.0)),
    ]


@pytest.mark.parametrize("is_restarted", [False, True])
def test_hours_at_both_ends_of_a_gap_longer_than_the_lookback_say_what_the_whole_range_says(
    is_restarted: bool,
) -> None:
    store = Store(two_processes(is_restarted=is_restarted))
    whole = ledger(store, START + HOUR, NOW, HOUR)
    assert in_seconds(whole) == {
        "direct": 6 * HOUR / 2000, "idle": 6 * HOUR / 2000 + 120, "unknown": 5 * 3600 - 120,
        "capacity": 11 * HOUR / 1000,
    }  # fmt: skip
    for place in (0, 4):
        start = GAP[0] + place * HOUR
        book = ledger(store, start, start + HOUR, HOUR)
        assert in_seconds(book) == {
            "unknown": 3480 if place == 0 else 3600, "capacity": 3600, **({"idle": 120} if not place else {})
        }  # fmt: skip
        (warning,) = book.warnings
        assert "GPU-1 is partly unknown" in warning.text
        assert {identity.tenant_id for identity in warning.identities} == {"user-A"}


def test_a_process_that_begins_or_ends_is_no_gap() -> None:
    middle = START + 6 * HOUR
    store = Store(
        [
            (seconds("user-A"), without(ALWAYS, middle, 2 * NOW)),
            (seconds("user-A", "b:8000"), without(ALWAYS, 0, middle)),
            (seconds("user-B", "c:8000"), counted(range(START, NOW + 1, SCRAPE), 0.0)),
        ]
    )
    book = ledger(store, middle - HOUR, middle + HOUR, HOUR)
    assert "unknown" not in in_seconds(book)
    assert book.warnings == ()


def test_a_store_that_refuses_hours_is_read_in_halves() -> None:
    refused: list[str] = []

    class Small(Store):
        def unrestricted_samples_on(self, promql: str, grid: Grid) -> tuple[RawSeries, ...]:
            if "3599999ms" in promql and len(grid) > 2:
                refused.append("hours")
                raise UpstreamError(REJECTED, "too many samples")
            return super().unrestricted_samples_on(promql, grid)

        def unrestricted_samples(self, selected: str, start: int, end: int) -> tuple[RawSeries, ...]:
            if end - start > 2_000_000:
                refused.append("samples")
                raise UpstreamError(REJECTED, "too many samples")
            return super().unrestricted_samples(selected, start, end)

    start = GAP[0] + HOUR
    expected = ledger(Store(two_processes()), start, start + HOUR, 24 * HOUR)
    assert in_seconds(expected) == {"direct": 1800, "idle": 1800, "capacity": 3600}
    read = ledger(Small(two_processes()), start, start + HOUR, 24 * HOUR)
    assert in_seconds(read) == in_seconds(expected)
    assert {"hours", "samples"} == set(refused)


def test_a_store_that_refuses_even_one_hour_is_an_error() -> None:
    class Refusing(Store):
        def unrestricted_samples_on(self, promql: str, grid: Grid) -> tuple[RawSeries, ...]:
            if "3599999ms" in promql:
                raise UpstreamError(REJECTED, "too many samples")
            return super().unrestricted_samples_on(promql, grid)

    start = GAP[0] + HOUR
    with pytest.raises(UpstreamError, match="too many samples"):
        ledger(Refusing(two_processes()), start, start + HOUR, 24 * HOUR)
