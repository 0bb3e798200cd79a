"""Every leaf of the ledger is that of a ledger in plain fractions, on random cells.

``make ledger-cells`` tries 100,000 cells.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator
from fractions import Fraction
from itertools import count
from random import Random

import numpy as np
import pytest

from datasource_support.reference_ledger import (
    Leaves,
    ReferenceCounter,
    ReferencePlane,
    reference_ledger,
)
from modelplane_datasource.costs.ledger.builder import Samples, build_ledger
from modelplane_datasource.costs.ledger.cells import CellGrid, midnight
from modelplane_datasource.costs.ledger.prices import Tariff
from modelplane_datasource.costs.ledger.usage import CounterSeries, DeviceUse, ScrapeTiming
from modelplane_datasource.timeline.times import DAY
from modelplane_schema.identity import Identity
from modelplane_schema.registry import Devices

CELLS_TO_TRY = int(os.environ.get("MODELPLANE_LEDGER_CELLS", "1000"))
SCRAPE, CELL = 60_000, 300_000
MIDNIGHT = midnight(datetime.date(2026, 3, 2))
IDENTITIES = [Identity("m", "v1", tenant, "jax") for tenant in ("a", "b", "c")]


def random_plane(random: Random) -> ReferencePlane:
    """A range around a midnight, at which the price changes and a device comes or goes."""
    before, after = random.randint(1, 8), random.randint(1, 8)
    prices = [(MIDNIGHT - DAY, Fraction(random.randint(1, 10**7), 10**5))]
    if random.random() < 0.7:
        prices.append((MIDNIGHT, Fraction(random.randint(1, 10**7), 10**5)))
    return ReferencePlane(
        MIDNIGHT - before * CELL, MIDNIGHT + after * CELL, CELL, SCRAPE,
        lookback=random.choice([4, 20, 60]) * SCRAPE,
        inventory={
            "GPU-0": (MIDNIGHT - DAY, MIDNIGHT + DAY),
            "GPU-1": random.choice([(MIDNIGHT - DAY, MIDNIGHT), (MIDNIGHT, MIDNIGHT + DAY)]),
        },
        prices=prices,
    )  # fmt: skip


def random_counters(random: Random, plane: ReferencePlane) -> Iterator[ReferenceCounter]:
    """Processes with gaps in scraping and restarts, which charge one to three identities each."""
    for number in range(random.randint(1, 3)):
        late, missed = random.randint(0, SCRAPE - 1), set[int]()
        times = range(plane.start - 3600_000 + late, plane.end + 3600_000, SCRAPE)
        for _ in range(random.randint(0, 4)):
            first = random.randrange(len(times))
            missed |= set(range(first, first + random.choice([1, 2, 3, 10, 40])))
        restarts = {random.randrange(len(times)) for _ in range(random.randint(0, 3))}
        device = random.choice(["GPU-0", "GPU-0", "GPU-1", "GPU-lost"])
        for identity in random.sample(IDENTITIES, random.randint(1, 3)):
            rate, value, samples = random.choice([0, 3, 20, 55]), 100.0, []
            begins = random.choice([0, 0, random.randrange(len(times))])
            for place, time in enumerate(times):
                value = 0.0 if place in restarts else value + random.randint(0, rate) / 8
                if place >= begins and place not in missed:
                    samples.append((time, value))
            if samples:
                yield ReferenceCounter(device, identity, f"pod-{number}", samples)


def ledger_leaves(plane: ReferencePlane, counters: list[ReferenceCounter]) -> Leaves:
    inventory = [
        {"device": device, "device_type": "h200", "from": _day(start), "to": _day(end)}
        for device, (start, end) in plane.inventory.items()
    ]
    prices = [
        {
            "device_type": "h200",
            "amount": f"{float(amount):f}",
            "currency": "USD",
            "effective_from": _day(time),
        }
        for time, amount in plane.prices
    ]
    series = [
        CounterSeries(
            DeviceUse(counter.device, "h200", counter.identity), counter.process,
            np.array([time for time, _ in counter.samples], dtype=np.int64),
            np.array([value for _, value in counter.samples]),
        )
        for counter in counters
    ]  # fmt: skip
    samples = Samples(ScrapeTiming(plane.scrape, plane.lookback), series)
    tariff = Tariff(Devices.model_validate({"inventory": inventory, "prices": prices}))
    lines = build_ledger(CellGrid(plane.start, plane.end, plane.cell), samples, tariff).lines
    return {
        (line.kind, line.asset.device, line.identity): values
        for line in lines
        if line.asset is not None
        and any(
            map(
                any,
                values := list(
                    zip(line.quantities.tolist(), line.estimated.tolist(), line.amounts.tolist(), strict=True)
                ),
            )
        )
    }


def _day(time: int) -> str:
    return datetime.datetime.fromtimestamp(time / 1000, datetime.UTC).date().isoformat()


@pytest.mark.slow
def test_every_leaf_of_random_cells_is_that_of_the_reference() -> None:
    tried = 0
    for seed in count():
        random = Random(seed)
        plane = random_plane(random)
        counters = list(random_counters(random, plane))
        assert ledger_leaves(plane, counters) == reference_ledger(plane, counters), f"seed {seed}"
        tried += len(plane.cells) * len({*plane.inventory, *(counter.device for counter in counters)})
        if tried >= CELLS_TO_TRY:
            break
