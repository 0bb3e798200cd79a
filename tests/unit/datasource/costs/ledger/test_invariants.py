"""The invariants of a cost ledger, each as a property of generated samples."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasource_support.generated_counters import (
    CELL,
    CELLS,
    LISTED,
    MIDNIGHT,
    OTHER,
    POLICIES,
    PROPERTY,
    SCRAPE,
    TIMING,
    DeviceSeries,
    counters,
    device_of,
    direct_of,
    direct_time,
    leaves,
    ledger,
    several,
    tariff,
    totals,
)
from modelplane_datasource.costs.ledger.cells import CellGrid, snapped
from modelplane_datasource.costs.ledger.lines import DEVICE_SIGNS, Asset, Policy
from modelplane_datasource.costs.ledger.report import GROUPS, CostRow, GroupBy, cost_rows
from modelplane_datasource.costs.ledger.usage import CounterSeries, DeviceUse
from modelplane_datasource.timeline.arrays import IntArray
from modelplane_datasource.timeline.times import DAY

pytestmark = pytest.mark.slow


@PROPERTY
@given(several(), st.sampled_from(POLICIES))
def test_invariant_1_closure(series: DeviceSeries, policy: Policy) -> None:
    """Per device and cell all parts add up to the capacity, in time and in money, and that to its price."""
    book = ledger(series, policy=policy)
    sums: defaultdict[object, IntArray] = defaultdict(lambda: np.zeros((2, len(CELLS)), dtype=np.int64))
    for line in book.lines:
        if line.kind != "capacity":
            sums[line.asset] += DEVICE_SIGNS[line.kind] * np.stack((line.quantities, line.amounts))
    for line in book.lines:
        if line.kind == "capacity":
            np.testing.assert_array_equal(sums[line.asset], np.stack((line.quantities, line.amounts)))
            there = device_of(line) in LISTED
            assert line.quantities.tolist() == [there * CELL * 1000] * 6
            exact = [Fraction(price) * there * CELL * 1000 / 3600 for price in ["3.1"] * 3 + ["4.37"] * 3]
            assert line.amounts.tolist() == [round(amount) for amount in exact]
    assert {device_of(line) for line in book.lines} >= set(LISTED)


@PROPERTY
@given(several(), st.sampled_from(POLICIES))
def test_invariant_2_no_clamp_breaks_closure_and_nothing_is_negative(
    series: DeviceSeries, policy: Policy
) -> None:
    """What is charged above capacity is ``over`` to the last micro-second, under every policy."""
    book = ledger(series, policy=policy)
    by_kind: dict[str, defaultdict[Asset | None, IntArray]] = {
        kind: defaultdict(lambda: np.zeros(len(CELLS), dtype=np.int64)) for kind in DEVICE_SIGNS
    }
    for line in book.lines:
        assert (line.quantities >= 0).all()
        assert (line.amounts >= 0).all()
        by_kind[line.kind][line.asset] += line.quantities
    raw = direct_time(ledger(series))
    for asset, capacity in by_kind["capacity"].items():
        assert asset is not None
        above = by_kind["direct"][asset] + by_kind["unknown"][asset] - capacity
        np.testing.assert_array_equal(by_kind["over"][asset], np.maximum(above, 0))
        charged = by_kind["direct"][asset] + by_kind["excess"][asset]
        np.testing.assert_array_equal(charged, raw[asset])


@PROPERTY
@given(several(), st.randoms(use_true_random=False), st.sampled_from(POLICIES))
def test_invariant_3_idempotence(series: DeviceSeries, random: Random, policy: Policy) -> None:
    """Samples twice, out of order, or in parts from two scrapers give the same ledger."""
    again = []
    for counter in series:
        places = list(range(len(counter.times)))
        random.shuffle(places)
        cut = random.randint(0, len(places))
        for part in (places, places[:cut], places[cut:]):
            again.append(
                CounterSeries(counter.key, counter.process, counter.times[part], counter.values[part])
            )
    random.shuffle(again)
    assert leaves(ledger(again, policy=policy)) == leaves(ledger(series, policy=policy))


@PROPERTY
@given(
    several(), st.integers(1, 5), st.sampled_from(POLICIES), st.sampled_from([(), *((by,) for by in GROUPS)])
)
def test_invariant_4_additivity_of_ranges(
    series: DeviceSeries, cut: int, policy: Policy, by: tuple[GroupBy, ...]
) -> None:
    """Each range sees only the samples that it has to fetch."""
    middle = CELLS.start + cut * CELL
    parts: list[CostRow] = []
    for cells in (CellGrid(CELLS.start, middle), CellGrid(middle, CELLS.end)):
        fetched = []
        for counter in series:
            chosen = (counter.times >= cells.start - TIMING.lookback) & (counter.times <= cells.end)
            fetched.append(
                CounterSeries(counter.key, counter.process, counter.times[chosen], counter.values[chosen])
            )
        parts += cost_rows(ledger(fetched, cells=cells, policy=policy), by)
    assert totals(parts) == totals(cost_rows(ledger(series, policy=policy), by))


@PROPERTY
@given(several(), st.permutations(GROUPS), st.integers(0, len(GROUPS)), st.sampled_from(POLICIES))
def test_invariant_4_any_grouping_and_any_step_add_up(
    series: DeviceSeries, order: list[GroupBy], number: int, policy: Policy
) -> None:
    book, by = ledger(series, policy=policy), tuple(order[:number])
    plain = totals(cost_rows(book))

    def without_group(rows: Iterable[CostRow]) -> Counter[tuple[object, ...]]:
        sums: Counter[tuple[object, ...]] = Counter()
        for (_, *rest), value in totals(rows).items():
            sums[(), *rest] += value
        return sums

    assert without_group(cost_rows(book, by)) == plain
    assert without_group(cost_rows(book, by, CELL)) == plain
    assert without_group(cost_rows(book, by, DAY)) == plain


@PROPERTY
@given(several(), several())
def test_invariant_4_what_others_do_does_not_change_a_direct_charge(
    mine: DeviceSeries, theirs: DeviceSeries
) -> None:
    others = [
        CounterSeries(counter.key._replace(identity=OTHER), f"other-{number}", counter.times, counter.values)
        for number, counter in enumerate(theirs)
    ]
    alone, together = direct_of(ledger(mine)), direct_of(ledger([*mine, *others]))
    for key, amounts in alone.items():
        np.testing.assert_array_equal(amounts, together[key])


@given(
    st.lists(st.integers(0, 2 * DAY), min_size=3, max_size=3, unique=True),
    st.sampled_from([60_000, CELL, DAY]),
)
def test_invariant_4_adjacent_queries_neither_overlap_nor_leave_a_gap(instants: list[int], cell: int) -> None:
    start, middle, end = sorted(instants)

    def cells(left: int, right: int) -> list[int]:
        try:
            starts: list[int] = snapped(left, right, cell).starts.tolist()
            return starts
        except ValueError:
            return []

    assert cells(start, middle) + cells(middle, end) == cells(start, end)


@PROPERTY
@given(several(), st.lists(st.integers(0, 10**7), min_size=1, max_size=2))
def test_invariant_5_each_cell_has_the_price_of_its_day(series: DeviceSeries, cents: list[int]) -> None:
    """A later price changes no earlier cell; cost is the sum of products, not the product of means."""
    prices = [str(Decimal(cent) / 100) for cent in cents]
    book = ledger(series, tariff(*prices))
    for line in book.lines:
        if line.kind == "direct":
            per_cell = [prices[0]] * 3 + [prices[-1]] * 3
            for quantity, amount, price in zip(line.quantities, line.amounts, per_cell, strict=True):
                assert abs(Fraction(price) * int(quantity) / 3600 - int(amount)) <= Fraction(501, 1000)
    earlier = CellGrid(CELLS.start, MIDNIGHT)
    first_price_ledger = ledger(series, tariff(prices[0]), cells=earlier)
    assert totals(cost_rows(ledger(series, tariff(*prices), cells=earlier))) == totals(
        cost_rows(first_price_ledger)
    )


@given(
    st.sampled_from([cell for cell in range(60_000, DAY + 1, 60_000) if DAY % cell == 0]),
    st.integers(0, 40_000),
)
def test_invariant_5_no_price_changes_inside_a_cell(cell: int, day: int) -> None:
    assert day * DAY % cell == 0


def plain_use(series: Sequence[CounterSeries[DeviceUse]]) -> dict[object, list[float]]:
    """Seconds by cell of each device and identity, sample by sample."""
    use: defaultdict[object, list[float]] = defaultdict(lambda: [0.0] * len(CELLS))
    for counter in series:
        scrapes = [
            time for other in series if other.process == counter.process for time in other.times.tolist()
        ]
        samples = [(-np.inf, 0.0), *zip(counter.times.tolist(), counter.values.tolist(), strict=True)]
        for (before, old), (time, new) in pairwise(samples):
            if not CELLS.start < time <= CELLS.end:
                continue
            if time - before <= TIMING.lookback:
                change = new - old if new >= old else new
            else:
                change = new if any(time - TIMING.hold <= scrape < time for scrape in scrapes) else 0.0
            use[counter.key.device, counter.key.identity][(time - CELLS.start - 1) // CELL] += change
    return use


@PROPERTY
@given(several())
def test_invariant_6_counter_reset(series: DeviceSeries) -> None:
    """Increase is never negative, and equals a plain reading of the samples."""
    result: dict[object, IntArray] = {
        (device_of(line), line.identity): line.quantities
        for line in ledger(series).lines
        if line.kind == "direct"
    }
    expected = plain_use(series)
    assert result.keys() == expected.keys()
    for key, seconds in expected.items():
        assert (result[key] >= 0).all()
        np.testing.assert_allclose(result[key].astype(np.float64), np.array(seconds) * 1e6, rtol=0, atol=0.51)


@PROPERTY
@given(st.data())
def test_invariant_6_a_restart_is_a_new_series_and_loses_one_scrape_at_most(data: st.DataObject) -> None:
    counter = data.draw(counters(devices=LISTED, least=2))
    cut = data.draw(st.integers(1, len(counter.times) - 1))
    renamed = [
        CounterSeries(counter.key, "before", counter.times[:cut], counter.values[:cut]),
        CounterSeries(counter.key, "after", counter.times[cut:], counter.values[cut:]),
    ]
    whole, split = (
        sum(time.sum() for time in direct_time(ledger(series)).values()) for series in ([counter], renamed)
    )
    step = counter.values[cut] - counter.values[cut - 1]
    lost = step if step >= 0 else counter.values[cut]
    assert -len(CELLS) <= whole - split <= lost * 1e6 + len(CELLS)


@PROPERTY
@given(several())
def test_invariant_7_gaps_are_unknown(series: DeviceSeries) -> None:
    """A second is unknown when no sample carried the device in the two scrapes before it."""
    book = ledger(series)
    for line in book.lines:
        if line.kind != "unknown" or device_of(line) not in LISTED:
            continue
        times = np.concatenate(
            [[0], *(counter.times for counter in series if counter.key.device == device_of(line))]
        )
        instants = np.arange(CELLS.start, CELLS.end, 1000)
        age = np.min([np.where(instants >= time, instants - time, np.inf) for time in times], axis=0)
        expected = (age >= 2 * SCRAPE).reshape(len(CELLS), -1).sum(axis=1)
        assert line.quantities.tolist() == (expected * 1_000_000).tolist()
