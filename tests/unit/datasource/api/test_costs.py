"""``/api/v1/costs`` and the series of cost: samples of Prometheus become lines that add up."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from datasource_support.cost_series import (
    HOUR,
    NOW,
    RANGE,
    REGISTRY,
    START,
    rows,
    series,
    tokens,
)
from modelplane_datasource.api import costs as costs_api
from modelplane_datasource.costs.ledger.lines import SIGNS
from modelplane_datasource.settings import Settings


def test_direct_idle_and_unknown_add_up_to_the_capacity(costs: FlaskClient) -> None:
    result = {(row["tenant"], row["kind"]): Decimal(row["amount"]) for row in rows(costs)}
    assert result[("user-A", "direct")] == Decimal("1.8")
    assert result[("user-B", "direct")] == Decimal("0.9")
    capacity = result.pop((None, "capacity"))
    assert capacity == Decimal("3.6")
    assert sum(SIGNS[kind] * amount for (_, kind), amount in result.items()) == capacity


@pytest.mark.slow
@pytest.mark.parametrize("by", ["tenant", "model", "version", "framework", "device_type"])
def test_every_grouping_adds_up_to_the_same(costs: FlaskClient, by: str) -> None:
    total = sum(SIGNS[row["kind"]] * Decimal(row["amount"]) for row in rows(costs, f"&group-by={by}"))
    assert total == Decimal("3.6")


@pytest.mark.slow
@pytest.mark.parametrize(("policy", "of_a"), [("keep", "1.8"), ("proportional", "2.4"), ("even", "2.25")])
def test_idle_policies(costs: FlaskClient, policy: str, of_a: str) -> None:
    result = rows(costs, f"&idle={policy}")
    charged = sum(Decimal(row["amount"]) for row in result if row["tenant"] == "user-A")
    assert charged == Decimal(of_a)


def test_a_device_that_shows_itself_and_is_not_used_is_idle(
    costs: FlaskClient, stored_series: list[dict[str, Any]]
) -> None:
    stored_series.clear()
    assert {row["kind"]: row["amount"] for row in rows(costs)}["unknown"] == Decimal("3.6")
    shown = [(at, "80") for at in range(START - HOUR, NOW + 1, 15)]
    labels = {"device": "GPU-1", "device_type": "h200", "instance": "gpu:8000"}
    stored_series.append(
        {"metric": {"__name__": "model_device_memory_total_bytes", **labels}, "values": shown}
    )
    assert {row["kind"]: row["amount"] for row in rows(costs)}["idle"] == Decimal("3.6")


def test_rows_of_one_tenant_only(costs: FlaskClient) -> None:
    (row,) = rows(costs, "&tenant-id=user-A&group-by=model")
    assert (row["model"], row["kind"], row["amount"], row["quantity"]) == (
        "resnet50",
        "direct",
        Decimal("1.8"),
        1800,
    )


def test_periods_add_up_and_are_additive(costs: FlaskClient) -> None:
    result = rows(costs, "&step=15m&tenant-id=user-A")
    assert [Decimal(row["amount"]) for row in result] == [Decimal("0.45")] * 4
    assert [row["start"] for row in result] == [(START + quarter * 900) * 1000 for quarter in range(4)]


def test_csv_and_focus(costs: FlaskClient) -> None:
    answer = costs.get(f"/api/v1/costs?{RANGE}", headers={"Accept": "text/csv"})
    assert answer.mimetype == "text/csv"
    table = list(csv.DictReader(io.StringIO(answer.text)))
    assert {(row["tenant"], row["kind"]): row["amount"] for row in table}[("user-A", "direct")] == "1.8"
    focus = list(csv.DictReader(io.StringIO(costs.get(f"/api/v1/costs?{RANGE}&format=focus").text)))
    assert sum(Decimal(row["BilledCost"]) for row in focus) == Decimal("3.6")
    tenant_rows = list(
        csv.DictReader(io.StringIO(costs.get(f"/api/v1/costs?{RANGE}&format=focus&tenant-id=user-B").text))
    )
    assert [(row["x_tenant_id"], Decimal(row["BilledCost"])) for row in tenant_rows] == [
        ("user-B", Decimal("0.9"))
    ]


def test_the_series_add_up_too(costs: FlaskClient) -> None:
    answer = costs.get(f"/api/v1/metrics/cost?{RANGE}&step=15m").get_json()
    assert answer is not None
    names = [line["name"] for line in answer["data"]]
    assert {"user-A", "user-B", "idle"} <= set(names)
    for quarter in range(4):
        points = [line["data"][quarter] for line in answer["data"]]
        assert {point["x"] for point in points} == {(START + quarter * 900) * 1000}
        assert sum(point["y"] or 0 for point in points) == pytest.approx(0.9)
    (line,) = (line for line in answer["data"] if line["name"] == "user-A")
    assert [point["y"] for point in line["data"]] == [0.45] * 4
    assert line["data"][0]["quantity"] == 450
    assert line["labels"] == {
        "tenant": "user-A", "kind": "direct", "unit": "device_seconds", "currency": "USD", "state": "priced",
    }  # fmt: skip


@pytest.mark.slow
def test_a_forecast_against_the_budget(costs: FlaskClient) -> None:
    answer = costs.get(f"/api/v1/costs/forecast?to={(START + HOUR) * 1000}").get_json()
    assert answer is not None
    by_tenant = {row["tenant"]: row for row in answer["rows"]}
    assert by_tenant["user-A"]["budget"] == 10
    amounts = {name: by_tenant["user-A"][name] for name in ("spent", "low", "expected", "high", "budget")}
    assert {type(amount) for amount in amounts.values()} <= {float, type(None)}
    assert amounts["low"] >= amounts["spent"] > 0
    assert amounts["spent"] == round(amounts["spent"], 6)
    assert by_tenant["user-B"]["verdict"] == "no_budget"
    only = costs.get(f"/api/v1/costs/forecast?to={(START + HOUR) * 1000}&tenant-id=user-B").json
    assert only is not None
    assert {row["tenant"] for row in only["rows"]} == {"user-B"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("parameters", "status", "field"),
    [
        ("&group-by=planet", 400, "group-by"), ("&idle=mine", 400, "idle"), ("&step=7m", 400, "step"),
        ("&format=xml", 400, "format"), ("&quantile=0.5", 400, "quantile"),
    ],
)  # fmt: skip
def test_bad_parameters_are_named(costs: FlaskClient, parameters: str, status: int, field: str) -> None:
    answer = costs.get(f"/api/v1/costs?{RANGE}{parameters}")
    assert answer.json is not None
    assert (answer.status_code, answer.json["details"]["parameter"]) == (status, field)


def test_ranges_without_a_cell_and_too_long_ones(costs: FlaskClient) -> None:
    answer = costs.get(f"/api/v1/costs?from={START * 1000}&to={(START + 200) * 1000}")
    assert (answer.status_code, answer.json and answer.json["details"]["parameter"]) == (400, "to")
    answer = costs.get("/api/v1/costs?from=now-100d&to=now")
    assert (answer.status_code, answer.json and answer.json["error"]) == (422, "range_too_large")


def test_without_a_registry_there_are_no_costs(client: FlaskClient) -> None:
    answer = client.get(f"/api/v1/costs?{RANGE}")
    assert answer.json is not None
    assert (answer.status_code, answer.json["error"]) == (422, "no_registry")
    assert "MODELPLANE_DATASOURCE_REGISTRY_FILE" in answer.json["message"]


def amount_of(table: list[dict[str, Any]]) -> Decimal:
    """What all rows of a table that are charged add up to."""
    return sum((SIGNS[row["kind"]] * Decimal(row["amount"]) for row in table), Decimal(0))


@pytest.mark.slow
@pytest.mark.parametrize("idle", ["keep", "proportional", "even"])
@pytest.mark.parametrize("shared", ["keep", "scale"])
def test_rows_series_csv_and_focus_are_one_ledger(
    costs: FlaskClient, stored_series: list[dict[str, Any]], idle: str, shared: str
) -> None:
    stored_series.append(series("__overflow__", 0.75, kind="h200"))
    stored_series[-1]["metric"]["instance"] = "b:8000"
    stored_series.append(tokens("input", (START + 60, "40"), (START + 75, "70")))
    requested = f"{RANGE}&idle={idle}&shared={shared}"
    table = rows(costs, f"&idle={idle}&shared={shared}&group-by=tenant&group-by=version")
    total = amount_of(table)
    assert total == Decimal("3.6") + 70 * 2 * Decimal("0.000001")
    assert {row["tenant"] for row in table} == {"user-A", "user-B", "__overflow__", None}
    read = list(csv.DictReader(io.StringIO(costs.get(f"/api/v1/costs?{requested}&format=csv").text)))
    assert amount_of(read) == total
    focus = list(csv.DictReader(io.StringIO(costs.get(f"/api/v1/costs?{requested}&format=focus").text)))
    for column in ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost"):
        assert sum(Decimal(row[column]) for row in focus) == total
    for more in ("step=5m", "step=15m", "step=1h&maxDataPoints=7", "maxDataPoints=1"):
        lines = costs.get(f"/api/v1/metrics/cost?{requested}&{more}").get_json()["data"]
        drawn = sum(point["y"] for line in lines for point in line["data"])
        assert drawn == pytest.approx(float(total), abs=1e-9), more


def test_one_point_is_the_whole_range(costs: FlaskClient) -> None:
    end = (START + HOUR - 600) * 1000
    lines = costs.get(f"/api/v1/metrics/cost?from={START * 1000}&to={end}&maxDataPoints=1").get_json()["data"]
    (line,) = (line for line in lines if line["name"] == "user-A")
    assert line["data"] == [{"x": START * 1000, "y": 1.5, "quantity": 1500}]


@pytest.mark.slow
def test_what_is_to_come_has_no_cost_yet(costs: FlaskClient) -> None:
    past = rows(costs)
    text = costs.get(f"/api/v1/costs?from={START * 1000}&to={(NOW + 3 * HOUR) * 1000}").text
    answer = json.loads(text, parse_float=Decimal)
    assert (answer["rows"], answer["to"]) == (past, "2023-10-27T10:00:00Z")
    lines = costs.get(
        f"/api/v1/metrics/cost?from={START * 1000}&to={(NOW + 9000) * 1000}&step=30m"
    ).get_json()
    assert {len(line["data"]) for line in lines["data"]} == {2}
    for path in ("costs", "metrics/cost"):
        answer = costs.get(f"/api/v1/{path}?from={NOW * 1000}&to={(NOW + HOUR) * 1000}")
        assert (answer.status_code, answer.get_json()["details"]["parameter"]) == (400, "to")
        assert "that is over" in answer.get_json()["message"]


@pytest.mark.slow
def test_a_forecast_is_of_its_own_moment_and_never_of_the_future(costs: FlaskClient) -> None:
    def as_of(to: object) -> set[int]:
        answer = costs.get(f"/api/v1/costs/forecast?to={to}")
        assert answer.status_code == 200, answer.json
        return {row["as_of"] for row in answer.get_json()["rows"]}

    assert as_of(0) == {0}
    assert as_of((START + 100) * 1000) == {START * 1000}
    assert as_of("2023-12-01T00:00:00Z") == as_of(253_402_300_799_999) == {NOW * 1000}


def test_a_group_that_is_asked_for_twice_is_one_group(costs: FlaskClient) -> None:
    assert rows(costs, "&group-by=tenant&group-by=tenant") == rows(costs)
    twice = costs.get(f"/api/v1/metrics/cost?{RANGE}&step=1h&group-by=tenant&group-by=tenant").get_json()
    assert twice["data"] == costs.get(f"/api/v1/metrics/cost?{RANGE}&step=1h").get_json()["data"]


def test_a_tenant_may_be_called_like_a_kind_of_charge(
    costs: FlaskClient, stored_series: list[dict[str, Any]]
) -> None:
    stored_series[:] = [series(tenant, 0.25) for tenant in ("idle", "unknown", "__overflow__")]
    table = {(row["tenant"], row["kind"]): row["amount"] for row in rows(costs)}
    assert (
        table["idle", "direct"]
        == table["unknown", "direct"]
        == table["__overflow__", "direct"]
        == Decimal("0.9")
    )
    assert (table[None, "idle"], table[None, "unknown"]) == (Decimal("0.9"), 0)
    lines = costs.get(f"/api/v1/metrics/cost?{RANGE}&step=1h&idle=even").get_json()["data"]
    names = [line["name"] for line in lines]
    assert len(set(names)) == len(names)
    assert {"idle", "idle direct", "idle idle_share", "__overflow__"} <= set(names)


def test_series_of_one_tenant_in_two_currencies_are_told_apart(
    costs: FlaskClient,
    cost_registry: Path,
    settings: Settings,
    make_client: Callable[[Settings], FlaskClient],
) -> None:
    euros = "{device_type: h200, amount: 3, currency: EUR, effective_from: 2023-10-27}"
    cost_registry.write_text(REGISTRY.replace("  prices: [", f"  prices: [{euros}, "))
    client = make_client(dataclasses.replace(settings, registry_file=cost_registry))
    lines = client.get("/api/v1/metrics/cost?from=2023-10-26T12:00:00Z&to=now&step=2h").get_json()["data"]
    names = [line["name"] for line in lines]
    assert {"user-A EUR", "unknown EUR", "unknown USD", "idle EUR", "idle USD"} <= set(names)
    assert len(set(names)) == len(names)
    table = client.get("/api/v1/costs?from=2023-10-26T12:00:00Z&to=now").get_json()["rows"]
    capacity = {row["currency"]: row["amount"] for row in table if row["kind"] == "capacity"}
    assert capacity == {"USD": 43.2, "EUR": 30}


def test_tokens_and_device_seconds_of_a_process_are_scraped_together(
    costs: FlaskClient, stored_series: list[dict[str, Any]]
) -> None:
    """The tokens of the very first call that has any are no start of a count, but use."""
    stored_series.append(tokens("input", (START + 60, "40"), (START + 75, "40")))
    (row,) = (row for row in rows(costs) if row["unit"] == "tokens")
    assert (row["tenant"], row["kind"], row["quantity"], row["amount"]) == (
        "user-A",
        "input",
        40,
        Decimal("0.00008"),
    )


def test_no_name_in_a_csv_is_a_formula(costs: FlaskClient, stored_series: list[dict[str, Any]]) -> None:
    names = ['=cmd()|"/C calc"!A0', "+1", "-1", "@sum(1)", 'two\nlines,"quoted"']
    stored_series[:] = [series(name, 0.125) for name in names]
    safe = {name if name.startswith("two") else f"'{name}" for name in names}
    table = list(csv.DictReader(io.StringIO(costs.get(f"/api/v1/costs?{RANGE}&format=csv").text)))
    assert {row["tenant"] for row in table} == {*safe, ""}
    focus = list(csv.DictReader(io.StringIO(costs.get(f"/api/v1/costs?{RANGE}&format=focus").text)))
    assert {row["x_tenant_id"] for row in focus} == {*safe, ""}
    for row in (*table, *focus):
        texts = [text for column, text in row.items() if not column.endswith(("Cost", "Quantity"))]
        assert not any(text.startswith(("=", "+", "-", "@")) for text in texts)


@pytest.mark.slow
def test_an_empty_inventory_has_no_capacity_and_all_use_is_over(
    costs: FlaskClient,
    cost_registry: Path,
    settings: Settings,
    make_client: Callable[[Settings], FlaskClient],
) -> None:
    cost_registry.write_text(REGISTRY.replace("{device: GPU-1, device_type: h200, from: 2023-01-01}", ""))
    client = make_client(dataclasses.replace(settings, registry_file=cost_registry))
    table = {(row["tenant"], row["kind"]): row["amount"] for row in rows(client)}
    assert (table[None, "over"], table[None, "capacity"], table["user-A", "direct"]) == (
        Decimal("2.7"),
        0,
        Decimal("1.8"),
    )
    for path in ("costs", "metrics/cost", "costs/forecast"):
        requested = f"/api/v1/{path}?to={NOW * 1000}"
        (warning,) = client.get(requested).get_json()["warnings"]
        assert warning.startswith("Device GPU-1 (h200) is used and not in the inventory")


def test_tokens_of_a_model_without_token_prices_are_nobodys_business(
    costs: FlaskClient, stored_series: list[dict[str, Any]]
) -> None:
    before = rows(costs)
    stored_series.append(tokens("image", (START + 60, "5")))
    stored_series[-1]["metric"]["model_name"] = "other"
    assert rows(costs) == before


# Limits.


@pytest.mark.slow
def test_a_range_of_92_days_is_allowed_and_a_longer_one_is_not(costs: FlaskClient) -> None:
    for path in ("costs", "metrics/cost"):
        assert costs.get(f"/api/v1/{path}?from=now-92d&to=now").status_code == 200
        answer = costs.get(f"/api/v1/{path}?from=now-100d&to=now")
        assert (answer.status_code, answer.get_json()["error"]) == (422, "range_too_large")


def test_too_many_rows_are_422_with_advice(
    costs: FlaskClient,
    cost_registry: Path,
    settings: Settings,
    make_client: Callable[[Settings], FlaskClient],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Six kinds of row in twelve cells: user-A, user-B, idle, unknown, over, capacity."""
    few = make_client(dataclasses.replace(settings, registry_file=cost_registry, max_points=71))
    answer = few.get(f"/api/v1/costs?{RANGE}&step=5m")
    assert (answer.status_code, answer.get_json()["error"]) == (422, "too_many_rows")
    assert answer.get_json()["details"] == {"rows": 72, "max_rows": 71}
    assert len(rows(few, "&step=5m&tenant-id=user-A")) == 12
    monkeypatch.setattr(costs_api, "MAX_FOCUS_ROWS", 5)
    answer = costs.get(f"/api/v1/costs?{RANGE}&format=focus")
    assert (answer.status_code, answer.get_json()["details"]) == (422, {"rows": 6, "max_rows": 5})
    assert costs.get(f"/api/v1/costs?{RANGE}&format=focus&tenant-id=user-A").status_code == 200
