"""Which devices there are when, what is known of them, and what each was used for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import compress, groupby
from typing import NamedTuple

import numpy as np

from modelplane_datasource.costs.ledger.allocation import MICRO, whole
from modelplane_datasource.costs.ledger.cells import CellGrid, midnight
from modelplane_datasource.costs.ledger.gaps import FOREVER, common, complement, held_ranges, merged
from modelplane_datasource.costs.ledger.lines import Asset
from modelplane_datasource.costs.ledger.prices import Tariff
from modelplane_datasource.costs.ledger.usage import (
    CellUse,
    CounterSeries,
    DeviceUse,
    Scrapes,
    ScrapeTiming,
    use_in_cells,
)
from modelplane_datasource.timeline.arrays import BoolArray, IntArray
from modelplane_schema.identity import Identity
from modelplane_schema.registry import Device

CPU_PROCESS = "cpu-process"

Inventory = Mapping[str, tuple[Device, ...]]


class DeviceSamples(NamedTuple):
    """The counters of one device, when anything carried it, and when all processes were scraped."""

    device: str
    counters: tuple[CounterSeries[DeviceUse], ...]
    seen_at: IntArray
    scrapes: Scrapes
    timing: ScrapeTiming


class Charges(NamedTuple):
    """Use of one asset: ``direct``, the part of it that is ``estimated`` (micro-seconds) and ``present`` are
    (identities, cells), ``shared``, whether several processes were there, is (cells,).
    """

    identities: tuple[Identity, ...]
    direct: IntArray
    estimated: IntArray
    present: BoolArray
    shared: BoolArray


class HiddenUse(NamedTuple):
    """Identities of one model of which gaps in scraping hide what they used, and the time of these gaps."""

    model_name: str
    identities: frozenset[Identity]
    ranges: IntArray


class Holding(NamedTuple):
    """One asset: the ranges of time in which it is ``there``, and its use.

    ``unknown`` are those in which it is there and nothing tells of it, or gaps hide use; ``unseen`` those
    without such gaps. ``begins`` is when its inventory begins, 0 where it is in none.
    """

    asset: Asset
    begins: int
    there: IntArray
    unknown: IntArray
    unseen: IntArray
    hidden: tuple[HiddenUse, ...]
    charges: Charges


def inventory_of(tariff: Tariff) -> Inventory:
    """The entries of each device, by date."""
    by_date = sorted(tariff.devices.inventory, key=lambda entry: (entry.device, entry.from_))
    return {device: tuple(entries) for device, entries in groupby(by_date, lambda entry: entry.device)}


def holdings(samples: DeviceSamples, entries: Sequence[Device], cells: CellGrid) -> Iterator[Holding]:
    """A device as each of its types: those of the inventory, else those of its series."""
    if entries:
        yield from _listed(samples, entries, cells)
        return
    everywhere = np.ones(len(cells), dtype=np.bool_)
    for device_type, counters in groupby(samples.counters, lambda counter: counter.key.device_type):
        use = _use(samples, tuple(counters), cells)
        known = _known(samples, use)
        there = known if device_type == CPU_PROCESS else known[:0]
        yield _holding(samples, Asset(samples.device, device_type), 0, there, known, use, everywhere)


def _listed(samples: DeviceSamples, entries: Sequence[Device], cells: CellGrid) -> Iterator[Holding]:
    use = _use(samples, samples.counters, cells)
    known = _known(samples, use)
    begins = np.array([midnight(entry.from_) for entry in entries], dtype=np.int64)
    entry_of_cell = np.maximum(np.searchsorted(begins, cells.starts, side="right") - 1, 0)
    for device_type in sorted({entry.device_type for entry in entries}):
        chosen = [position for position, entry in enumerate(entries) if entry.device_type == device_type]
        there = merged(np.array([_range(entries[position]) for position in chosen], dtype=np.int64))
        asset = Asset(samples.device, device_type)
        first = midnight(entries[chosen[0]].from_)
        yield _holding(samples, asset, first, there, known, use, np.isin(entry_of_cell, chosen))


def _range(entry: Device) -> tuple[int, int]:
    return midnight(entry.from_), FOREVER if entry.to is None else midnight(entry.to)


def _use(
    samples: DeviceSamples, counters: Sequence[CounterSeries[DeviceUse]], cells: CellGrid
) -> CellUse[Identity]:
    return use_in_cells(counters, lambda key: key.identity, samples.scrapes, cells, samples.timing, MICRO)


def _known(samples: DeviceSamples, use: CellUse[Identity]) -> IntArray:
    """The time in which a sample carried the device, or over which its use is spread."""
    return merged(held_ranges(samples.seen_at, samples.timing.hold), use.gaps.bridged_ranges())


def _holding(
    samples: DeviceSamples,
    asset: Asset,
    begins: int,
    there: IntArray,
    known: IntArray,
    use: CellUse[Identity],
    cell_mask: BoolArray,
) -> Holding:
    hold = samples.timing.hold
    hidden = use.gaps.hidden_ranges(hold)
    unknown = common(there, merged(complement(known), hidden))
    unseen = common(unknown, complement(hidden))
    return Holding(
        asset, begins, there, unknown, unseen, tuple(_hidden_use(use, hold)), _charges(use, cell_mask)
    )


def _hidden_use(use: CellUse[Identity], hold: int) -> Iterator[HiddenUse]:
    rows_of: defaultdict[str, list[int]] = defaultdict(list)
    for row in use.gaps.hidden_rows().tolist():
        rows_of[use.rows[row].model_name].append(row)
    for model_name, rows in rows_of.items():
        identities = frozenset(use.rows[row] for row in rows)
        yield HiddenUse(model_name, identities, use.gaps.hidden_ranges(hold, np.array(rows)))


def _charges(use: CellUse[Identity], cell_mask: BoolArray) -> Charges:
    """Use by identity, each rounded once; identities that are in none of the cells are left out."""
    present = use.present & cell_mask
    chosen: BoolArray = np.any(present, axis=1)
    direct = whole(use.increase[chosen] * cell_mask)
    return Charges(
        tuple(compress(use.rows, chosen)),
        direct,
        np.minimum(whole(use.estimated[chosen] * cell_mask), direct),
        present[chosen],
        cell_mask & (use.processes > 1),
    )
