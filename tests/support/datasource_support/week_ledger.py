"""Ledgers of one device from the first of a month on."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

import numpy as np

from modelplane_datasource.costs.ledger.builder import Samples, build_ledger
from modelplane_datasource.costs.ledger.cells import CellGrid, midnight
from modelplane_datasource.costs.ledger.lines import KEEP, Ledger, Policy
from modelplane_datasource.costs.ledger.prices import Tariff
from modelplane_datasource.costs.ledger.usage import CounterSeries, DeviceUse, ScrapeTiming, TokenUse
from modelplane_datasource.timeline.arrays import FloatArray, IntArray
from modelplane_datasource.timeline.times import DAY
from modelplane_schema.identity import Identity
from modelplane_schema.registry import (
    Devices,
    TokenPrice,
)

MAY = datetime.date(2026, 5, 1)
START = midnight(MAY)
SCRAPE = 300_000
TOKEN_PRICES = [
    TokenPrice.model_validate(
        {"kind": kind, "amount": amount, "currency": "USD", "effective_from": "2026-01-01"}
    )
    for kind, amount in (("input", "2"), ("output", "8"))
]

A, B = (Identity("resnet50", "v1", tenant, "pytorch") for tenant in ("a", "b/c"))


def ledger(
    days: float,
    tenants: dict[Identity, float],
    policy: Policy = KEEP,
    prices: Sequence[tuple[str, str, str]] = (("2026-01-01", "3.60", "USD"),),
    gap: tuple[float, float] = (0, 0),
    first_day: int = 0,
    tokens: dict[str, float] | None = None,
    begins: dict[Identity, float] | None = None,
    until: float = 1,
    token_prices: Sequence[TokenPrice] = TOKEN_PRICES,
) -> Ledger:
    """One device; ``tenants`` are shares of it, ``gap`` is in days; ``tokens`` are per scrape and kind.

    ``begins`` says of tenants on which day they begin to use it, and ``until`` which part of each day, from
    midnight on, it is used.
    """
    cells = CellGrid(START + first_day * DAY, round(START + days * DAY))
    times = np.arange(cells.start - 2 * SCRAPE, cells.end + 1, SCRAPE)
    age = (times - START) / DAY
    times = times[(age <= gap[0]) | (age >= gap[1])]
    series = [
        CounterSeries(
            DeviceUse("GPU-0", "h200", identity),
            "pod-1",
            times,
            share * _used_seconds(times, (begins or {}).get(identity, first_day - 1), until),
        )
        for identity, share in tenants.items()
    ]
    counts = [
        CounterSeries(TokenUse(A, kind), "pod-1", times, np.arange(len(times), dtype=np.float64) * number)
        for kind, number in (tokens or {}).items()
    ]
    dated = [
        {"device_type": "h200", "amount": amount, "currency": currency, "effective_from": day}
        for day, amount, currency in prices
    ]
    listed = [{"device": "GPU-0", "device_type": "h200", "from": "2026-01-01"}]
    tariff = Tariff(
        Devices.model_validate({"inventory": listed, "prices": dated}), {"resnet50": token_prices}
    )
    return build_ledger(cells, Samples(ScrapeTiming(SCRAPE), series, counts), tariff, policy)


def _used_seconds(times: IntArray, begin: float, until: float) -> FloatArray:
    """Seconds since the day ``begin`` that lie in the first part of a day, ``until``."""
    days, part = np.divmod(times - START - begin * DAY, DAY)
    seconds: FloatArray = (days * until * DAY + np.minimum(part, until * DAY)) / 1000
    return np.maximum(seconds, 0)
