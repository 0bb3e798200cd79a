"""The invariants of a cost ledger, each as a property of generated samples."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
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
from modelplane_datasource.costs.ledger.usage import CounterSeries
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
            running = [sum(exact[:number]) for number in (1, 2, 3, 4, 5, 6)]
            assert np.abs(np.cumsum(line.amounts) - np.array(running, dtype=float)).max() < 1
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
    """Each range sees only the samples that it has to fetch: those up to the lookback, and that there are
    others."""
    middle = CELLS.start + cut * CELL
    parts: list[CostRow] = []
    for cells in (CellGrid(CELLS.start, middle), CellGrid(middle, CELLS.end)):
        fetched = []
        for counter in series:
            first, last = cells.start - TIMING.lookback, cells.end + TIMING.lookback
            chosen = (counter.times >= first) & (counter.times <= last)
            nearest = np.append(
                counter.times[counter.times < first][-1:], counter.times[counter.times > last][:1]
            )
            chosen |= np.isin(counter.times, nearest)
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
    for key, amounts in alone.items():  # the unit that is left may go to another
        assert np.abs(amounts - together[key]).max() <= 1


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
                share = max(
                    Fraction(int(quantity), CELL * 1000), Fraction(1)
                )  # of the unit to which a cell is rounded
                assert abs(Fraction(price) * int(quantity) / 3600 - int(amount)) <= 1 + share
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


@PROPERTY
@given(several())
def test_invariant_6_increase_is_never_negative(series: DeviceSeries) -> None:
    """That it equals a plain reading of the samples is in ``test_reference.py``."""
    for line in ledger(series).lines:
        assert (line.estimated >= 0).all()
        assert (line.quantities >= line.estimated).all()


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
def test_invariant_7_a_gap_is_unknown_or_estimated_and_never_over(series: DeviceSeries) -> None:
    """What is unknown is never charged as well, and where nothing is missed nothing is estimated."""
    book = ledger(series)
    for asset, use in direct_time(book).items():
        unknown = sum(line.quantities for line in book.lines if (line.kind, line.asset) == ("unknown", asset))
        capacity = CELL * 1000 * (asset.device in LISTED)
        assert ((unknown == 0) | (use + unknown <= capacity)).all()
    scraped = np.array([time for counter in series for time in counter.times])
    times = np.concatenate(([CELLS.start - 10 * DAY], np.unique(scraped)))
    if (np.diff(times[times > CELLS.start - DAY]) <= TIMING.hold).all() and len(
        {c.process for c in series}
    ) == 1:
        for line in book.lines:
            assert not line.estimated.any()
