"""A ledger by example: what users of other cost tools reported, worked out by hand."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest

from datasource_support.generated_counters import device_of
from datasource_support.hour_ledger import (
    CELL,
    HOUR,
    LISTED,
    PRICE,
    SCRAPE,
    START,
    TARIFF,
    A,
    B,
    amounts,
    book,
    counter,
    growing,
    seconds,
    tariff,
)
from modelplane_datasource.costs.ledger.allocation import IdlePolicy
from modelplane_datasource.costs.ledger.builder import Samples, build_ledger
from modelplane_datasource.costs.ledger.cells import CellGrid, midnight, month_of, snapped
from modelplane_datasource.costs.ledger.lines import LedgerWarning, Policy
from modelplane_datasource.costs.ledger.prices import Tariff
from modelplane_datasource.costs.ledger.report import cost_rows
from modelplane_datasource.costs.ledger.usage import CounterSeries, DeviceUse, ScrapeTiming, TokenUse
from modelplane_datasource.timeline.times import DAY
from modelplane_schema.registry import TokenPrice


def test_an_hour_of_one_device_for_two_tenants() -> None:
    ledger = book(counter(A, growing(0.5)), counter(B, growing(0.25)))
    assert seconds(ledger, "tenant") == {
        ("a", "direct"): 1800, ("b", "direct"): 900, (None, "idle"): 900, (None, "capacity"): 3600,
    }  # fmt: skip
    assert amounts(ledger) == {"direct": 2.7, "idle": 0.9, "capacity": 3.6}
    assert ledger.warnings == ()


@pytest.mark.parametrize(
    ("idle", "shares"),
    [("keep", {}), ("proportional", {"a": 600, "b": 300}), ("even", {"a": 450, "b": 450})],
)
def test_idle_policies(idle: IdlePolicy, shares: dict[str, float]) -> None:
    ledger = book(counter(A, growing(0.5)), counter(B, growing(0.25)), policy=Policy(idle))
    result = seconds(ledger, "tenant")
    assert {tenant: result[tenant, "idle_share"] for tenant in shares} == shares
    assert result.get((None, "idle"), 0) == 900 - sum(shares.values())


def test_even_gives_idle_time_to_all_that_are_loaded_and_proportional_to_none_without_use() -> None:
    unused = counter(A, growing(0)), counter(B, growing(0))
    even = seconds(book(*unused, policy=Policy("even")), "tenant")
    assert even == {("a", "idle_share"): 1800, ("b", "idle_share"): 1800, (None, "capacity"): 3600}
    proportional = seconds(book(*unused, policy=Policy("proportional")))
    assert proportional == {"idle": 3600, "capacity": 3600}


def test_idle_of_a_device_that_nobody_uses_does_not_disappear_when_shared() -> None:
    seen = {"GPU-0": np.arange(START - 600_000, HOUR.end, SCRAPE)}
    for idle in ("keep", "proportional", "even"):
        assert seconds(book(seen_at=seen, policy=Policy(idle))) == {"idle": 3600, "capacity": 3600}


def test_a_device_that_is_never_seen_is_all_unknown() -> None:
    assert seconds(book()) == {"unknown": 3600, "capacity": 3600}
    assert amounts(book()) == {"unknown": 3.6, "capacity": 3.6}


def test_one_missed_scrape_is_no_gap() -> None:
    samples = [(time, value) for time, value in growing(0.5) if time != 900]
    assert "unknown" not in seconds(book(counter(A, samples)))


def test_a_series_of_one_sample_in_a_new_process_has_no_use() -> None:
    ledger = book(counter(A, [(1000, 40.0)]))
    assert seconds(ledger) == {"idle": 60, "unknown": 3540, "capacity": 3600}
    assert [line.identity for line in ledger.lines if line.kind == "direct"] == [A]


def test_the_first_sample_of_a_tenant_in_a_process_that_was_scraped_before_is_its_use() -> None:
    """A tenant whose only call ever is in its first sample is not free."""
    ledger = book(counter(A, growing(0.5)), counter(B, [(1000, 4.0), (1030, 4.0)]))
    assert seconds(ledger, "tenant")["b", "direct"] == 4
    tokens = [CounterSeries(TokenUse(B, "input"), "pod-1", np.array([START + 1_000_000]), np.array([7.0]))]
    priced = [{"kind": "input", "amount": 2, "currency": "USD", "effective_from": "2026-01-01"}]
    token_tariff = Tariff(
        tariff().devices, {"resnet50": [TokenPrice.model_validate(price) for price in priced]}
    )
    rows = cost_rows(book(counter(A, growing(0.5)), tokens=tokens, tariff=token_tariff))
    assert [(row.kind, row.quantity, row.amount) for row in rows if row.unit == "tokens"] == [
        ("input", 7, 14)
    ]


def test_a_counter_that_was_evicted_and_comes_back_starts_at_zero() -> None:
    early = [(-600, 100.0), (-570, 100.0)]
    ledger = build_ledger(
        HOUR,
        Samples(
            ScrapeTiming(SCRAPE, lookback=600_000),
            [counter(A, growing(0)), counter(B, [*early, (1000, 5.0)])],
        ),
        tariff(),
    )
    assert seconds(ledger, "tenant")["b", "direct"] == 5


def test_a_restart_of_the_same_process_counts_from_zero_and_a_new_pod_is_a_new_series() -> None:
    same = [*growing(0.5, last=1800, base=1000), *growing(0.5, first=1810, last=3600)]
    assert seconds(book(counter(A, same)))["direct"] == 900 + (3580 - 1810) / 2
    old, new = counter(A, growing(0.5, last=1800)), counter(A, growing(0.5, first=1815), process="pod-2")
    assert seconds(book(old, new))["direct"] == 900 + (3600 - 1815) // 30 * 15


def test_duplicate_series_do_not_make_idle_negative() -> None:
    series = counter(A, growing(0.9))
    assert seconds(book(series, series, series)) == seconds(book(series))


def test_two_processes_that_charge_full_seconds_show_over_or_are_scaled() -> None:
    first, second = counter(A, growing(1.0)), counter(B, growing(0.5), process="pod-2")
    charged = seconds(book(first, second), "tenant")
    assert charged == {
        ("a", "direct"): 3600, ("b", "direct"): 1800, (None, "over"): 1800, (None, "capacity"): 3600,
    }  # fmt: skip
    shrunk = seconds(book(first, second, policy=Policy(shared="scale")), "tenant")
    assert shrunk == {
        ("a", "direct"): 2400, ("b", "direct"): 1200, (None, "excess"): 1800, (None, "capacity"): 3600,
    }  # fmt: skip


def test_one_process_is_not_scaled() -> None:
    ledger = book(counter(A, growing(1.5)), policy=Policy(shared="scale"))
    assert seconds(ledger) == {"direct": 5400, "over": 1800, "capacity": 3600}


def test_a_device_outside_the_inventory_is_charged_and_told() -> None:
    lost = counter(A, growing(0.5), device="GPU-9"), counter(B, growing(0.5), "pod-2", device="GPU-9")
    for shared in ("keep", "scale"):
        ledger = book(*lost, tariff=tariff(inventory=()), policy=Policy(shared=shared))
        assert seconds(ledger) == {"direct": 3600, "over": 3600}
        assert amounts(ledger) == {"direct": 3.6, "over": 3.6}
    (warning,) = ledger.warnings
    assert warning.text.startswith("Device GPU-9 (h200) is used and not in the inventory")


def test_a_cpu_process_is_there_while_it_is_seen_and_priced_by_the_process_hour() -> None:
    process = counter(A, growing(0.5, first=0, last=1740), device="host/worker", device_type="cpu-process")
    ledger = book(process, tariff=tariff(inventory=()))
    assert seconds(ledger) == {"direct": 870, "idle": 930, "capacity": 1800}
    assert amounts(ledger) == {"direct": 0.087, "idle": 0.093, "capacity": 0.18}
    assert ledger.warnings == ()


def test_a_cpu_process_in_the_inventory_has_the_time_of_its_entry() -> None:
    entry = {"device": "host/worker", "device_type": "cpu-process", "from": "2026-01-01"}
    process = counter(A, growing(0.5, first=0, last=1740), device="host/worker", device_type="cpu-process")
    ledger = book(process, tariff=tariff(inventory=[entry]))
    assert seconds(ledger) == {"direct": 870, "idle": 930, "unknown": 1800, "capacity": 3600}


def test_two_values_at_one_time_count_as_the_larger_in_any_order() -> None:
    pairs = [(0, 1.0), (30, 5.0), (30, 7.0), (60, 8.0)]
    for order in (pairs, pairs[::-1]):
        assert seconds(book(counter(A, order)))["direct"] == 7
    for order in (pairs[1:3], pairs[2:0:-1]):  # the first sample of a new process is no use
        assert "direct" not in seconds(book(counter(A, order)))


def test_use_before_a_device_is_listed_is_over() -> None:
    late = tariff([{**LISTED, "from": "2026-05-02"}])
    assert seconds(book(counter(A, growing(0.5)), tariff=late)) == {"direct": 1800, "over": 1800}


def test_devices_come_and_go_at_midnight() -> None:
    entries = [
        {**LISTED, "to": "2026-05-01"},
        {**LISTED, "device": "GPU-1", "from": "2026-05-01", "to": "2026-05-02"},
    ]
    cells = CellGrid(START - DAY, START + 2 * DAY, cell=DAY)
    ledger = book(tariff=tariff(inventory=entries), cells=cells)
    capacity = {device_of(line): line.quantities.tolist() for line in ledger.lines if line.kind == "capacity"}
    day = DAY * 1000
    assert capacity == {"GPU-0": [day, 0, 0], "GPU-1": [0, day, 0]}


def test_a_device_that_becomes_shared_changes_its_price_at_midnight() -> None:
    entries = [
        {**LISTED, "to": "2026-05-01"},
        {**LISTED, "device_type": "h200-time-sliced", "from": "2026-05-01"},
    ]
    prices = (PRICE, {**PRICE, "device_type": "h200-time-sliced", "amount": "7.20"})
    cells = CellGrid(START - 12 * CELL, START + 12 * CELL)
    values = [(time, 0.5 * (time + 4000)) for time in range(-4000, 3601, 20)]
    ledger = book(counter(A, values), tariff=tariff(entries, prices), cells=cells)
    result = amounts(ledger, "device_type")
    assert result["h200", "direct"] == result["h200", "idle"] == 1.8
    assert result["h200-time-sliced", "direct"] == 3.6
    assert amounts(ledger)["capacity"] == 3.6 + 7.2
    assert ledger.warnings == ()
    later = book(counter(A, values), tariff=tariff(entries, prices))
    assert [line.asset.device_type for line in later.lines if line.asset and line.kind == "direct"] == [
        "h200-time-sliced"
    ]


def test_a_type_that_differs_from_the_inventory_is_told_and_the_inventory_holds() -> None:
    ledger = book(counter(A, growing(0.5), device_type="h100"))
    assert seconds(ledger, "device_type")["h200", "direct"] == 1800
    text = "Device GPU-0 is h200 in the inventory and h100 in its series."
    assert ledger.warnings == (LedgerWarning(text, frozenset({A})),)


def test_an_unlisted_device_with_two_types_keeps_them_apart() -> None:
    series = counter(A, growing(0.5), device="GPU-9"), counter(A, growing(0.25), "p", "GPU-9", "h100")
    result = amounts(book(*series, tariff=tariff(inventory=())), "device_type")
    assert result == {
        ("h200", "direct"): 1.8, ("h200", "over"): 1.8, ("h100", "direct"): None, ("h100", "over"): None,
    }  # fmt: skip


def test_cells_of_an_hour_and_of_five_minutes_hold_the_same_time() -> None:
    series = counter(A, growing(0.37)), counter(B, growing(0.21))
    fine, coarse = book(*series), book(*series, cells=CellGrid(HOUR.start, HOUR.end, cell=3_600_000))
    assert seconds(fine) == pytest.approx(seconds(coarse))
    assert len(coarse.cells) == 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CellGrid(START, START + CELL, cell=7 * 60_000), "cell must divide a day"),
        (lambda: CellGrid(START, START + CELL, cell=0), "cell must divide a day"),
        (lambda: CellGrid(START + 1, START + CELL), "must be multiples of the cell"),
        (lambda: CellGrid(START, START), "holds no whole cell"),
        (lambda: snapped(START + 1, START + CELL - 1), "holds no whole cell"),
        (lambda: snapped(START, START, 0), "cell must be positive"),
        (lambda: Policy(cast("Any", "some")), "idle must be one of keep, proportional, even"),
        (lambda: Policy(shared=cast("Any", "some")), "shared must be one of keep, scale"),
        (lambda: ScrapeTiming(0), "scrape_interval must be positive"),
        (lambda: ScrapeTiming(60_000, 60_000), "lookback must be at least two scrapes, 120000 ms"),
        (lambda: counter(A, [(0, -1.0)]), "finite numbers from 0 up"),
        (lambda: counter(A, [(0, float("nan"))]), "finite numbers from 0 up"),
        (
            lambda: CounterSeries(DeviceUse("d", "t", A), "p", np.zeros(2, np.int64), np.zeros(1)),
            "of one length",
        ),
        (
            lambda: cost_rows(book(), cast("Any", ("colour",))),
            "group-by must be one of tenant, model, version",
        ),
        (lambda: cost_rows(book(), (), CELL + 1), "step must be a multiple of the cell"),
        (lambda: book(counter(A, [(0, 0.0), (30, 1e12)])), "a cell must hold at most"),
    ],
)
def test_bad_input_says_what_is_allowed(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_an_unknown_kind_of_tokens_is_refused() -> None:
    series = CounterSeries(TokenUse(A, "image"), "pod-1", np.array([START]), np.array([1.0]))
    price = {"kind": "input", "amount": 2, "currency": "USD", "effective_from": "2026-01-01"}
    token_tariff = Tariff(TARIFF.devices, {"resnet50": [TokenPrice.model_validate(price)]})
    with pytest.raises(
        ValueError, match=r"kind of tokens must be one of input, cached_input, output, reasoning"
    ):
        book(tokens=[series], tariff=token_tariff)
    assert seconds(book(tokens=[series])) == seconds(book())  # nobody pays for tokens without prices


@pytest.mark.slow
def test_ten_thousand_leaves_of_one_device_close() -> None:
    """Shares of a 10,000th of a device are rounded, and yet nothing is lost or negative."""
    steps = [(-30, 0.0), (0, 0.001), (300, 0.0237)]
    series = [
        counter(A._replace(tenant_id=f"t{number}"), steps, f"pod-{number % 3}") for number in range(10_000)
    ]
    ledger = book(*series, policy=Policy("even", "scale"), cells=CellGrid(START, START + CELL))
    assert min(line.amounts.min() for line in ledger.lines) >= 0
    charged = {row.kind: (row.quantity, row.amount or 0) for row in cost_rows(ledger)}
    assert charged["capacity"] == (300_000_000, 300_000)
    parts = [charged[kind] for kind in ("direct", "idle_share", "idle", "unknown")]
    over = charged["over"]
    for position in (0, 1):
        assert sum(part[position] for part in parts) - over[position] == charged["capacity"][position]
    by_tenant = [row.quantity for row in cost_rows(ledger, ("tenant",)) if row.kind == "direct"]
    assert (len(by_tenant), set(by_tenant)) == (10_000, {22_700})


@pytest.mark.slow
def test_sums_that_leave_64_bits_are_refused_and_not_wrong() -> None:
    """A thousand devices at the highest price for a day: 24 times 10**12 of a currency."""
    inventory = [{**LISTED, "device": f"GPU-{number}"} for number in range(1000)]
    day = CellGrid(START, START + DAY)
    dear = tariff(inventory, ({**PRICE, "amount": "1000000000"},))
    with pytest.raises(
        ValueError, match=r"a ledger must hold less than 2\*\*63 micro-units \(got 4.8e\+19\)"
    ):
        book(tariff=dear, cells=day)
    large = book(tariff=tariff(inventory[:100], ({**PRICE, "amount": "1000000000"},)), cells=day)
    assert amounts(large)["capacity"] == pytest.approx(24e11, rel=1e-12)


@pytest.mark.parametrize(
    ("month", "days"), [("2024-02", 29), ("2026-02", 28), ("2026-04", 30), ("2026-12", 31), ("2000-02", 29)]
)
def test_months_end_when_the_next_begins(month: str, days: int) -> None:
    first = midnight(datetime.date.fromisoformat(f"{month}-01"))
    for instant in (first, first + 1, first + days * DAY - 1):
        assert month_of(instant) == (first, first + days * DAY)
    assert month_of(first + days * DAY).start == first + days * DAY
