"""Money of tokens is rounded on the running total of a counter, so that any parts of it add up."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasource_support.hour_ledger import CELL, START, A, B
from modelplane_datasource.costs.ledger.builder import Samples, build_ledger
from modelplane_datasource.costs.ledger.cells import CellGrid
from modelplane_datasource.costs.ledger.lines import Ledger
from modelplane_datasource.costs.ledger.prices import Tariff
from modelplane_datasource.costs.ledger.report import GROUPS, GroupBy, cost_rows
from modelplane_datasource.costs.ledger.usage import CounterSeries, ScrapeTiming, TokenUse
from modelplane_datasource.timeline.times import DAY
from modelplane_schema.identity import Identity
from modelplane_schema.registry import Devices, TokenPrice

MINUTE = 60_000
AROUND = CellGrid(START - 6 * CELL, START + 6 * CELL)  # a midnight, at which the price changes
TIMING = ScrapeTiming(MINUTE, lookback=20 * MINUTE)


def prices(before: str, after: str) -> Tariff:
    entries = [
        {"kind": "input", "amount": amount, "currency": "USD", "effective_from": day}
        for amount, day in ((before, "2026-01-01"), (after, "2026-05-01"))
    ]
    return Tariff(Devices(), {"resnet50": [TokenPrice.model_validate(entry) for entry in entries]})


def tokens(
    counted: Sequence[tuple[int, int]], process: str = "pod-1", identity: Identity = A
) -> CounterSeries[TokenUse]:
    times, values = zip(*counted, strict=True)
    key = TokenUse(identity, "input")
    return CounterSeries(key, process, np.array(times, dtype=np.int64), np.array(values, dtype=np.float64))


def ledger(series: Sequence[CounterSeries[TokenUse]], tariff: Tariff, cells: CellGrid = AROUND) -> Ledger:
    return build_ledger(cells, Samples(TIMING, tokens=series), tariff)


@pytest.mark.parametrize("each", [1, 4, 5, 6])
def test_few_tokens_in_each_cell_cost_what_they_cost_together(each: int) -> None:
    """At 0.1 micro-units a token, 4 tokens of a cell would be nothing and 6 of them a whole unit."""
    cells = CellGrid(START, START + DAY)
    counted = [(time, each * number) for number, time in enumerate(range(START, START + DAY + 1, CELL))]
    (row,) = cost_rows(
        build_ledger(cells, Samples(ScrapeTiming(CELL), tokens=[tokens(counted)]), prices("1", "0.1"))
    )
    assert (row.quantity, row.amount) == (288 * each, round(Fraction(288 * each, 10)))


def test_tokens_of_a_gap_are_whole_and_none_is_lost() -> None:
    """Two tokens in a gap over five cells."""
    counted = [(START - MINUTE, 0), (START, 7), (START + 5 * CELL, 9), (START + 5 * CELL + MINUTE, 9)]
    timing = ScrapeTiming(MINUTE)
    (line,) = build_ledger(AROUND, Samples(timing, tokens=[tokens(counted)]), prices("1", "0.5")).lines
    assert line.quantities.sum() == 9
    assert line.estimated.sum() == 2
    assert line.amounts.sum() == 7 + round(Fraction(9, 2) - Fraction(7, 2))


def test_a_counter_that_costs_more_than_can_be_counted_is_an_error() -> None:
    counted = [(START, 0), (START + MINUTE, 9 * 10**15)]
    with pytest.raises(ValueError, match="less than 2\\*\\*62 micro-units"):
        ledger([tokens(counted)], prices("1", "1000000"))


@st.composite
def counters(draw: st.DrawFn) -> list[CounterSeries[TokenUse]]:
    """Counters with restarts and gaps, some of them longer than the lookback."""
    result = []
    for process in range(draw(st.integers(1, 3))):
        time, value, counted = AROUND.start - 25 * MINUTE, draw(st.integers(0, 50)), []
        while time < AROUND.end + 25 * MINUTE:
            counted.append((time, value))
            time += MINUTE * draw(st.sampled_from([1, 1, 1, 1, 2, 7, 15, 30]))
            value = 0 if draw(st.integers(0, 9)) == 0 else value + draw(st.integers(0, 9))
        result.append(tokens(counted, f"pod-{process}", draw(st.sampled_from([A, B]))))
    return result


AMOUNTS = st.decimals(Decimal("0.000001"), Decimal("30"), places=6).map(str)


def steps(series: CounterSeries[TokenUse]) -> list[tuple[int, int, Fraction, Fraction]]:
    """From when to when a counter went from which number to which, by the contract."""
    result = []
    for (start, low), (end, high) in pairwise(
        zip(series.times.tolist(), map(int, series.values.tolist()), strict=True)
    ):
        length = end - start
        if length <= TIMING.hold:
            result.append((end, end, Fraction(0 if high < low else low), Fraction(high)))
        elif length <= TIMING.lookback and high >= low:
            result.append((start, end, Fraction(low), Fraction(high)))
    return result


def expected(
    series: Sequence[CounterSeries[TokenUse]], by_date: Sequence[tuple[int, Fraction]]
) -> list[list[int]]:
    """Tokens and micro-units of each cell."""
    sums = []
    for begin in range(AROUND.start, AROUND.end, CELL):
        price = by_date[bisect_right([date for date, _ in by_date], begin) - 1][1]
        total = [0, 0]
        for start, end, low, high in (step for counter in series for step in steps(counter)):
            edges = [min(max(edge, start), end) for edge in (begin, begin + CELL)]
            if start == end:
                span = [low, high if begin < end <= begin + CELL else low]
            else:
                span = [low + (high - low) * Fraction(edge - start, end - start) for edge in edges]
            whole = [round(number) for number in span]
            total[0] += whole[1] - whole[0]
            total[1] += (price * whole[1] + Fraction(1, 2)).__floor__() - (
                price * whole[0] + Fraction(1, 2)
            ).__floor__()
        sums.append(total)
    return sums


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(counters(), AMOUNTS, AMOUNTS)
def test_every_cell_is_that_of_plain_fractions(
    series: list[CounterSeries[TokenUse]], before: str, after: str
) -> None:
    by_date = [(0, Fraction(before)), (START, Fraction(after))]
    lines = ledger(series, prices(before, after)).lines
    quantities, amounts = (sum(getattr(line, name) for line in lines) for name in ("quantities", "amounts"))
    assert [list(pair) for pair in zip(quantities.tolist(), amounts.tolist(), strict=True)] == expected(
        series, by_date
    )


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(counters(), AMOUNTS, AMOUNTS, st.integers(1, 11), st.permutations(GROUPS), st.integers(0, 6))
def test_adjacent_windows_and_any_grouping_add_up(
    series: list[CounterSeries[TokenUse]],
    before: str,
    after: str,
    cut: int,
    labels: list[GroupBy],
    number: int,
) -> None:
    tariff, middle = prices(before, after), AROUND.start + cut * CELL
    whole = cost_rows(ledger(series, tariff))
    parts = [
        row
        for cells in (CellGrid(AROUND.start, middle), CellGrid(middle, AROUND.end))
        for row in cost_rows(ledger(series, tariff, cells), labels[:number], CELL)
    ]
    for name in ("quantity", "amount", "estimated"):
        assert sum(getattr(row, name) for row in parts) == sum(getattr(row, name) for row in whole)
    exact = sum(row.quantity * Fraction(before if row.start < START else after) for row in parts)
    paid = Fraction(sum(row.amount or 0 for row in parts))
    # Half a micro-unit at each end of what counts without a break at one price.
    assert abs(paid - exact) <= sum(runs(counter) + 1 for counter in series)


def runs(series: CounterSeries[TokenUse]) -> int:
    """How often a counter counts without a break."""
    samples = pairwise(zip(series.times.tolist(), series.values.tolist(), strict=True))
    return 1 + sum(
        1 for before, after in samples if after[1] < before[1] or after[0] - before[0] > TIMING.lookback
    )
