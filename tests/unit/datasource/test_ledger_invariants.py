"""The invariants of a cost ledger, each as a property of generated samples."""

from __future__ import annotations

import datetime
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from modelplane_datasource.costs.ledger.allocation import apportioned, balanced, idle_shares, scaled
from modelplane_datasource.costs.ledger.builder import Samples, build_ledger
from modelplane_datasource.costs.ledger.cells import DAY, Window, midnight, month_of, snapped
from modelplane_datasource.costs.ledger.lines import DEVICE_SIGNS, KEEP, Ledger, Policy
from modelplane_datasource.costs.ledger.prices import Tariff, price_warnings
from modelplane_datasource.costs.ledger.report import GROUPS, CostRow, cost_rows
from modelplane_datasource.costs.ledger.usage import CounterSeries, DeviceUse, Identity, Reading, TokenUse
from modelplane_schema.metrics import TOKEN_KINDS
from modelplane_schema.registry import Device, Devices, Price, TokenPrice

SCRAPE, CELL = 60_000, 300_000
READING = Reading(SCRAPE, lookback=4 * SCRAPE)
MIDNIGHT = midnight(datetime.date(2026, 3, 2))
WINDOW = Window(MIDNIGHT - 3 * CELL, MIDNIGHT + 3 * CELL)  # a price changes in the middle
MINUTES = (WINDOW.end - WINDOW.start) // SCRAPE + 10

IDENTITIES = [Identity("m", version, tenant, "jax") for version in ("v1", "v2") for tenant in ("a", "b")]
OTHER = Identity("other", "v1", "c", "jax")
LISTED = ("GPU-0", "GPU-1")
POLICIES = [Policy(idle, shared) for idle in ("keep", "proportional", "even") for shared in ("keep", "scale")]

PROPERTY = settings(max_examples=40, deadline=None)


def tariff(*amounts: str, currency: str = "USD", tokens: Sequence[TokenPrice] = ()) -> Tariff:
    """Prices from the day before the window's middle on, one a day; the devices are there all the time."""
    inventory = tuple(
        Device.model_validate({"device": device, "device_type": "h200", "from": "2026-01-01"})
        for device in LISTED
    )
    prices = tuple(
        Price(
            device_type="h200",
            amount=Decimal(amount),
            currency=currency,
            effective_from=datetime.date(2026, 3, 1 + day),
        )
        for day, amount in enumerate(amounts)
    )
    return Tariff(Devices(inventory=inventory, prices=prices), {"m": tuple(tokens)} if tokens else {})


PRICED = tariff("3.1", "4.37")


@st.composite
def counters(
    draw: st.DrawFn, devices: Sequence[str] = (*LISTED, "GPU-lost"), least: int = 1, slowest: float = 0
) -> CounterSeries[DeviceUse]:
    """A counter scraped at most once a minute, some scrapes missing, sometimes restarted."""
    minutes = sorted(draw(st.sets(st.integers(0, MINUTES), min_size=least, max_size=25)))
    steps = draw(st.lists(st.floats(slowest, 70), min_size=len(minutes), max_size=len(minutes)))
    restarts = draw(st.sets(st.integers(1, 25), max_size=2))
    values = [0.0]
    for position, step in enumerate(steps):
        values.append(step if position in restarts else values[-1] + step)
    late = 1000 * draw(st.integers(0, 59))
    times = np.array([WINDOW.start - 10 * SCRAPE + minute * SCRAPE + late for minute in minutes])
    key = DeviceUse(draw(st.sampled_from(devices)), "h200", draw(st.sampled_from(IDENTITIES)))
    return CounterSeries(key, draw(st.sampled_from(("pod-1", "pod-2"))), times, np.array(values[1:]))


def several() -> st.SearchStrategy[list[CounterSeries[DeviceUse]]]:
    """Counters here and there, or of processes that together take more than the one device there is."""
    crowd = counters(devices=LISTED[:1], least=18, slowest=50)
    return st.one_of(
        st.lists(one, min_size=least, max_size=6, unique_by=lambda one: (one.key, one.process))
        for one, least in ((counters(), 1), (crowd, 3))
    )


def ledger(
    series: Iterable[CounterSeries[DeviceUse]],
    tariff: Tariff = PRICED,
    policy: Policy = KEEP,
    window: Window = WINDOW,
) -> Ledger:
    return build_ledger(window, Samples(READING, tuple(series)), tariff, policy)


def totals(rows: Iterable[CostRow]) -> Counter[tuple[object, ...]]:
    """Quantities and amounts by group, kind and currency; what is 0 is not there."""
    sums: Counter[tuple[object, ...]] = Counter()
    for row in rows:
        sums[row.group, row.kind, row.currency, "quantity"] += row.quantity
        sums[row.group, row.kind, row.currency, "amount"] += row.amount or 0
    return +sums


def leaves(book: Ledger) -> dict[tuple[object, ...], tuple[list[int], list[int]]]:
    return {
        (line.kind, line.asset, line.identity): (line.quantities.tolist(), line.amounts.tolist())
        for line in book.lines
        if line.quantities.any() or line.amounts.any()
    }


def direct_of(book: Ledger, kind: str = "direct") -> dict[object, np.ndarray]:
    return {(line.asset, line.identity): line.amounts for line in book.lines if line.kind == kind}


@PROPERTY
@given(several(), st.sampled_from(POLICIES))
def test_invariant_1_closure(series, policy) -> None:
    """Per device and cell all parts add up to the capacity, in time and in money, and that to its price."""
    book = ledger(series, policy=policy)
    sums: defaultdict[object, np.ndarray] = defaultdict(lambda: np.zeros((2, len(WINDOW)), dtype=np.int64))
    for line in book.lines:
        if line.kind != "capacity":
            sums[line.asset] += DEVICE_SIGNS[line.kind] * np.stack((line.quantities, line.amounts))
    for line in book.lines:
        if line.kind == "capacity":
            np.testing.assert_array_equal(sums[line.asset], np.stack((line.quantities, line.amounts)))
            there = line.asset.device in LISTED
            assert line.quantities.tolist() == [there * CELL * 1000] * 6
            exact = [Fraction(price) * there * CELL * 1000 / 3600 for price in ["3.1"] * 3 + ["4.37"] * 3]
            assert line.amounts.tolist() == [round(amount) for amount in exact]
    assert {line.asset.device for line in book.lines} >= set(LISTED)


@PROPERTY
@given(several(), st.sampled_from(POLICIES))
def test_invariant_2_no_clamp_breaks_closure_and_nothing_is_negative(series, policy) -> None:
    """What is charged above capacity is ``over`` to the last micro-second, under every policy."""
    book = ledger(series, policy=policy)
    by_kind = {kind: defaultdict(lambda: np.zeros(len(WINDOW), dtype=np.int64)) for kind in DEVICE_SIGNS}
    for line in book.lines:
        assert (line.quantities >= 0).all()
        assert (line.amounts >= 0).all()
        by_kind[line.kind][line.asset] += line.quantities
    raw = direct_time(ledger(series))
    for asset, capacity in by_kind["capacity"].items():
        above = by_kind["direct"][asset] + by_kind["unknown"][asset] - capacity
        np.testing.assert_array_equal(by_kind["over"][asset], np.maximum(above, 0))
        charged = by_kind["direct"][asset] + by_kind["excess"][asset]
        np.testing.assert_array_equal(charged, raw[asset])


def direct_time(book: Ledger) -> dict[object, np.ndarray]:
    sums: defaultdict[object, np.ndarray] = defaultdict(lambda: np.zeros(len(WINDOW), dtype=np.int64))
    for line in book.lines:
        if line.kind == "direct":
            sums[line.asset] += line.quantities
    return sums


@PROPERTY
@given(several(), st.randoms(use_true_random=False), st.sampled_from(POLICIES))
def test_invariant_3_idempotence(series, random, policy) -> None:
    """Samples twice, out of order, or in parts from two scrapers give the same ledger."""
    again = []
    for one in series:
        places = list(range(len(one.times)))
        random.shuffle(places)
        cut = random.randint(0, len(places))
        for part in (places, places[:cut], places[cut:]):
            again.append(CounterSeries(one.key, one.process, one.times[part], one.values[part]))
    random.shuffle(again)
    assert leaves(ledger(again, policy=policy)) == leaves(ledger(series, policy=policy))


@PROPERTY
@given(
    several(), st.integers(1, 5), st.sampled_from(POLICIES), st.sampled_from([(), *((by,) for by in GROUPS)])
)
def test_invariant_4_additivity_of_windows(series, cut, policy, by) -> None:
    """Each window sees only the samples that it has to fetch."""
    middle = WINDOW.start + cut * CELL
    parts = []
    for window in (Window(WINDOW.start, middle), Window(middle, WINDOW.end)):
        fetched = []
        for one in series:
            chosen = (one.times >= window.start - READING.lookback) & (one.times <= window.end)
            fetched.append(CounterSeries(one.key, one.process, one.times[chosen], one.values[chosen]))
        parts += cost_rows(ledger(fetched, window=window, policy=policy), by)
    assert totals(parts) == totals(cost_rows(ledger(series, policy=policy), by))


@PROPERTY
@given(several(), st.permutations(GROUPS), st.integers(0, len(GROUPS)), st.sampled_from(POLICIES))
def test_invariant_4_any_grouping_and_any_step_add_up(series, order, number, policy) -> None:
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
def test_invariant_4_what_others_do_does_not_change_a_direct_charge(mine, theirs) -> None:
    others = [
        CounterSeries(one.key._replace(identity=OTHER), f"other-{number}", one.times, one.values)
        for number, one in enumerate(theirs)
    ]
    alone, together = direct_of(ledger(mine)), direct_of(ledger([*mine, *others]))
    for key, amounts in alone.items():
        np.testing.assert_array_equal(amounts, together[key])


@given(
    st.lists(st.integers(0, 2 * DAY), min_size=3, max_size=3, unique=True),
    st.sampled_from([60_000, CELL, DAY]),
)
def test_invariant_4_adjacent_queries_neither_overlap_nor_leave_a_gap(instants, cell) -> None:
    start, middle, end = sorted(instants)

    def cells(left: int, right: int) -> list[int]:
        try:
            return snapped(left, right, cell).starts.tolist()
        except ValueError:
            return []

    assert cells(start, middle) + cells(middle, end) == cells(start, end)


@PROPERTY
@given(several(), st.lists(st.integers(0, 10**7), min_size=1, max_size=2))
def test_invariant_5_each_cell_has_the_price_of_its_day(series, cents) -> None:
    """A later price changes no earlier cell; cost is the sum of products, not the product of means."""
    prices = [str(Decimal(cent) / 100) for cent in cents]
    book = ledger(series, tariff(*prices))
    for line in book.lines:
        if line.kind == "direct":
            per_cell = [prices[0]] * 3 + [prices[-1]] * 3
            for quantity, amount, price in zip(line.quantities, line.amounts, per_cell, strict=True):
                assert abs(Fraction(price) * int(quantity) / 3600 - int(amount)) <= Fraction(501, 1000)
    earlier = Window(WINDOW.start, MIDNIGHT)
    one_price = ledger(series, tariff(prices[0]), window=earlier)
    assert totals(cost_rows(ledger(series, tariff(*prices), window=earlier))) == totals(cost_rows(one_price))


@given(
    st.sampled_from([cell for cell in range(60_000, DAY + 1, 60_000) if DAY % cell == 0]),
    st.integers(0, 40_000),
)
def test_invariant_5_no_price_changes_inside_a_cell(cell, day) -> None:
    assert day * DAY % cell == 0


def plain_use(series: Sequence[CounterSeries[DeviceUse]]) -> dict[object, list[float]]:
    """Seconds by cell of each device and identity, sample by sample."""
    use: defaultdict[object, list[float]] = defaultdict(lambda: [0.0] * len(WINDOW))
    for one in series:
        scrapes = [time for other in series if other.process == one.process for time in other.times.tolist()]
        samples = [(-np.inf, 0.0), *zip(one.times.tolist(), one.values.tolist(), strict=True)]
        for (before, old), (time, new) in pairwise(samples):
            if not WINDOW.start < time <= WINDOW.end:
                continue
            if time - before <= READING.lookback:
                change = new - old if new >= old else new
            else:
                change = new if any(time - READING.hold <= scrape < time for scrape in scrapes) else 0.0
            use[one.key.device, one.key.identity][(time - WINDOW.start - 1) // CELL] += change
    return use


@PROPERTY
@given(several())
def test_invariant_6_counter_reset(series) -> None:
    """Increase is never negative, and equals a plain reading of the samples."""
    found = {
        (line.asset.device, line.identity): line.quantities
        for line in ledger(series).lines
        if line.kind == "direct"
    }
    expected = plain_use(series)
    assert found.keys() == expected.keys()
    for key, seconds in expected.items():
        assert (found[key] >= 0).all()
        np.testing.assert_allclose(found[key], np.array(seconds) * 1e6, rtol=0, atol=0.51)


@PROPERTY
@given(st.data())
def test_invariant_6_a_restart_is_a_new_series_and_loses_one_scrape_at_most(data) -> None:
    one = data.draw(counters(devices=LISTED, least=2))
    cut = data.draw(st.integers(1, len(one.times) - 1))
    renamed = [
        CounterSeries(one.key, "before", one.times[:cut], one.values[:cut]),
        CounterSeries(one.key, "after", one.times[cut:], one.values[cut:]),
    ]
    kept, split = (sum(time.sum() for time in direct_time(ledger(own)).values()) for own in ([one], renamed))
    step = one.values[cut] - one.values[cut - 1]
    lost = step if step >= 0 else one.values[cut]
    assert -len(WINDOW) <= kept - split <= lost * 1e6 + len(WINDOW)


@PROPERTY
@given(several())
def test_invariant_7_gaps_are_unknown(series) -> None:
    """A second is unknown when no sample carried the device in the two scrapes before it."""
    book = ledger(series)
    for line in book.lines:
        if line.kind != "unknown" or line.asset.device not in LISTED:
            continue
        times = np.concatenate([[0], *(one.times for one in series if one.key.device == line.asset.device)])
        instants = np.arange(WINDOW.start, WINDOW.end, 1000)
        age = np.min([np.where(instants >= time, instants - time, np.inf) for time in times], axis=0)
        expected = (age >= 2 * SCRAPE).reshape(len(WINDOW), -1).sum(axis=1)
        assert line.quantities.tolist() == (expected * 1_000_000).tolist()


@PROPERTY
@given(several())
def test_invariant_8_copies_of_a_device_are_one_device(series) -> None:
    """Ten processes that see a device, or show it without using it, do not make it ten devices."""
    copies = [
        CounterSeries(one.key, f"copy-{number}", one.times, np.zeros(len(one.times)))
        for number in range(3)
        for one in series
    ]
    found = totals(cost_rows(ledger([*series, *copies])))
    assert found == totals(cost_rows(ledger(series)))
    assert found[(), "capacity", "USD", "quantity"] == len(LISTED) * len(WINDOW) * CELL * 1000


@PROPERTY
@given(several())
def test_invariant_8_only_devices_of_several_processes_are_scaled_and_then_to_their_time(series) -> None:
    raw, shrunk = direct_time(ledger(series)), direct_time(ledger(series, policy=Policy(shared="scale")))
    for asset, time in raw.items():
        processes = np.zeros(len(WINDOW), dtype=np.int64)
        for process in ("pod-1", "pod-2"):
            own = [one.times for one in series if (one.process, one.key.device) == (process, asset.device)]
            times = np.concatenate([np.zeros(0), *own])
            cells = (times[(times > WINDOW.start) & (times <= WINDOW.end)] - WINDOW.start - 1) // CELL
            processes += np.isin(np.arange(len(WINDOW)), cells)
        room = np.where((processes > 1) & (asset.device in LISTED), CELL * 1000, time)
        np.testing.assert_array_equal(shrunk[asset], np.minimum(time, room))


@PROPERTY
@given(
    st.lists(st.lists(st.integers(0, 10**9), min_size=3, max_size=3), min_size=1, max_size=5),
    st.lists(st.integers(0, 10**9), min_size=3, max_size=3),
)
def test_invariant_8_scaled_shares_fill_a_shared_device_exactly(direct, capacity) -> None:
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
def test_apportioned_parts_add_up_and_stay_within_one_of_their_share(weights, totals_) -> None:
    weight, total = np.array(weights), np.array(totals_)
    parts = apportioned(total, weight)
    everything = weight.sum(axis=0)
    np.testing.assert_array_equal(parts.sum(axis=0), np.where(everything > 0, total, 0))
    assert (parts >= 0).all()
    share = weight * (total / np.maximum(everything, 1))
    assert (np.abs(parts - share) <= 1 + 1e-3).all()


@PROPERTY
@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=4), st.integers(0, 10**12))
def test_invariant_9_with_no_weights_idle_stays_idle(direct, idle) -> None:
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
def test_invariant_9_shared_idle_is_the_idle_that_was_there(series, idle) -> None:
    kept, given_away = (
        totals(cost_rows(ledger(series))),
        totals(cost_rows(ledger(series, policy=Policy(idle)))),
    )
    for currency, what in (("USD", "quantity"), ("USD", "amount")):
        shared = given_away[(), "idle", currency, what] + given_away[(), "idle_share", currency, what]
        assert shared == kept[(), "idle", currency, what]


@PROPERTY
@given(
    st.lists(st.floats(0, 60), min_size=2, max_size=25),
    st.lists(st.booleans(), min_size=25, max_size=25),
    st.sampled_from(LISTED),
)
def test_invariant_10_a_version_change_splits_by_use_and_keeps_the_sum(steps, of_new, device) -> None:
    """Two versions in one process, one after the other or mixed, cost together what one would have.

    The series of the new one begins with its first use, as an exporter's does.
    """
    times = WINDOW.start + SCRAPE * np.arange(len(steps))
    new = np.array([False, *of_new[1 : len(steps)]])
    one = CounterSeries(DeviceUse(device, "h200", IDENTITIES[0]), "pod-1", times, np.cumsum(steps))
    split = [replace(one, values=np.cumsum(np.where(new, 0, steps)))]
    if new.any():
        key = one.key._replace(identity=IDENTITIES[2])
        begin, values = int(np.argmax(new)), np.cumsum(np.where(new, steps, 0))
        split.append(CounterSeries(key, "pod-1", times[begin:], values[begin:]))
    whole, parts = direct_time(ledger([one])), direct_time(ledger(split))
    for asset, time in whole.items():
        assert np.abs(time - parts[asset]).max() <= 1


@PROPERTY
@given(several())
def test_invariant_11_unpriced_is_not_zero(series) -> None:
    """Before the first price, and for a type without one, rows keep their time and have no amount."""
    book = ledger(series, tariff())
    for row in cost_rows(book):
        assert (row.state, row.currency, row.amount) == ("unpriced", None, None)
    mixed = cost_rows(
        ledger(series, Tariff(Devices(inventory=PRICED.devices.inventory, prices=PRICED.devices.prices[1:])))
    )
    kept = totals(cost_rows(book))
    for kind in DEVICE_SIGNS:
        quantities = [row.quantity for row in mixed if row.kind == kind]
        assert sum(quantities) == kept[(), kind, None, "quantity"]
    capacity = {row.state: row for row in mixed if row.kind == "capacity"}
    assert capacity["unpriced"].quantity == capacity["priced"].quantity == 2 * 3 * CELL * 1000
    assert capacity["unpriced"].amount is None


TOKENS = tuple(
    TokenPrice(kind=kind, amount=Decimal(amount), currency="USD", effective_from=datetime.date(2026, 1, 1))
    for kind, amount in zip(TOKEN_KINDS, (2, 1, 8, 9), strict=True)
)


def token_rows(counts: dict[str, list[int]], prices: Sequence[TokenPrice] = TOKENS) -> tuple[CostRow, ...]:
    """Rows of one call after the other, a minute apart; ``counts`` are tokens of each call by kind."""
    calls = len(next(iter(counts.values())))
    times = WINDOW.start + SCRAPE * np.arange(calls + 1)
    series = [
        CounterSeries(TokenUse(IDENTITIES[0], kind), "pod-1", times, np.cumsum([0.0, *own]))
        for kind, own in counts.items()
    ]
    book = build_ledger(WINDOW, Samples(READING, tokens=series), tariff("3", tokens=prices))
    return tuple(row for row in cost_rows(book) if row.unit == "tokens")


@PROPERTY
@given(
    st.fixed_dictionaries(
        {kind: st.lists(st.integers(0, 10**6), min_size=4, max_size=4) for kind in TOKEN_KINDS}
    )
)
def test_invariant_12_token_classes_partition_the_total(counts) -> None:
    """Each token is charged once, in its class, and a stream costs what one answer of its tokens costs."""
    rows = token_rows(counts)
    assert {row.kind: row.quantity for row in rows} == {kind: sum(own) for kind, own in counts.items()}
    price = {one.kind: int(one.amount) for one in TOKENS}
    assert {row.kind: row.amount for row in rows} == {
        kind: sum(own) * price[kind] for kind, own in counts.items()
    }
    at_once = token_rows({kind: [0, 0, 0, sum(own)] for kind, own in counts.items()})
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
def test_invariant_13_a_higher_price_never_lowers_a_direct_cost(series, cents, more) -> None:
    low, high = (
        direct_of(ledger(series, tariff(str(Decimal(amount) / 10_000)))) for amount in (cents, cents + more)
    )
    for key, amounts in low.items():
        assert (high[key] >= amounts).all()


@PROPERTY
@given(several(), st.integers(0, 24), st.floats(0, 100))
def test_invariant_13_more_use_never_lowers_a_direct_cost(series, position, more) -> None:
    first = series[0]
    raised = first.values + np.where(np.arange(len(first.values)) >= position, more, 0)
    assume((np.diff(first.values) >= 0).all())
    higher = CounterSeries(first.key, first.process, first.times, raised)
    before, after = direct_of(ledger(series)), direct_of(ledger([higher, *series[1:]]))
    for key, amounts in before.items():
        assert (after[key] >= amounts).all()


@given(st.datetimes(datetime.datetime(1970, 1, 1), datetime.datetime(2200, 1, 1)), st.integers(-14, 14))
def test_invariant_13_days_and_months_are_utc_wherever_the_clock_hangs(local, hours) -> None:
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
def test_invariant_13_a_price_jump_is_flagged(before, after, warns) -> None:
    assert len(price_warnings(tariff(before, after))) == warns
    assert len(ledger([], tariff(before, after)).warnings) == warns


@PROPERTY
@given(several())
def test_invariant_14_currencies_are_never_added(series) -> None:
    dollars, euros = PRICED.devices.prices[0], PRICED.devices.prices[1].model_copy(update={"currency": "EUR"})
    both = Tariff(Devices(inventory=PRICED.devices.inventory, prices=(dollars, euros)))
    first, second = Window(WINDOW.start, MIDNIGHT), Window(MIDNIGHT, WINDOW.end)
    expected = totals(cost_rows(ledger(series, both, window=first))) + totals(
        cost_rows(ledger(series, both, window=second))
    )
    found = cost_rows(ledger(series, both))
    assert totals(found) == expected
    by_day = {(row.start, row.currency) for row in cost_rows(ledger(series, both), step=DAY)}
    assert by_day - {(WINDOW.start, None), (MIDNIGHT, None)} == {(WINDOW.start, "USD"), (MIDNIGHT, "EUR")}
    assert {row.currency for row in cost_rows(ledger(series, both, window=first))} == {"USD"}
    assert {row.currency for row in cost_rows(ledger(series, both, window=second))} == {"EUR"}


@given(
    st.lists(st.integers(0, 10**10), min_size=1, max_size=6), st.integers(0, 10**10), st.integers(0, 10**10)
)
def test_a_balance_closes_and_is_either_idle_or_over(direct, unknown, capacity) -> None:
    balance = balanced(np.array(direct)[:, None], np.array([unknown]), np.array([capacity]))
    assert balance.direct.sum() + balance.idle + balance.unknown - balance.over == capacity
    assert balance.idle == 0 or balance.over == 0
