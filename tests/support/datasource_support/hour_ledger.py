"""Ledgers of an hour of one device, from counters given by hand."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from modelplane_datasource.costs.ledger.builder import Samples, build_ledger
from modelplane_datasource.costs.ledger.cells import CellGrid, midnight
from modelplane_datasource.costs.ledger.lines import KEEP, Ledger, Policy
from modelplane_datasource.costs.ledger.prices import Tariff
from modelplane_datasource.costs.ledger.report import GroupBy, cost_rows
from modelplane_datasource.costs.ledger.usage import CounterSeries, DeviceUse, ScrapeTiming
from modelplane_schema.identity import Identity
from modelplane_schema.registry import Devices

SCRAPE, CELL = 30_000, 300_000
START = midnight(datetime.date(2026, 5, 1))
HOUR = CellGrid(START, START + 12 * CELL)
A, B = (Identity("resnet50", "v1", tenant, "pytorch") for tenant in ("a", "b"))
PRICE = {"device_type": "h200", "amount": "3.60", "currency": "USD", "effective_from": "2026-01-01"}
LISTED = {"device": "GPU-0", "device_type": "h200", "from": "2026-01-01"}
CPU_PRICE = {**PRICE, "device_type": "cpu-process", "amount": "0.36"}


def tariff(
    inventory: Sequence[Mapping[str, object]] = (LISTED,),
    prices: Sequence[Mapping[str, object]] = (PRICE, CPU_PRICE),
) -> Tariff:
    return Tariff(Devices.model_validate({"inventory": inventory, "prices": prices}))


TARIFF = tariff()


def counter(
    identity: Identity,
    seconds: Sequence[tuple[float, float]],
    process: str = "pod-1",
    device: str = "GPU-0",
    device_type: str = "h200",
) -> CounterSeries[DeviceUse]:
    """``seconds`` are pairs of seconds since START and value."""
    times = np.array([START + round(1000 * time) for time, _ in seconds], dtype=np.int64)
    values = np.array([value for _, value in seconds], dtype=np.float64)
    return CounterSeries(DeviceUse(device, device_type, identity), process, times, values)


def growing(
    share: float, first: int = -600, last: int = 3600, base: float = 0.0
) -> list[tuple[float, float]]:
    """A scrape every 30 s of a counter that grows by ``share`` device-seconds a second."""
    return [(time, base + share * (time - first)) for time in range(first, last + 1, 30)]


def book(
    *series: CounterSeries[DeviceUse],
    policy: Policy = KEEP,
    tariff: Tariff = TARIFF,
    cells: CellGrid = HOUR,
    **more: Any,
) -> Ledger:
    return build_ledger(cells, Samples(ScrapeTiming(SCRAPE), series, **more), tariff, policy)


def seconds(ledger: Ledger, *by: GroupBy) -> dict[object, float]:
    """Seconds by kind, or by group and kind; what is 0 is left out."""
    return {
        (*row.group, row.kind) if by else row.kind: row.quantity / 1e6
        for row in cost_rows(ledger, by)
        if row.quantity
    }


def amounts(ledger: Ledger, *by: GroupBy) -> dict[object, float | None]:
    return {
        (*row.group, row.kind) if by else row.kind: None if row.amount is None else row.amount / 1e6
        for row in cost_rows(ledger, by)
        if row.quantity
    }
