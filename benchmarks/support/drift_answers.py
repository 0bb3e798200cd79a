"""What Prometheus answers to the queries of drift, from arrays of counts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from modelplane_datasource.prometheus.decoding import InstantSample
from modelplane_datasource.prometheus.ranges import RangeTable
from modelplane_datasource.timeline.grid import Grid
from modelplane_schema.metrics import ALL_TENANTS, MISSING_BIN

STEP, END = 60_000, 1_698_400_800_000

Array = NDArray[np.float64]


class Counts(NamedTuple):
    """Live counts (signals, windows, bins) and ratios (signals, bins); missing values are in the last bin.

    ``deviations`` and ``squares`` are the sums of (signals, windows).
    """

    live: Array
    ratios: Array
    observations: float
    deviations: Array
    squares: Array


class Fetched:
    """What Prometheus answered to the queries of drift, parsed."""

    def __init__(self, counts: Counts) -> None:
        self.queries = 0
        signals, windows, width = counts.live.shape
        bins = (*(f"{index:02d}" for index in range(width - 1)), MISSING_BIN)
        version = [
            {
                "model_name": "m",
                "model_version": "v1",
                "kind": "input",
                "signal": f"{index:05d}",
                "baseline": "a",
            }
            for index in range(signals)
        ]
        owners = [{**labels, "tenant_id": ALL_TENANTS} for labels in version]
        self.grid = Grid(END - (windows - 1) * STEP, END, STEP)
        by_bin = tuple({**owner, "bin": name} for owner in owners for name in bins)
        self.counts = RangeTable(by_bin, counts.live.swapaxes(1, 2).reshape(len(by_bin), -1))
        self.deviations = RangeTable(tuple(owners), counts.deviations)
        self.squares = RangeTable(tuple(owners), counts.squares)
        self.ratios = tuple(
            InstantSample({**labels, "bin": name}, ratio)
            for labels, shares in zip(version, counts.ratios.tolist(), strict=True)
            for name, ratio in zip(bins, shares, strict=True)
        )
        self.sizes = tuple(InstantSample(labels, counts.observations) for labels in version)

    def query_table(self, promql: str, _grid: Grid) -> RangeTable:
        self.queries += 1
        if "deviation_square" in promql:
            return self.squares
        return self.deviations if "deviation" in promql else self.counts

    def query(self, promql: str, _instant: int) -> tuple[InstantSample, ...]:
        self.queries += 1
        return self.ratios if "ratio" in promql else self.sizes
