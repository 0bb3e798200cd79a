"""What a ledger consists of: lines of whole micro-units by cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from modelplane_datasource.costs.ledger.allocation import (
    IDLE_POLICIES,
    SHARED_POLICIES,
    IdlePolicy,
    SharedPolicy,
)
from modelplane_datasource.costs.ledger.cells import CellGrid
from modelplane_datasource.costs.ledger.prices import Rates
from modelplane_datasource.timeline.arrays import BoolArray, IntArray
from modelplane_schema.identity import Identity
from modelplane_schema.metrics import TOKEN_KINDS

Unit = Literal["device_seconds", "tokens"]

DIRECT, IDLE_SHARE, IDLE, UNKNOWN, OVER = "direct", "idle_share", "idle", "unknown", "over"
CAPACITY, EXCESS = "capacity", "excess"

# direct + idle_share + idle + unknown - over = capacity. The last two are reported and not charged.
DEVICE_SIGNS = {DIRECT: 1, IDLE_SHARE: 1, IDLE: 1, UNKNOWN: 1, OVER: -1, CAPACITY: 0, EXCESS: 0}
SIGNS = {**DEVICE_SIGNS, **dict.fromkeys(TOKEN_KINDS, 1)}
KINDS = tuple(SIGNS)


class Asset(NamedTuple):
    """What is paid for: a device as one device type."""

    device: str
    device_type: str


@dataclass(frozen=True, slots=True)
class Policy:
    """How idle time and devices that processes share are charged; ValueError names what is allowed.

    ``idle``: ``keep`` charges it to nobody; ``proportional`` to the identities of the cell by their use;
    ``even`` to all whose counter on the device is seen in the cell, the same for each.
    ``shared``: ``scale`` shrinks use above the capacity of a device that several processes use and reports
    what it took away as ``excess``; ``keep`` shows it as ``over`` alone.
    """

    idle: IdlePolicy = "keep"
    shared: SharedPolicy = "keep"

    def __post_init__(self) -> None:
        if self.idle not in IDLE_POLICIES:
            raise ValueError(f"idle must be one of {', '.join(IDLE_POLICIES)} (got {self.idle!r})")
        if self.shared not in SHARED_POLICIES:
            raise ValueError(f"shared must be one of {', '.join(SHARED_POLICIES)} (got {self.shared!r})")


KEEP = Policy()
_LINE_BYTES = 700  # of a line without its arrays, measured with tracemalloc on CPython 3.11


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """One kind of charge through all cells.

    ``quantities`` (cells,) are micro-seconds of a device or tokens, ``amounts`` (cells,) micro-units of
    money, 0 where ``rates`` has no price. ``asset`` is None for tokens; ``identity`` is None for what nobody
    is charged for. ``estimated`` (cells,) is how much of ``quantities`` was used in a gap in scraping, over
    which it is spread evenly. ``is_there`` (cells,) says where the asset is there or used, whoever uses it;
    tokens are everywhere.
    """

    kind: str
    asset: Asset | None
    identity: Identity | None
    quantities: IntArray
    amounts: IntArray
    rates: Rates
    estimated: IntArray
    is_there: BoolArray

    @property
    def unit(self) -> Unit:
        """What ``quantities`` count."""
        return "tokens" if self.asset is None else "device_seconds"


class LedgerWarning(NamedTuple):
    """A sentence for whoever maintains the plane, and whose charges it is about: nobody's of an unused
    price."""

    text: str
    identities: frozenset[Identity]


@dataclass(frozen=True, slots=True, eq=False)
class Ledger:
    """All lines of ``cells``, and what is odd about the registry or the series behind them."""

    cells: CellGrid
    policy: Policy
    lines: tuple[Line, ...]
    warnings: tuple[LedgerWarning, ...]

    @property
    def bytes(self) -> int:
        """About what it takes in memory."""
        return sum(
            _LINE_BYTES + line.quantities.nbytes + line.amounts.nbytes + line.estimated.nbytes
            for line in self.lines
        )
