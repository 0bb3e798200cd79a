"""A ledger as rows: grouped, by period, and as CSV."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, get_args

import numpy as np

from modelplane_datasource.costs.ledger.allocation import MICRO
from modelplane_datasource.costs.ledger.lines import KINDS, Ledger, Line, Unit
from modelplane_datasource.costs.ledger.prices import Rates
from modelplane_datasource.timeline.arrays import IntArray
from modelplane_datasource.timeline.times import format_rfc3339

GroupBy = Literal["tenant", "model", "version", "framework", "device_type", "device"]
GROUPS: tuple[GroupBy, ...] = get_args(GroupBy)

State = Literal["priced", "unpriced"]

_GROUP_VALUES: Mapping[GroupBy, Callable[[Line], str | None]] = {
    "tenant": lambda line: line.identity.tenant_id if line.identity else None,
    "model": lambda line: line.identity.model_name if line.identity else None,
    "version": lambda line: line.identity.model_version if line.identity else None,
    "framework": lambda line: line.identity.framework if line.identity else None,
    "device_type": lambda line: line.asset.device_type if line.asset else None,
    "device": lambda line: line.asset.device if line.asset else None,
}


@dataclass(frozen=True, slots=True)
class CostRow:
    """One kind of charge of one group in one period and one currency.

    ``group`` has a value for each label of the grouping, None where a charge has none (idle time has no
    tenant, tokens no device). ``quantity`` is in micro-seconds of a device or tokens. ``amount`` is in
    micro-units of ``currency``; both are None where the device type or kind of token has no price.
    ``estimated`` is how much of ``quantity`` is spread over gaps in scraping.
    """

    start: int
    end: int
    group: tuple[str | None, ...]
    kind: str
    unit: Unit
    quantity: int
    currency: str | None
    amount: int | None
    estimated: int = 0

    @property
    def state(self) -> State:
        """Whether the charge has a price."""
        return "priced" if self.currency else "unpriced"


def group_of(line: Line, by: Sequence[GroupBy]) -> tuple[str | None, ...]:
    """The values of the labels ``by`` of a line."""
    return tuple(_GROUP_VALUES[label](line) for label in by)


def cost_rows(ledger: Ledger, by: Sequence[GroupBy] = (), step: int | None = None) -> tuple[CostRow, ...]:
    """Sums of ``ledger`` by the labels ``by``, kind and currency, for each UTC period of ``step`` ms.

    Rows are by time, group, kind and currency; a device has none for a period in which it is not there and
    not used. Sums over rows are the same for every ``by`` and ``step``.
    ``lines.SIGNS`` says how kinds add up to a total. ValueError for an unknown label or a step that is no
    multiple of the cell.
    """
    unknown = [label for label in by if label not in GROUPS]
    if unknown:
        raise ValueError(f"group-by must be one of {', '.join(GROUPS)} (got {unknown[0]!r})")
    cells = ledger.cells
    firsts = cells.first_of_each(step)
    starts = cells.starts[firsts].tolist()
    ends = [*starts[1:], cells.end]
    sums = _sums(ledger, by, firsts)
    rows = [
        CostRow(start, end, group, kind, unit, quantity, currency, amount if currency else None, estimated)
        for (group, kind, unit, currency), values in sums.items()
        for start, end, quantity, amount, estimated, present in zip(
            starts, ends, *(of_periods.tolist() for of_periods in values), strict=True
        )
        if present
    ]
    return tuple(sorted(rows, key=_place))


_SumKey = tuple[tuple[str | None, ...], str, Unit, str | None]


def _sums(ledger: Ledger, by: Sequence[GroupBy], firsts: IntArray) -> dict[_SumKey, IntArray]:
    """Quantities, amounts, what is estimated and number of cells (4, periods) of each group, kind and
    currency."""
    by_rates: defaultdict[Rates, list[Line]] = defaultdict(list)
    for line in ledger.lines:
        by_rates[line.rates].append(line)
    sums: dict[_SumKey, IntArray] = {}
    for rates, lines in by_rates.items():
        keys = [(group_of(line, by), line.kind, line.unit) for line in lines]
        for currency, values in _by_currency(rates, lines):
            for key, added in zip(keys, np.add.reduceat(values, firsts, axis=-1), strict=True):
                of_key = (*key, currency)
                sums[of_key] = sums[of_key] + added if of_key in sums else added
    return sums


def _by_currency(rates: Rates, lines: Sequence[Line]) -> Iterator[tuple[str | None, IntArray]]:
    """The cells of each price of ``lines``: quantities, amounts, estimates, whether it is there (lines, 4,
    cells), 0 in the cells of other prices."""
    values = np.array([(line.quantities, line.amounts, line.estimated, line.is_there) for line in lines])
    for number in np.unique(rates.in_force).tolist():
        price = rates.price(number)
        yield price.currency if price else None, values * (rates.in_force == number)


def _place(row: CostRow) -> tuple[object, ...]:
    group = tuple((value is None, value or "") for value in row.group)
    return row.start, group, KINDS.index(row.kind), row.currency or ""


def cell_text(text: str) -> str:
    """``text`` for a CSV that people open in a spreadsheet: what would run as a formula begins with ``'``.

    Names come from whoever runs a model, so that ``=cmd()`` may be one (OWASP, "CSV Injection").
    """
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) else text


def decimal_text(micro: int) -> str:
    """A number of micro-units in units, without an exponent: ``"2.5"``."""
    return f"{Decimal(micro) / MICRO:f}"


def rows_as_csv(rows: Sequence[CostRow], by: Sequence[GroupBy] = (), warnings: Sequence[str] = ()) -> str:
    """``rows`` of ``cost_rows(ledger, by)`` as CSV (RFC 4180) with a header.

    Device seconds and amounts are decimals in seconds and in the currency; an unpriced row has no amount.
    Names are as ``cell_text`` gives them. Each of ``warnings`` is a row of its own at the end, with
    nothing but the column ``warning``.
    """
    out = io.StringIO()
    writer = csv.writer(out)
    columns = (
        "start", "end", *by, "kind", "unit", "quantity", "estimated", "currency", "amount", "state",
        "warning",
    )  # fmt: skip
    writer.writerow(columns)
    for row in rows:
        quantity, estimated = (
            str(number) if row.unit == "tokens" else decimal_text(number)
            for number in (row.quantity, row.estimated)
        )
        amount = "" if row.amount is None else decimal_text(row.amount)
        period = format_rfc3339(row.start), format_rfc3339(row.end)
        group = ("" if value is None else cell_text(value) for value in row.group)
        charge = row.kind, row.unit, quantity, estimated, row.currency or "", amount, row.state
        writer.writerow((*period, *group, *charge, ""))
    for warning in warnings:
        writer.writerow((*("",) * (len(columns) - 1), cell_text(warning)))
    return out.getvalue()
