"""Generated counters of devices, and the ledgers of them."""

from __future__ import annotations

import datetime
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from decimal import Decimal

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

from modelplane_datasource.costs.ledger.builder import Samples, build_ledger
from modelplane_datasource.costs.ledger.cells import CellGrid, midnight
from modelplane_datasource.costs.ledger.lines import KEEP, Asset, Ledger, Line, Policy
from modelplane_datasource.costs.ledger.prices import Tariff
from modelplane_datasource.costs.ledger.report import CostRow
from modelplane_datasource.costs.ledger.usage import CounterSeries, DeviceUse, ScrapeTiming
from modelplane_datasource.timeline.arrays import IntArray
from modelplane_schema.identity import Identity
from modelplane_schema.registry import Device, Devices, Price, TokenPrice

SCRAPE, CELL = 60_000, 300_000
TIMING = ScrapeTiming(SCRAPE, lookback=4 * SCRAPE)
MIDNIGHT = midnight(datetime.date(2026, 3, 2))
CELLS = CellGrid(MIDNIGHT - 3 * CELL, MIDNIGHT + 3 * CELL)  # a price changes in the middle
MINUTES = (CELLS.end - CELLS.start) // SCRAPE + 10
IDENTITIES = [Identity("m", version, tenant, "jax") for version in ("v1", "v2") for tenant in ("a", "b")]
OTHER = Identity("other", "v1", "c", "jax")
LISTED = ("GPU-0", "GPU-1")
POLICIES = [Policy(idle, shared) for idle in ("keep", "proportional", "even") for shared in ("keep", "scale")]
DeviceSeries = list[CounterSeries[DeviceUse]]
PROPERTY = settings(max_examples=40)


def tariff(*amounts: str, currency: str = "USD", tokens: Sequence[TokenPrice] = ()) -> Tariff:
    """Prices from the day before the middle of ``CELLS`` on, one a day; the devices are always there."""
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
    times = np.array([CELLS.start - 10 * SCRAPE + minute * SCRAPE + late for minute in minutes])
    key = DeviceUse(draw(st.sampled_from(devices)), "h200", draw(st.sampled_from(IDENTITIES)))
    return CounterSeries(key, draw(st.sampled_from(("pod-1", "pod-2"))), times, np.array(values[1:]))


def several() -> st.SearchStrategy[DeviceSeries]:
    """Counters here and there, or of processes that together take more than the one device there is."""
    crowd = counters(devices=LISTED[:1], least=18, slowest=50)
    few, many = (
        st.lists(counter, min_size=least, max_size=6, unique_by=lambda series: (series.key, series.process))
        for counter, least in ((counters(), 1), (crowd, 3))
    )
    return st.one_of(few, many)


def ledger(
    series: Iterable[CounterSeries[DeviceUse]],
    tariff: Tariff = PRICED,
    policy: Policy = KEEP,
    cells: CellGrid = CELLS,
) -> Ledger:
    return build_ledger(cells, Samples(TIMING, tuple(series)), tariff, policy)


def totals(rows: Iterable[CostRow]) -> Counter[tuple[object, ...]]:
    """Quantities and amounts by group, kind and currency; what is 0 is not there."""
    sums: Counter[tuple[object, ...]] = Counter()
    for row in rows:
        sums[row.group, row.kind, row.currency, "quantity"] += row.quantity
        sums[row.group, row.kind, row.currency, "amount"] += row.amount or 0
    return +sums


def device_of(line: Line) -> str:
    assert line.asset is not None
    return line.asset.device


def leaves(book: Ledger) -> dict[tuple[object, ...], tuple[list[int], list[int]]]:
    return {
        (line.kind, line.asset, line.identity): (line.quantities.tolist(), line.amounts.tolist())
        for line in book.lines
        if line.quantities.any() or line.amounts.any()
    }


def direct_of(book: Ledger, kind: str = "direct") -> dict[object, IntArray]:
    return {(line.asset, line.identity): line.amounts for line in book.lines if line.kind == kind}


def direct_time(book: Ledger) -> dict[Asset, IntArray]:
    sums: defaultdict[Asset, IntArray] = defaultdict(lambda: np.zeros(len(CELLS), dtype=np.int64))
    for line in book.lines:
        if line.kind == "direct" and line.asset is not None:
            sums[line.asset] += line.quantities
    return sums
