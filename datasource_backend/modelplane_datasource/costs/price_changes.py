"""When prices of the registry begin to count, and what they were before."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from operator import attrgetter

from modelplane_schema.registry import Model, Price, TokenPrice


@dataclass(frozen=True, slots=True)
class PriceChange:
    """The moment (milliseconds, 00:00 UTC of its day) from which ``subject`` has ``price``.

    ``before`` is None where it had none. ``tags`` say what the price is of.
    """

    time: int
    subject: str
    price: str
    before: str | None
    tags: tuple[str, ...]


def device_price_changes(prices: Iterable[Price]) -> Iterator[PriceChange]:
    """Every price of device types."""
    by_type = defaultdict(list)
    for price in prices:
        by_type[price.device_type].append(price)
    for device_type, of_type in by_type.items():
        yield from _changes(f"device {device_type}", of_type, ("device", device_type))


def token_price_changes(model: Model) -> Iterator[PriceChange]:
    """Every price of a model's tokens."""
    by_kind = defaultdict(list)
    for price in model.token_prices:
        by_kind[price.kind].append(price)
    for kind, of_kind in by_kind.items():
        subject = f"{kind.replace('_', ' ')} tokens of {model.name}"
        yield from _changes(subject, of_kind, ("tokens", model.name, kind))


def _changes(
    subject: str, prices: Iterable[Price | TokenPrice], tags: tuple[str, ...]
) -> Iterator[PriceChange]:
    before = None
    for price in sorted(prices, key=attrgetter("effective_from")):
        text = f"{price.amount} {price.currency} per {price.per}"
        yield PriceChange(_midnight(price.effective_from), subject, text, before, ("price", *tags))
        before = text


def _midnight(day: datetime.date) -> int:
    """Milliseconds of the begin of a day in UTC."""
    return round(datetime.datetime.combine(day, datetime.time(), datetime.UTC).timestamp() * 1000)
