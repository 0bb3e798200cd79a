"""The dearest rows of costs, for boards."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from flask.testing import FlaskClient

from datasource_support.cost_series import RANGE, rows, series
from modelplane_datasource.costs.ledger.lines import SIGNS
from modelplane_datasource.costs.ledger.report import CostRow
from modelplane_datasource.costs.rows import dearest


@pytest.fixture
def stored(stored_series: list[dict[str, Any]]) -> None:
    """A third user takes little of the device, and some of one that has no price."""
    stored_series += [series("user-C", 0.05)]


@pytest.mark.usefixtures("stored")
def test_the_dearest_rows_come_first(costs: FlaskClient) -> None:
    every = rows(costs)
    charged = [row for row in every if SIGNS[row["kind"]]]
    result = rows(costs, "&limit=1000")
    amounts = [SIGNS[row["kind"]] * Decimal(row["amount"]) for row in result]
    assert amounts == sorted(amounts, reverse=True)
    assert {str(row) for row in result} == {str(row) for row in charged}
    assert rows(costs, "&limit=2") == result[:2]
    assert "capacity" not in {row["kind"] for row in result}
    assert "capacity" in {row["kind"] for row in every}


@pytest.mark.usefixtures("stored")
def test_a_file_has_the_same_rows(costs: FlaskClient) -> None:
    text = costs.get(f"/api/v1/costs?{RANGE}&limit=1&format=csv").get_data(as_text=True)
    assert len(text.splitlines()) == 2
    refused = costs.get(f"/api/v1/costs?{RANGE}&limit=1&format=focus")
    assert refused.status_code == 400
    assert refused.json is not None
    assert refused.json["details"]["parameter"] == "limit"
    for limit in ("0", "1001", "x"):
        assert costs.get(f"/api/v1/costs?{RANGE}&limit={limit}").status_code == 400


def row(kind: str, currency: str | None, amount: int, unit: str = "device_seconds") -> CostRow:
    """A row whose quantity is its amount."""
    return CostRow(0, 1, (), kind, unit, amount, currency, amount if currency else None)  # type: ignore[arg-type]


def test_currencies_do_not_compare_and_what_has_no_price_comes_last() -> None:
    euros = [row("direct", "EUR", 1), row("idle", "EUR", 3), row("over", "EUR", 9)]
    yen = [row("direct", "JPY", 700), row("input", "JPY", 900, "tokens")]
    unpriced = [row("direct", None, 5), row("direct", None, 8), row("output", None, 10**9, "tokens")]
    reported = [row("capacity", "EUR", 10**6), row("excess", "JPY", 10**6)]
    every = [*unpriced, *yen, *reported, *euros]
    assert dearest(every, 1) == (euros[1], yen[1], unpriced[1], unpriced[2])
    assert dearest(every, 9) == (
        euros[1], euros[0], euros[2], yen[1], yen[0], unpriced[1], unpriced[0], unpriced[2],
    )  # fmt: skip
    assert dearest([], 5) == ()
