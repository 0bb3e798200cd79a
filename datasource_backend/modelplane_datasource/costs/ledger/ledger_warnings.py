"""What is odd about the registry, the series or the scraping behind a ledger, in sentences."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from modelplane_datasource.costs.ledger.cells import CellGrid
from modelplane_datasource.costs.ledger.holdings import CPU_PROCESS, Inventory
from modelplane_datasource.costs.ledger.lines import UNKNOWN, LedgerWarning, Line
from modelplane_datasource.costs.ledger.prices import Priced, Tariff, price_warnings
from modelplane_datasource.costs.ledger.usage import CounterSeries, DeviceUse, TokenUse
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


def unknown_warnings(lines: Iterable[Line], used: DeviceSeries, cells: CellGrid) -> Iterator[LedgerWarning]:
    """A sentence for each device that is used and unknown in some of the cells, for those who use it."""
    for line in lines:
        if line.kind != UNKNOWN or line.asset is None or not line.quantities.any():
            continue
        if line.asset.device not in used:
            continue
        unknown = np.flatnonzero(line.quantities)
        first, last = (int(cells.starts[unknown[place]]) for place in (0, -1))
        identities = frozenset(counter.key.identity for counter in used[line.asset.device])
        text = (
            f"Device {line.asset.device} is partly unknown from {format_rfc3339(first)} to "
            f"{format_rfc3339(last + cells.cell)}: it was not scraped, and no counter tells what was used."
        )
        yield LedgerWarning(text, identities)


def hidden_token_warnings(hidden: Iterable[TokenUse]) -> Iterator[LedgerWarning]:
    """A sentence for each model whose counters of tokens restarted in a gap in scraping."""
    users: defaultdict[str, set[Identity]] = defaultdict(set)
    for use in hidden:
        users[use.identity.model_name].add(use.identity)
    for model_name, identities in sorted(users.items()):
        text = (
            f"Tokens of {model_name} are missing: a process restarted while it was not scraped, and what it "
            "had counted is not known."
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
