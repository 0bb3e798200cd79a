"""The invariants of a cost ledger about sharing, tokens and prices, as properties of generated samples."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from datasource_support.generated_counters import (
    CELL,
    CELLS,
    IDENTITIES,
    LISTED,
    MIDNIGHT,
    PRICED,
    PROPERTY,
    SCRAPE,
    TIMING,
    DeviceSeries,
    direct_of,
    direct_time,
    ledger,
    several,
    tariff,
    totals,
)
from modelplane_datasource.costs.ledger.allocation import (
    IdlePolicy,
    apportioned,
    balanced,
    idle_shares,
    scaled,
)
from modelplane_datasource.costs.ledger.builder import Samples, build_ledger
from modelplane_datasource.costs.ledger.cells import CellGrid, midnight, month_of
from modelplane_datasource.costs.ledger.lines import DEVICE_SIGNS, Policy
from modelplane_datasource.costs.ledger.prices import Tariff, price_warnings
from modelplane_datasource.costs.ledger.report import CostRow, cost_rows
from modelplane_datasource.costs.ledger.usage import CounterSeries, DeviceUse, TokenUse
from modelplane_datasource.timeline.arrays import IntArray
from modelplane_datasource.timeline.times import DAY
from modelplane_schema.metrics import TOKEN_KINDS
from modelplane_schema.registry import Devices, TokenPrice

pytestmark = pytest.mark.slow


def _copies(series: DeviceSeries) -> DeviceSeries:
    """Three processes for each of ``series`` that show its device at the same times and do not use it."""
    return [
        CounterSeries(counter.key, f"{counter.process}-{number}", counter.times, np.zeros(len(counter.times)))
        for number in range(3)
        for counter in series
    ]


@PROPERTY
@given(several())
def test_invariant_8_copies_of_a_device_are_one_device(series: DeviceSeries) -> None:
    """Several processes that see a device do not make it several devices; none restarts here."""
    rising = [replace(counter, values=np.maximum.accumulate(counter.values)) for counter in series]
    result = totals(cost_rows(ledger([*rising, *_copies(rising)])))
    assert result == totals(cost_rows(ledger(rising)))
    assert result[(), "capacity", "USD", "quantity"] == len(LISTED) * len(CELLS) * CELL * 1000


@PROPERTY
@given(several())
def test_invariant_8_copies_know_at_most_of_gaps_in_which_others_restarted(series: DeviceSeries) -> None:
    """Their counters say what they used over such a gap, so less may be unknown, and no use is another."""
    result, alone = (totals(cost_rows(ledger(of))) for of in ([*series, *_copies(series)], series))
    for kind in ("direct", "over", "capacity"):
        assert result[(), kind, "USD", "quantity"] == alone[(), kind, "USD", "quantity"]
    known = alone[(), "unknown", "USD", "quantity"] - result[(), "unknown", "USD", "quantity"]
    assert known >= 0
    assert result[(), "idle", "USD", "quantity"] - alone[(), "idle", "USD", "quantity"] == known


def _bridged_gaps(counter: CounterSeries[DeviceUse], scrapes: IntArray) -> Iterator[tuple[int, int]]:
    """From which scrape of the counter's process to which sample its use is spread."""
    steps = zip(counter.times.tolist(), np.diff(counter.values, prepend=0.0), strict=True)
    before = -TIMING.lookback
    for end, step in steps:
        start = max(scrapes[scrapes < end].tolist(), default=-TIMING.lookback)
        restarted = step < 0 and end - before <= TIMING.lookback
        if TIMING.hold < end - start <= TIMING.lookback and not restarted:
            yield start, end
        before = end


def _present(counter: CounterSeries[DeviceUse], scrapes: IntArray) -> set[int]:
    """The cells in which a counter has a sample, or a gap over which its use is spread."""
    spans = [(time - 1, time) for time in counter.times.tolist()]
    spans += _bridged_gaps(counter, scrapes)
    starts = [(start - CELLS.start) // CELL for start, _ in spans]
    ends = [-(-(end - CELLS.start) // CELL) for _, end in spans]
    return {cell for start, end in zip(starts, ends, strict=True) for cell in range(start, end)}


@PROPERTY
@given(several())
def test_invariant_8_only_devices_of_several_processes_are_scaled_and_then_to_their_time(
    series: DeviceSeries,
) -> None:
    raw, shrunk = direct_time(ledger(series)), direct_time(ledger(series, policy=Policy(shared="scale")))
    for asset, time in raw.items():
        processes = np.zeros(len(CELLS), dtype=np.int64)
        for process in ("pod-1", "pod-2"):
            counters = [counter for counter in series if counter.process == process]
            scrapes = np.concatenate([np.zeros(0, dtype=np.int64), *(each.times for each in counters)])
            cells = [_present(each, scrapes) for each in counters if each.key.device == asset.device]
            processes += np.isin(np.arange(len(CELLS)), list(set().union(*cells)))
        room = np.where((processes > 1) & (asset.device in LISTED), CELL * 1000, time)
        np.testing.assert_array_equal(shrunk[asset], np.minimum(time, room))


@PROPERTY
@given(
    st.lists(st.lists(st.integers(0, 10**9), min_size=3, max_size=3), min_size=1, max_size=5),
    st.lists(st.integers(0, 10**9), min_size=3, max_size=3),
)
def test_invariant_8_scaled_shares_fill_a_shared_device_exactly(
    direct: list[list[int]], capacity: list[int]
) -> None:
    charges, room, shared = np.array(direct), np.array(capacity), np.array([True, True, False])
    shrunk = scaled(charges, room, shared)
    above = (charges.sum(axis=0) > room) & (room > 0) & shared
    np.testing.assert_array_equal(shrunk.sum(axis=0), np.where(above, room, charges.sum(axis=0)))
    assert (shrunk >= 0).all()
    assert (shrunk <= charges + 1).all()


@PROPERTY
@given(
    st.lists(st.lists(st.integers(0, 10**9), min_size=2, max_size=2), min_size=1, max_size=5),
    st.lists(st.integers(0, 10**12), min_size=2, max_size=2),
)
def test_apportioned_parts_add_up_and_stay_within_one_of_their_share(
    weights: list[list[int]], totals_: list[int]
) -> None:
    weight, total = np.array(weights), np.array(totals_)
    parts = apportioned(total, weight)
    everything = weight.sum(axis=0)
    np.testing.assert_array_equal(parts.sum(axis=0), np.where(everything > 0, total, 0))
    assert (parts >= 0).all()
    share = weight * (total / np.maximum(everything, 1))
    assert (np.abs(parts - share) <= 1 + 1e-3).all()


@PROPERTY
@given(st.lists(st.integers(0, 3), min_size=1, max_size=6), st.integers(0, 20))
def test_apportioned_rounds_the_largest_remainders_up_and_of_equal_ones_the_first(
    weights: list[int], total: int
) -> None:
    """Small weights are often equal, and so are their remainders."""
    everything = sum(weights)
    parts = [total * weight // everything if everything else 0 for weight in weights]
    by_remainder = sorted(
        range(len(weights)), key=lambda place: -(total * weights[place] % (everything or 1))
    )
    for place in by_remainder[: total - sum(parts)] if everything else ():
        parts[place] += 1
    assert apportioned(np.array([total]), np.array(weights)[:, None])[:, 0].tolist() == parts


@PROPERTY
@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=4), st.integers(0, 10**12))
def test_invariant_9_with_no_weights_idle_stays_idle(direct: list[int], idle: int) -> None:
    charges, room = np.array(direct)[:, None], np.array([idle])
    nobody, seen = np.zeros(charges.shape, dtype=bool), np.ones(charges.shape, dtype=bool)
    assert not idle_shares(room, 0 * charges, seen, "proportional").any()
    assert not idle_shares(room, charges, nobody, "even").any()
    assert not idle_shares(room, charges, seen, "keep").any()
    even = idle_shares(room, charges, seen, "even")
    assert even.sum() == idle
    assert even.max() - even.min() <= 1


@PROPERTY
@given(several(), st.sampled_from(["proportional", "even"]))
def test_invariant_9_shared_idle_is_the_idle_that_was_there(series: DeviceSeries, idle: IdlePolicy) -> None:
    unshared, given_away = (
        totals(cost_rows(ledger(series))),
        totals(cost_rows(ledger(series, policy=Policy(idle)))),
    )
    for currency, what in (("USD", "quantity"), ("USD", "amount")):
        shared = given_away[(), "idle", currency, what] + given_away[(), "idle_share", currency, what]
        assert shared == unshared[(), "idle", currency, what]


@PROPERTY
@given(
    st.lists(st.floats(0, 60), min_size=2, max_size=25),
    st.lists(st.booleans(), min_size=25, max_size=25),
    st.sampled_from(LISTED),
)
def test_invariant_10_a_version_change_splits_by_use_and_keeps_the_sum(
    steps: list[float], of_new: list[bool], device: str
) -> None:
    """Two versions in one process, one after the other or mixed, cost together what one would have.

    The series of the new one begins with its first use, as an exporter's does.
    """
    times = CELLS.start + SCRAPE * np.arange(len(steps))
    new = np.array([False, *of_new[1 : len(steps)]])
    counter = CounterSeries(DeviceUse(device, "h200", IDENTITIES[0]), "pod-1", times, np.cumsum(steps))
    split = [replace(counter, values=np.cumsum(np.where(new, 0, steps)))]
    if new.any():
        key = counter.key._replace(identity=IDENTITIES[2])
        begin, values = int(np.argmax(new)), np.cumsum(np.where(new, steps, 0))
        split.append(CounterSeries(key, "pod-1", times[begin:], values[begin:]))
    whole, parts = direct_time(ledger([counter])), direct_time(ledger(split))
    for asset, time in whole.items():
        assert np.abs(time - parts[asset]).max() <= 1


@PROPERTY
@given(several())
def test_invariant_11_unpriced_is_not_zero(series: DeviceSeries) -> None:
    """Before the first price, and for a type without one, rows keep their time and have no amount."""
    book = ledger(series, tariff())
    for row in cost_rows(book):
        assert (row.state, row.currency, row.amount) == ("unpriced", None, None)
    mixed = cost_rows(
        ledger(series, Tariff(Devices(inventory=PRICED.devices.inventory, prices=PRICED.devices.prices[1:])))
    )
    unpriced = totals(cost_rows(book))
    for kind in DEVICE_SIGNS:
        quantities = [row.quantity for row in mixed if row.kind == kind]
        assert sum(quantities) == unpriced[(), kind, None, "quantity"]
    capacity = {row.state: row for row in mixed if row.kind == "capacity"}
    assert capacity["unpriced"].quantity == capacity["priced"].quantity == 2 * 3 * CELL * 1000
    assert capacity["unpriced"].amount is None


TOKENS = tuple(
    TokenPrice.model_validate(
        {"kind": kind, "amount": amount, "currency": "USD", "effective_from": "2026-01-01"}
    )
    for kind, amount in zip(TOKEN_KINDS, (2, 1, 8, 9), strict=True)
)


def token_rows(counts: dict[str, list[int]], prices: Sequence[TokenPrice] = TOKENS) -> tuple[CostRow, ...]:
    """Rows of one call after the other, a minute apart; ``counts`` are tokens of each call by kind."""
    calls = len(next(iter(counts.values())))
    times = CELLS.start + SCRAPE * np.arange(calls + 1)
    series = [
        CounterSeries(TokenUse(IDENTITIES[0], kind), "pod-1", times, np.cumsum([0.0, *tokens]))
        for kind, tokens in counts.items()
    ]
    book = build_ledger(CELLS, Samples(TIMING, tokens=series), tariff("3", tokens=prices))
    return tuple(row for row in cost_rows(book) if row.unit == "tokens")


@PROPERTY
@given(
    st.fixed_dictionaries(
        {kind: st.lists(st.integers(0, 10**6), min_size=4, max_size=4) for kind in TOKEN_KINDS}
    )
)
def test_invariant_12_token_classes_partition_the_total(counts: dict[str, list[int]]) -> None:
    """Each token is charged once, in its class, and a stream costs what one answer of its tokens costs."""
    rows = token_rows(counts)
    assert {row.kind: row.quantity for row in rows} == {kind: sum(tokens) for kind, tokens in counts.items()}
    price: dict[str, int] = {token.kind: int(token.amount) for token in TOKENS}
    assert {row.kind: row.amount for row in rows} == {
        kind: sum(tokens) * price[kind] for kind, tokens in counts.items()
    }
    at_once = token_rows({kind: [0, 0, 0, sum(tokens)] for kind, tokens in counts.items()})
    assert rows == at_once


def test_invariant_12_a_kind_without_a_price_is_unpriced_and_a_model_without_any_has_no_token_lines() -> None:
    counts = {kind: [5, 5] for kind in TOKEN_KINDS}
    rows = {row.kind: row for row in token_rows(counts, TOKENS[:3])}
    assert (rows["reasoning"].amount, rows["reasoning"].state, rows["reasoning"].quantity) == (
        None,
        "unpriced",
        10,
    )
    assert rows["output"].amount == 80
    assert token_rows(counts, ()) == ()


@PROPERTY
@given(several(), st.integers(0, 10**6), st.one_of(st.integers(0, 5), st.integers(0, 10**6)))
def test_invariant_13_a_higher_price_never_lowers_a_direct_cost(
    series: DeviceSeries, cents: int, more: int
) -> None:
    """But for the one unit of a cell that the largest remainder gets."""
    low, high = (
        direct_of(ledger(series, tariff(str(Decimal(amount) / 10_000)))) for amount in (cents, cents + more)
    )
    for key, amounts in low.items():
        assert (high[key] >= amounts - 1).all()


@PROPERTY
@given(several(), st.integers(0, 24), st.floats(0, 100))
def test_invariant_13_more_use_never_lowers_a_direct_cost(
    series: DeviceSeries, position: int, more: float
) -> None:
    """But for the one unit of a cell that the largest remainder gets."""
    first = series[0]
    raised = first.values + np.where(np.arange(len(first.values)) >= position, more, 0)
    assume((np.diff(first.values) >= 0).all())
    higher = CounterSeries(first.key, first.process, first.times, raised)
    before, after = direct_of(ledger(series)), direct_of(ledger([higher, *series[1:]]))
    for key, amounts in before.items():
        assert (after[key] >= amounts - 1).all()


@given(st.datetimes(datetime.datetime(1970, 1, 1), datetime.datetime(2200, 1, 1)), st.integers(-14, 14))
def test_invariant_13_days_and_months_are_utc_wherever_the_clock_hangs(
    local: datetime.datetime, hours: int
) -> None:
    instant = local.replace(tzinfo=datetime.timezone(datetime.timedelta(hours=hours)))
    milliseconds = int(instant.timestamp() * 1000)
    assume(milliseconds >= 0)
    month, utc = month_of(milliseconds), instant.astimezone(datetime.UTC)
    assert month.start <= milliseconds < month.end
    assert month.start == midnight(utc.date().replace(day=1))
    assert (month.end - month.start) % DAY == 0


@pytest.mark.parametrize(
    ("before", "after", "warns"),
    [("32.8", "0.032", 1), ("1", "5", 0), ("1", "5.01", 1), ("0", "1", 1), ("0", "0", 0)],
)
def test_invariant_13_a_price_jump_is_flagged(before: str, after: str, warns: int) -> None:
    assert len(list(price_warnings(tariff(before, after)))) == warns
    assert len(ledger([], tariff(before, after)).warnings) == warns


@PROPERTY
@given(several())
def test_invariant_14_currencies_are_never_added(series: DeviceSeries) -> None:
    dollars, euros = PRICED.devices.prices[0], PRICED.devices.prices[1].model_copy(update={"currency": "EUR"})
    both = Tariff(Devices(inventory=PRICED.devices.inventory, prices=(dollars, euros)))
    first, second = CellGrid(CELLS.start, MIDNIGHT), CellGrid(MIDNIGHT, CELLS.end)
    expected = totals(cost_rows(ledger(series, both, cells=first))) + totals(
        cost_rows(ledger(series, both, cells=second))
    )
    result = cost_rows(ledger(series, both))
    assert totals(result) == expected
    by_day = {(row.start, row.currency) for row in cost_rows(ledger(series, both), step=DAY)}
    assert by_day - {(CELLS.start, None), (MIDNIGHT, None)} == {(CELLS.start, "USD"), (MIDNIGHT, "EUR")}
    assert {row.currency for row in cost_rows(ledger(series, both, cells=first))} == {"USD"}
    assert {row.currency for row in cost_rows(ledger(series, both, cells=second))} == {"EUR"}


@given(
    st.lists(st.integers(0, 10**10), min_size=1, max_size=6), st.integers(0, 10**10), st.integers(0, 10**10)
)
def test_a_balance_closes_and_is_either_idle_or_over(direct: list[int], unknown: int, capacity: int) -> None:
    balance = balanced(np.array(direct)[:, None], np.array([unknown]), np.array([capacity]))
    assert balance.direct.sum() + balance.idle + balance.unknown - balance.over == capacity
    assert balance.idle == 0 or balance.over == 0
