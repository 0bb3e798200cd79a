"""A ledger as rows of CSV."""

from __future__ import annotations

import csv
import io
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasource_support.hour_ledger import LISTED, START, counter, tariff
from datasource_support.hour_ledger import book as book_of_hour
from datasource_support.week_ledger import A, B, ledger
from modelplane_datasource.costs.ledger.allocation import SharedPolicy
from modelplane_datasource.costs.ledger.cells import CellGrid
from modelplane_datasource.costs.ledger.lines import Policy
from modelplane_datasource.costs.ledger.report import GroupBy, cost_rows, decimal_text, rows_as_csv
from modelplane_datasource.timeline.times import DAY

THIRD, FOURTH = (number * DAY // 1000 for number in (2, 3))  # seconds after the first day begins


def test_csv_holds_what_the_rows_hold() -> None:
    book = ledger(1, {A: 0.5, B: 0.25}, prices=[], tokens={"input": 3})
    rows = cost_rows(book, ("tenant", "model"))
    read = list(csv.DictReader(io.StringIO(rows_as_csv(rows, ("tenant", "model")))))
    assert len(read) == len(rows)
    first = read[0]
    assert first == {
        "start": "2026-05-01T00:00:00Z", "end": "2026-05-02T00:00:00Z", "tenant": "a", "model": "resnet50",
        "kind": "direct", "unit": "device_seconds", "quantity": "43200", "estimated": "0",
        "currency": "", "amount": "",
        "state": "unpriced", "warning": "",
    }  # fmt: skip
    tokens = next(row for row in read if row["unit"] == "tokens")
    assert (tokens["kind"], tokens["quantity"], tokens["amount"]) == ("input", "864", "0.001728")
    assert [row["tenant"] for row in read if row["kind"] == "idle"] == [""]


@pytest.mark.parametrize("shared", ["keep", "scale"])
@pytest.mark.parametrize("by", [(), ("device",), ("tenant", "device_type")])
def test_a_device_has_no_rows_for_days_outside_of_its_dates(
    by: tuple[GroupBy, ...], shared: SharedPolicy
) -> None:
    """Two entries of a device, used on the last day of the first and, outside of both, on the next day."""
    entries = (
        {**LISTED, "from": "2026-05-02", "to": "2026-05-04"},
        {**LISTED, "from": "2026-05-05", "to": "2026-05-06"},
    )
    used = [(time, (time - THIRD) / 10) for time in range(THIRD, THIRD + 3600, 30)]
    used += [(time, 360 + (time - FOURTH) / 10) for time in range(FOURTH, FOURTH + 3600, 30)]
    cells = CellGrid(START, START + 7 * DAY)
    book = book_of_hour(counter(A, used), tariff=tariff(entries), cells=cells, policy=Policy("keep", shared))
    days = {(row.start - START) // DAY + 1 for row in cost_rows(book, by, DAY)}
    assert days == {2, 3, 4, 5}
    capacity = {
        (row.start - START) // DAY + 1: row.quantity
        for row in cost_rows(book, by, DAY)
        if row.kind == "capacity"
    }
    assert capacity == {2: DAY * 1000, 3: DAY * 1000, 4: 0, 5: DAY * 1000}
    assert {row.start for row in cost_rows(book, by)} == {START}


@given(st.integers(0, 10**18))
def test_decimals_are_plain_and_exact(micro: int) -> None:
    text = decimal_text(micro)
    assert set(text) <= set("0123456789.")
    assert Decimal(text) * 10**6 == micro
