"""What is odd about the registry, the series or the scraping behind a ledger, in sentences."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from modelplane_datasource.costs.ledger.cells import CellGrid
from modelplane_datasource.costs.ledger.gaps import time_in_cells
from modelplane_datasource.costs.ledger.holdings import CPU_PROCESS, Holding, Inventory
from modelplane_datasource.costs.ledger.lines import LedgerWarning, Line
from modelplane_datasource.costs.ledger.prices import Priced, Tariff, price_warnings
from modelplane_datasource.costs.ledger.usage import CounterSeries, DeviceUse, TokenUse
from modelplane_datasource.timeline.arrays import IntArray
from modelplane_datasource.timeline.times import format_rfc3339
from modelplane_schema.identity import Identity

DeviceSeries = Mapping[str, Sequence[CounterSeries[DeviceUse]]]


def inventory_warnings(used: DeviceSeries, inventory: Inventory) -> Iterator[LedgerWarning]:
    """A sentence for each device that the inventory lists not at all, or as another type."""
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


def unknown_warnings(
    holding: Holding, counters: Iterable[CounterSeries[DeviceUse]], cells: CellGrid, lookback: int
) -> Iterator[LedgerWarning]:
    """Sentences for a device that is used and of which something is unknown in some of the cells.

    That it was not seen is for all who use it, that gaps hide use for those whose use that is.
    """
    device = holding.asset.device
    users = frozenset(counter.key.identity for counter in counters)
    if users and (period := _period(holding.unseen, cells)):
        text = (
            f"Device {device} is partly unknown {period}: it was not scraped, and no counter tells what was "
            "used."
        )
        yield LedgerWarning(text, users)
    for hidden in holding.hidden:
        if period := _period(hidden.ranges, cells):
            text = (
                f"Device {device} is partly unknown {period}: a process of {hidden.model_name} "
                f"{_hidden_by(lookback)}; what it used meanwhile is not known."
            )
            yield LedgerWarning(text, hidden.identities)


def _hidden_by(lookback: int) -> str:
    return (
        "restarted while it was not scraped, or was not scraped for longer than lookback_seconds "
        f"({lookback / 1000:g})"
    )


def _period(ranges: IntArray, cells: CellGrid) -> str | None:
    """From the first to the last of the cells that ``ranges`` lie in; None where they lie in none."""
    places = np.flatnonzero(time_in_cells(ranges, cells))
    if not len(places):
        return None
    first, last = (int(cells.starts[place]) for place in places[[0, -1]])
    return f"from {format_rfc3339(first)} to {format_rfc3339(last + cells.cell)}"


def hidden_token_warnings(hidden: Iterable[TokenUse], lookback: int) -> Iterator[LedgerWarning]:
    """A sentence for each model of whose tokens gaps in scraping hide some."""
    users: defaultdict[str, set[Identity]] = defaultdict(set)
    for use in hidden:
        users[use.identity.model_name].add(use.identity)
    for model_name, identities in sorted(users.items()):
        text = (
            f"Tokens of {model_name} are missing: a process {_hidden_by(lookback)}; what it counted "
            "meanwhile is not known."
        )
        yield LedgerWarning(text, frozenset(identities))


def jump_warnings(tariff: Tariff, lines: Iterable[Line]) -> Iterator[LedgerWarning]:
    """The sentences about prices, for those who pay them."""
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
