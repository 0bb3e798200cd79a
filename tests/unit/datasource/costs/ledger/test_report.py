"""A ledger as rows of CSV."""

from __future__ import annotations

import csv
import io
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from datasource_support.week_ledger import A, B, ledger
from modelplane_datasource.costs.ledger.report import cost_rows, decimal_text, rows_as_csv


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


@given(st.integers(0, 10**18))
def test_decimals_are_plain_and_exact(micro: int) -> None:
    text = decimal_text(micro)
    assert set(text) <= set("0123456789.")
    assert Decimal(text) * 10**6 == micro
