"""Samples, inventory and prices become a ledger."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress, groupby
from typing import NamedTuple

import numpy as np

from modelplane_datasource.costs.ledger.allocation import MICRO, balanced, idle_shares, scaled, whole
from modelplane_datasource.costs.ledger.cells import (
    CellGrid,
    held_ranges,
    midnight,
    seen_in_cells,
    time_in_cells,
)
from modelplane_datasource.costs.ledger.lines import (
    CAPACITY,
    DIRECT,
    EXCESS,
    IDLE,
    IDLE_SHARE,
    KEEP,
    OVER,
    UNKNOWN,
    Asset,
    Ledger,
    LedgerWarning,
    Line,
    Policy,
)
from modelplane_datasource.costs.ledger.prices import (
    Priced,
    Rates,
    Tariff,
    device_rates,
    price_warnings,
    token_rates,
)
from modelplane_datasource.costs.ledger.usage import (
    CounterSeries,
    DeviceUse,
    Scrapes,
    ScrapeTiming,
    TokenUse,
    union_of,
    use_in_cells,
)
from modelplane_datasource.timeline.arrays import BoolArray, IntArray
from modelplane_datasource.timeline.time_range import TimeRange
from modelplane_schema.identity import Identity
from modelplane_schema.metrics import TOKEN_KINDS
from modelplane_schema.registry import Device

CPU_PROCESS = "cpu-process"
MICROSECONDS = 1000  # in a millisecond
_FOREVER = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class Samples:
    """All that was measured from ``timing.lookback`` before the first cell to the end of the last.

    Give the series of every identity on a device, or its idle time is wrong; what is shown to whom is decided
    on rows. ``seen_at`` are further times, in milliseconds, at which a series carried a device, such as
    those of its utilization.
    """

    timing: ScrapeTiming
    device_seconds: Sequence[CounterSeries[DeviceUse]] = ()
    tokens: Sequence[CounterSeries[TokenUse]] = ()
    seen_at: Mapping[str, IntArray] = field(default_factory=dict)


class _Charges(NamedTuple):
    """Use of one asset: ``direct`` (micro-seconds) and ``sampled`` are (identities, cells)."""

    identities: tuple[Identity, ...]
    direct: IntArray
    sampled: BoolArray
    shared: BoolArray  # (cells,): more than one process was seen


class _Holding(NamedTuple):
    """One asset: its ``ranges`` in the inventory, the series charged to it and the cells of these."""

    asset: Asset
    ranges: tuple[TimeRange, ...]
    series: tuple[CounterSeries[DeviceUse], ...]
    cell_mask: BoolArray


def build_ledger(cells: CellGrid, samples: Samples, tariff: Tariff, policy: Policy = KEEP) -> Ledger:
    """The ledger of ``cells``; ValueError for samples that cannot be.

    A device that the inventory does not list has no capacity: what it is used for is charged, and stands in
    ``over`` too. One of the type ``cpu-process`` is there while samples carry it. A device that the inventory
    lists has the inventory's type, whatever its series say. Warnings report both.
    """
    series = sorted(samples.device_seconds, key=lambda counter: counter.key)
    tokens = sorted(samples.tokens, key=lambda counter: counter.key)
    scrapes = Scrapes((*series, *tokens))
    inventory = _inventory(tariff)
    used = _by_device(series)
    lines: list[Line] = []
    for device in sorted(inventory.keys() | used.keys()):
        counters, entries = used.get(device, ()), inventory.get(device, ())
        extra = samples.seen_at.get(device, np.zeros(0, dtype=np.int64))
        seen_at = union_of((extra, *(counter.scrapes for counter in counters)))
        for holding in _holdings(device, counters, entries, seen_at, samples.timing, cells):
            seen = seen_in_cells(seen_at, samples.timing.hold, holding.ranges, cells)
            rates = device_rates(tariff.of_device_type(holding.asset.device_type), cells)
            charges = _charges(holding, scrapes, cells, samples.timing)
            lines += _asset_lines(holding, charges, seen, rates, cells, policy)
    lines += _token_lines(tokens, scrapes, tariff, cells, samples.timing)
    _check_sums(lines)
    warnings = (*_inventory_warnings(used, inventory), *_price_warnings(tariff, lines))
    return Ledger(cells, policy, tuple(lines), warnings)


def _check_sums(lines: Sequence[Line]) -> None:
    """ValueError when whatever is summed of ``lines`` may leave 64 bits."""
    for values in ([line.quantities for line in lines], [line.amounts for line in lines]):
        total = sum(float(of_line.sum(dtype=np.float64)) for of_line in values)
        if total >= _FOREVER:
            raise ValueError(f"a ledger must hold less than 2**63 micro-units (got {total:g})")


def _inventory(tariff: Tariff) -> dict[str, tuple[Device, ...]]:
    """The entries of each device, by date."""
    by_date = sorted(tariff.devices.inventory, key=lambda entry: (entry.device, entry.from_))
    return {device: tuple(entries) for device, entries in groupby(by_date, lambda entry: entry.device)}


def _by_device(series: Sequence[CounterSeries[DeviceUse]]) -> dict[str, tuple[CounterSeries[DeviceUse], ...]]:
    """The series of each device, by device type."""
    by_device = groupby(series, lambda counter: counter.key.device)
    return {device: tuple(counters) for device, counters in by_device}


def _holdings(
    device: str,
    series: tuple[CounterSeries[DeviceUse], ...],
    entries: Sequence[Device],
    seen_at: IntArray,
    timing: ScrapeTiming,
    cells: CellGrid,
) -> Iterator[_Holding]:
    if not entries:
        everywhere = np.ones(len(cells), dtype=np.bool_)
        for device_type, counters in groupby(series, lambda counter: counter.key.device_type):
            ranges = held_ranges(seen_at, timing.hold) if device_type == CPU_PROCESS else ()
            yield _Holding(Asset(device, device_type), ranges, tuple(counters), everywhere)
        return
    begins = np.array([midnight(entry.from_) for entry in entries], dtype=np.int64)
    entry_of_cell = np.maximum(np.searchsorted(begins, cells.starts, side="right") - 1, 0)
    for device_type in sorted({entry.device_type for entry in entries}):
        chosen = [position for position, entry in enumerate(entries) if entry.device_type == device_type]
        ranges = tuple(_range(entries[position]) for position in chosen)
        yield _Holding(Asset(device, device_type), ranges, series, np.isin(entry_of_cell, chosen))


def _range(entry: Device) -> TimeRange:
    return TimeRange(midnight(entry.from_), _FOREVER if entry.to is None else midnight(entry.to))


def _charges(holding: _Holding, scrapes: Scrapes, cells: CellGrid, timing: ScrapeTiming) -> _Charges:
    """Use by identity, each rounded once; identities without a sample in ``cells`` are left out."""
    use = use_in_cells(holding.series, lambda key: key.identity, scrapes, cells, timing)
    sampled = use.sampled & holding.cell_mask
    seen: BoolArray = np.any(sampled, axis=1)
    identities = tuple(compress(use.rows, seen))
    direct = whole(MICRO * use.increase[seen] * holding.cell_mask)
    return _Charges(identities, direct, sampled[seen], holding.cell_mask & (use.processes > 1))


def _asset_lines(
    holding: _Holding, charges: _Charges, seen: IntArray, rates: Rates, cells: CellGrid, policy: Policy
) -> list[Line]:
    present = time_in_cells(holding.ranges, cells)
    capacity, unknown = present * MICROSECONDS, (present - seen) * MICROSECONDS
    direct, identities = charges.direct, charges.identities
    if policy.shared == "scale":
        direct = scaled(direct, capacity, charges.shared)
    time = balanced(direct, unknown, capacity)
    # Money is balanced as time is, so that a leaf is rounded once and the capacity costs what it costs: the
    # remainders of rounding end in idle or over, at most half a micro-unit for each identity of a cell.
    money = balanced(rates.cost(direct), rates.cost(unknown), rates.cost(capacity))
    time_shares = idle_shares(time.idle, direct, charges.sampled, policy.idle)
    money_shares = idle_shares(money.idle, direct, charges.sampled, policy.idle)

    def line(kind: str, identity: Identity | None, quantities: IntArray, amounts: IntArray) -> Line:
        return Line(kind, holding.asset, identity, quantities, amounts, rates)

    rows = enumerate(identities)
    lines = [line(DIRECT, identity, direct[row], money.direct[row]) for row, identity in rows]
    if policy.idle != "keep":
        rows = enumerate(identities)
        lines += [line(IDLE_SHARE, identity, time_shares[row], money_shares[row]) for row, identity in rows]
    if policy.shared == "scale":
        taken = (charges.direct - direct).sum(axis=0)
        lines.append(line(EXCESS, None, taken, rates.cost(taken)))
    idle = time.idle - time_shares.sum(axis=0), money.idle - money_shares.sum(axis=0)
    return [
        *lines,
        line(IDLE, None, *idle),
        line(UNKNOWN, None, time.unknown, money.unknown),
        line(OVER, None, time.over, money.over),
        line(CAPACITY, None, time.capacity, money.capacity),
    ]


def _token_lines(
    series: Sequence[CounterSeries[TokenUse]],
    scrapes: Scrapes,
    tariff: Tariff,
    cells: CellGrid,
    timing: ScrapeTiming,
) -> Iterator[Line]:
    """Lines for the tokens of models that have token prices, each identity and kind apart."""
    for model_name, counters in groupby(series, lambda counter: counter.key.identity.model_name):
        if model_name not in tariff.tokens:
            continue
        use = use_in_cells(counters, lambda key: key, scrapes, cells, timing)
        kinds = {key.kind for key in use.rows}
        rates = {kind: _token_rates(tariff, model_name, kind, cells) for kind in kinds}
        seen: BoolArray = np.any(use.sampled, axis=1)
        for key, tokens in zip(compress(use.rows, seen), whole(use.increase[seen]), strict=True):
            of_kind = rates[key.kind]
            yield Line(key.kind, None, key.identity, tokens, of_kind.cost(tokens), of_kind)


def _token_rates(tariff: Tariff, model_name: str, kind: str, cells: CellGrid) -> Rates:
    if kind not in TOKEN_KINDS:
        raise ValueError(f"kind of tokens must be one of {', '.join(TOKEN_KINDS)} (got {kind!r})")
    return token_rates(tariff.of_tokens(model_name, kind), cells)


def _inventory_warnings(
    used: Mapping[str, Sequence[CounterSeries[DeviceUse]]], inventory: Mapping[str, Sequence[Device]]
) -> Iterator[LedgerWarning]:
    for device, series in used.items():
        listed = {entry.device_type for entry in inventory.get(device, ())}
        users: defaultdict[str, set[Identity]] = defaultdict(set)
        for counter in series:
            users[counter.key.device_type].add(counter.key.identity)
        for device_type in sorted(users.keys() - listed):
            identities = frozenset(users[device_type])
            if listed:
                types = ", ".join(sorted(listed))
                text = f"Device {device} is {types} in the inventory and {device_type} in its series."
                yield LedgerWarning(text, identities)
            elif device_type != CPU_PROCESS:
                text = (
                    f"Device {device} ({device_type}) is used and not in the inventory: "
                    "it has no capacity, and all its use is over."
                )
                yield LedgerWarning(text, identities)


def _price_warnings(tariff: Tariff, lines: Sequence[Line]) -> Iterator[LedgerWarning]:
    payers: defaultdict[Priced, set[Identity]] = defaultdict(set)
    for line in lines:
        if line.identity is not None:
            payers[_priced(line, line.identity)].add(line.identity)
    for priced, text in price_warnings(tariff):
        yield LedgerWarning(text, frozenset(payers[priced]))


def _priced(line: Line, identity: Identity) -> Priced:
    if line.asset is None:
        return Priced(identity.model_name, line.kind)
    return Priced(None, line.asset.device_type)
