"""Gaps in scraping: what counters grew by over them is spread, and the rest is unknown."""

from __future__ import annotations

import numpy as np
import pytest

from datasource_support.hour_ledger import (
    CELL,
    HOUR,
    PRICE,
    SCRAPE,
    START,
    A,
    B,
    book,
    counter,
    growing,
    seconds,
    tariff,
)
from modelplane_datasource.costs.ledger.builder import Samples, build_ledger
from modelplane_datasource.costs.ledger.cells import CellGrid
from modelplane_datasource.costs.ledger.lines import Ledger, LedgerWarning
from modelplane_datasource.costs.ledger.prices import Tariff
from modelplane_datasource.costs.ledger.report import cost_rows
from modelplane_datasource.costs.ledger.usage import CounterSeries, ScrapeTiming, TokenUse
from modelplane_schema.registry import Devices, TokenPrice


def gap_of_30_minutes(share: float = 0.5) -> list[tuple[float, float]]:
    """An outage from 00:15 to 00:45 of a counter that grows by ``share``."""
    return [(time, value) for time, value in growing(share) if not 900 < time < 2700]


@pytest.mark.parametrize("share", [0.5, 0.8, 1.0])
def test_use_over_a_gap_is_spread_evenly_and_estimated(share: float) -> None:
    ledger = book(counter(A, gap_of_30_minutes(share)))
    used = 3600 * share
    assert seconds(ledger) == {
        "direct": used,
        "capacity": 3600,
        **({"idle": 3600 - used} if share < 1 else {}),
    }
    (direct,) = (line for line in ledger.lines if line.kind == "direct")
    assert direct.quantities.tolist() == [300e6 * share] * 12
    assert direct.estimated.tolist() == [0] * 3 + [300e6 * share] * 6 + [0] * 3
    assert ledger.warnings == ()


@pytest.mark.parametrize("minutes", [30, 59, 60, 61, 90, 24 * 60])
@pytest.mark.parametrize("is_seen", [False, True], ids=["alone", "beside another process"])
def test_no_use_is_lost_in_a_gap_up_to_the_lookback(minutes: int, is_seen: bool) -> None:
    end = 60 * minutes + 7200 - 60 * minutes % 300
    samples = [(time, value) for time, value in growing(0.5, 0, end) if not 1800 < time < 1800 + 60 * minutes]
    others = [counter(B, growing(0, 0, end), "pod-2")] if is_seen else []
    cells = CellGrid(START, START + end * 1000)
    ledger = book(counter(A, samples), *others, cells=cells)
    assert seconds(ledger) == {"direct": end / 2, "idle": end / 2, "capacity": end}
    assert ledger.warnings == ()


def test_use_over_a_gap_across_a_price_change_is_split_by_time() -> None:
    """From 23:40 to 00:10, at 0.8 of a device: 20 of 30 minutes at the old price."""
    outage = [(time, value) for time, value in growing(0.8, -3600) if not -1200 < time < 600]
    prices = (PRICE, {**PRICE, "amount": "7.20", "effective_from": "2026-05-01"})
    cells = CellGrid(START - 12 * CELL, START + 12 * CELL)
    rows = cost_rows(
        book(counter(A, outage, "pod-1"), tariff=tariff(prices=prices), cells=cells), step=3_600_000
    )
    assert [(row.quantity, row.amount) for row in rows if row.kind == "direct"] == [
        (2_880_000_000, 2_880_000), (2_880_000_000, 5_760_000),
    ]  # fmt: skip


def test_every_cell_in_a_gap_can_be_told_by_itself() -> None:
    whole = book(counter(A, gap_of_30_minutes()))
    for start in range(HOUR.start, HOUR.end, CELL):
        cell = CellGrid(start, start + CELL)
        assert seconds(book(counter(A, gap_of_30_minutes()), cells=cell)) == {
            "direct": 150, "idle": 150, "capacity": 300,
        }  # fmt: skip
    assert seconds(whole)["direct"] == 12 * 150


@pytest.mark.parametrize("share", [None, 0, 0.25, 1], ids=lambda share: f"other process {share}")
def test_a_gap_that_is_longer_than_the_lookback_is_unknown_and_not_billed(share: float | None) -> None:
    """Whether another process is seen meanwhile or not, and even where it takes all of the device."""
    timing = ScrapeTiming(SCRAPE, lookback=1_500_000)
    others = [] if share is None else [counter(B, growing(share), "pod-2")]
    ledger = build_ledger(HOUR, Samples(timing, [counter(A, gap_of_30_minutes()), *others]), tariff())
    by_tenant, of_others = seconds(ledger, "tenant"), share or 0
    assert by_tenant["a", "direct"] == 900
    assert by_tenant.get(("b", "direct"), 0) == 3600 * of_others
    # A cell of 300 s leaves what the other process does not take of the gap's 1740 s.
    assert by_tenant.get((None, "unknown"), 0) == {0: 1740, 0.25: 6 * 225, 1: 0}[of_others]
    (warning,) = ledger.warnings
    assert warning == LedgerWarning(
        "Device GPU-0 is partly unknown from 2026-05-01T00:15:00Z to 2026-05-01T00:45:00Z: a process of "
        "resnet50 restarted while it was not scraped, or was not scraped for longer than lookback_seconds "
        "(1500); what it used meanwhile is not known.",
        frozenset({A}),
    )


def test_what_a_process_that_is_seen_again_used_is_unknown_in_each_part_of_the_range() -> None:
    """A gap of 30 minutes is longer than the lookback and all that is seen of the range in its middle."""
    timing = ScrapeTiming(SCRAPE, lookback=300_000)
    series = [counter(A, gap_of_30_minutes()), counter(B, growing(0), "pod-2")]
    parts = [
        build_ledger(CellGrid(start, start + CELL), Samples(timing, series), tariff())
        for start in range(HOUR.start, HOUR.end, CELL)
    ]
    unknown = [seconds(part).get("unknown", 0) for part in parts]
    assert unknown == [0] * 3 + [240] + [300] * 5 + [0] * 3
    assert [len(part.warnings) for part in parts] == [0] * 3 + [1] * 6 + [0] * 3


def test_a_process_that_ends_beside_another_leaves_nothing_unknown() -> None:
    ended = counter(A, growing(0.5, last=900))
    ledger = book(ended, counter(B, growing(0), "pod-2"))
    assert seconds(ledger) == {"direct": 450, "idle": 3150, "capacity": 3600}
    assert ledger.warnings == ()


@pytest.mark.parametrize("minutes", [5, 20])
def test_what_begins_in_a_gap_of_its_process_began_at_0(minutes: int) -> None:
    """Of a tenant whose first call is in the gap all is counted, unless it is longer than the lookback."""
    timing = ScrapeTiming(SCRAPE, lookback=900_000)
    returns = 900 + 60 * minutes
    before, after = growing(0, -600, 900), growing(0, returns, 3600)
    tenants = [counter(A, [*before, *after]), counter(B, growing(0.5, returns, 3600, base=120))]
    ledger = build_ledger(HOUR, Samples(timing, tenants), tariff())
    is_bridged = minutes < 15
    assert seconds(ledger)["direct"] == (3600 - returns) / 2 + (120 if is_bridged else 0)
    assert seconds(ledger).get("unknown", 0) == (0 if is_bridged else 60 * minutes - 60)
    assert len(ledger.warnings) == (0 if is_bridged else 1)
    (line,) = (line for line in ledger.lines if line.identity == B)
    assert line.estimated.sum() == (120e6 if is_bridged else 0)


@pytest.mark.parametrize("is_seen", [False, True], ids=["alone", "beside another process"])
def test_a_restart_in_a_gap_hides_its_use(is_seen: bool) -> None:
    """What another process charges meanwhile is known, and what it leaves is unknown, not over."""
    restarted = [*growing(0.5, last=900), *growing(0.5, first=2700, base=400)]
    others = [counter(B, growing(0.25), "pod-2")] if is_seen else []
    ledger = book(counter(A, restarted[:-1]), *others)
    by_tenant = seconds(ledger, "tenant")
    assert by_tenant["a", "direct"] == 900 / 2 + 870 / 2
    assert by_tenant.get(("b", "direct"), 0) == (900 if is_seen else 0)
    assert by_tenant[None, "unknown"] == (6 * 225 if is_seen else 1740)
    assert (None, "over") not in by_tenant
    (warning,) = ledger.warnings
    assert "GPU-0 is partly unknown from 2026-05-01T00:15:00Z to 2026-05-01T00:45:00Z" in warning.text


def test_a_cpu_process_is_there_in_a_gap_that_is_bridged() -> None:
    process = counter(A, gap_of_30_minutes(), device="host/worker", device_type="cpu-process")
    ledger = book(process, tariff=tariff(inventory=()))
    assert seconds(ledger) == {"direct": 1800, "idle": 1800, "capacity": 3600}


def test_tokens_over_a_gap_are_spread_and_those_that_a_restart_hides_are_told() -> None:
    def tokens(values: list[float]) -> Ledger:
        times = START + 1000 * np.array([870, 900, 2700, 2730])
        priced = [{"kind": "input", "amount": 2, "currency": "USD", "effective_from": "2026-01-01"}]
        series = [CounterSeries(TokenUse(A, "input"), "pod-1", times, np.array(values))]
        prices = {"resnet50": [TokenPrice.model_validate(price) for price in priced]}
        return book(tokens=series, tariff=Tariff(Devices(), prices))

    (line,) = tokens([0, 6, 606, 606]).lines
    assert line.quantities.tolist() == [0, 0, 6, *[100] * 6, 0, 0, 0]
    assert line.estimated.tolist() == [0, 0, 0, *[100] * 6, 0, 0, 0]
    restarted = tokens([0, 600, 6, 12])
    assert restarted.lines[0].quantities.sum() == 606
    (warning,) = restarted.warnings
    assert warning.text.startswith("Tokens of resnet50 are missing: a process restarted")
    assert warning.identities == {A}
