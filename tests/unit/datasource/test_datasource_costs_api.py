"""``/api/v1/costs`` and the series of cost: samples of Prometheus become lines that add up."""

from __future__ import annotations

import csv
import dataclasses
import io
import re
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest
from flask.testing import FlaskClient

from modelplane_datasource.api import costs as costs_api
from modelplane_datasource.costs import ledger_source, samples
from modelplane_datasource.costs.ledger.lines import SIGNS
from modelplane_datasource.settings import Settings

HOUR = 3600
START = 1_698_397_200  # 2023-10-27T09:00:00Z
RANGE = f"from={START * 1000}&to={(START + HOUR) * 1000}"
DEVICE_SECONDS, TOKENS = "model_inference_device_seconds_total", "model_inference_tokens_total"
NOW = START + HOUR
REGISTRY = """
apiVersion: modelplane/v1
tenants:
  - {id: user-A, budget: {amount: 10, currency: USD}}
  - {id: user-B}
models:
  - name: resnet50
    framework: pytorch
    owner: vision
    tenants: [user-A, user-B]
    versions: [{version: v1}]
    token_prices: [{kind: input, amount: 2, currency: USD, effective_from: 2023-01-01}]
devices:
  inventory: [{device: GPU-1, device_type: h200, from: 2023-01-01}]
  prices: [{device_type: h200, amount: 3.60, currency: USD, per: hour, effective_from: 2023-01-01}]
"""
IDENTITY = {
    "model_name": "resnet50", "model_version": "v1", "tenant_id": "user-A", "framework": "pytorch",
    "job": "resnet50", "instance": "a:8000",
}  # fmt: skip


def series(tenant: str, per_second: float, device: str = "GPU-1", kind: str = "h200") -> dict[str, Any]:
    """A counter of device seconds that grows evenly, scraped each 15 s from an hour before to the end."""
    times = range(START - HOUR, START + HOUR + 1, 15)
    return {
        "metric": {
            **IDENTITY, "__name__": DEVICE_SECONDS, "tenant_id": tenant, "device": device,
            "device_type": kind,
        },
        "values": [(at, str((at - START + HOUR) * per_second)) for at in times],
    }  # fmt: skip


def tokens(kind: str, *values: tuple[int, str]) -> dict[str, Any]:
    """A counter of tokens of user-A, in the process of ``series``."""
    return {"metric": {**IDENTITY, "__name__": TOKENS, "kind": kind}, "values": list(values)}


@pytest.fixture
def held(upstream: Any, scraped: Any) -> list[dict[str, Any]]:
    """The series that Prometheus holds: user-A takes half of the device and user-B a quarter."""
    kept = [series("user-A", 0.5), series("user-B", 0.25)]
    upstream.reply = scraped(lambda name: [one for one in kept if one["metric"]["__name__"] == name])
    return kept


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    path = tmp_path / "modelplane.yaml"
    path.write_text(REGISTRY)
    return path


@pytest.fixture
def costs(
    registry: Path, settings: Settings, make_client: Callable[[Settings], FlaskClient], held: Any
) -> FlaskClient:
    """Without a cache, so that tests may change what Prometheus holds."""
    return make_client(dataclasses.replace(settings, registry_file=registry, cache_seconds=0))


def rows(client: FlaskClient, parameters: str = "") -> list[dict[str, Any]]:
    answer = client.get(f"/api/v1/costs?{RANGE}{parameters}")
    assert answer.json is not None
    assert answer.status_code == 200, answer.json
    found: list[dict[str, Any]] = answer.json["rows"]
    return found


def test_direct_idle_and_unknown_add_up_to_the_capacity(costs: FlaskClient) -> None:
    found = {(row["tenant"], row["kind"]): Decimal(row["amount"]) for row in rows(costs)}
    assert found[("user-A", "direct")] == Decimal("1.8")
    assert found[("user-B", "direct")] == Decimal("0.9")
    capacity = found.pop((None, "capacity"))
    assert capacity == Decimal("3.6")
    assert sum(SIGNS[kind] * amount for (_, kind), amount in found.items()) == capacity


@pytest.mark.parametrize("by", ["tenant", "model", "version", "framework", "device_type"])
def test_every_grouping_adds_up_to_the_same(costs: FlaskClient, by: str) -> None:
    total = sum(SIGNS[row["kind"]] * Decimal(row["amount"]) for row in rows(costs, f"&group-by={by}"))
    assert total == Decimal("3.6")


@pytest.mark.parametrize(("policy", "of_a"), [("keep", "1.8"), ("proportional", "2.4"), ("even", "2.25")])
def test_idle_policies(costs: FlaskClient, policy: str, of_a: str) -> None:
    found = rows(costs, f"&idle={policy}")
    charged = sum(Decimal(row["amount"]) for row in found if row["tenant"] == "user-A")
    assert charged == Decimal(of_a)


def test_a_device_that_shows_itself_and_is_not_used_is_idle(
    costs: FlaskClient, held: list[dict[str, Any]]
) -> None:
    held.clear()
    assert {row["kind"]: row["amount"] for row in rows(costs)}["unknown"] == "3.6"
    shown = [(at, "80") for at in range(START - HOUR, NOW + 1, 15)]
    labels = {"device": "GPU-1", "device_type": "h200", "instance": "gpu:8000"}
    held.append({"metric": {"__name__": "model_device_memory_total_bytes", **labels}, "values": shown})
    assert {row["kind"]: row["amount"] for row in rows(costs)}["idle"] == "3.6"


def test_rows_of_one_tenant_only(costs: FlaskClient) -> None:
    (row,) = rows(costs, "&tenant-id=user-A&group-by=model")
    assert (row["model"], row["kind"], row["amount"], row["quantity"]) == ("resnet50", "direct", "1.8", 1800)


def test_periods_add_up_and_are_additive(costs: FlaskClient) -> None:
    found = rows(costs, "&step=15m&tenant-id=user-A")
    assert [Decimal(row["amount"]) for row in found] == [Decimal("0.45")] * 4
    assert [row["start"] for row in found] == [(START + quarter * 900) * 1000 for quarter in range(4)]


def test_csv_and_focus(costs: FlaskClient) -> None:
    answer = costs.get(f"/api/v1/costs?{RANGE}", headers={"Accept": "text/csv"})
    assert answer.mimetype == "text/csv"
    table = list(csv.DictReader(io.StringIO(answer.text)))
    assert {(row["tenant"], row["kind"]): row["amount"] for row in table}[("user-A", "direct")] == "1.8"
    focus = list(csv.DictReader(io.StringIO(costs.get(f"/api/v1/costs?{RANGE}&format=focus").text)))
    assert sum(Decimal(row["BilledCost"]) for row in focus) == Decimal("3.6")
    own = list(
        csv.DictReader(io.StringIO(costs.get(f"/api/v1/costs?{RANGE}&format=focus&tenant-id=user-B").text))
    )
    assert [(row["x_tenant_id"], Decimal(row["BilledCost"])) for row in own] == [("user-B", Decimal("0.9"))]


def test_the_series_add_up_too(costs: FlaskClient) -> None:
    answer = costs.get(f"/api/v1/metrics/cost?{RANGE}&step=15m").json
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


def test_a_forecast_against_the_budget(costs: FlaskClient) -> None:
    answer = costs.get(f"/api/v1/costs/forecast?to={(START + HOUR) * 1000}").json
    assert answer is not None
    by_tenant = {row["tenant"]: row for row in answer["rows"]}
    assert by_tenant["user-A"]["budget"] == "10"
    assert Decimal(by_tenant["user-A"]["low"]) >= Decimal(by_tenant["user-A"]["spent"]) > 0
    assert by_tenant["user-B"]["verdict"] == "no_budget"
    only = costs.get(f"/api/v1/costs/forecast?to={(START + HOUR) * 1000}&tenant-id=user-B").json
    assert only is not None
    assert {row["tenant"] for row in only["rows"]} == {"user-B"}


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


@pytest.mark.parametrize("idle", ["keep", "proportional", "even"])
@pytest.mark.parametrize("shared", ["keep", "scale"])
def test_rows_series_csv_and_focus_are_one_ledger(
    costs: FlaskClient, held: list[dict[str, Any]], idle: str, shared: str
) -> None:
    held.append(series("__overflow__", 0.75, kind="h200"))
    held[-1]["metric"]["instance"] = "b:8000"
    held.append(tokens("input", (START + 60, "40"), (START + 75, "70")))
    asked = f"{RANGE}&idle={idle}&shared={shared}"
    table = rows(costs, f"&idle={idle}&shared={shared}&group-by=tenant&group-by=version")
    total = amount_of(table)
    assert total == Decimal("3.6") + 70 * 2 * Decimal("0.000001")
    assert {row["tenant"] for row in table} == {"user-A", "user-B", "__overflow__", None}
    read = list(csv.DictReader(io.StringIO(costs.get(f"/api/v1/costs?{asked}&format=csv").text)))
    assert amount_of(read) == total
    focus = list(csv.DictReader(io.StringIO(costs.get(f"/api/v1/costs?{asked}&format=focus").text)))
    for column in ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost"):
        assert sum(Decimal(row[column]) for row in focus) == total
    for more in ("step=5m", "step=15m", "step=1h&maxDataPoints=7", "maxDataPoints=1"):
        lines = costs.get(f"/api/v1/metrics/cost?{asked}&{more}").json["data"]
        drawn = sum(point["y"] for line in lines for point in line["data"])
        assert drawn == pytest.approx(float(total), abs=1e-9), more


def test_one_point_is_the_whole_range(costs: FlaskClient) -> None:
    end = (START + HOUR - 600) * 1000
    lines = costs.get(f"/api/v1/metrics/cost?from={START * 1000}&to={end}&maxDataPoints=1").json["data"]
    (line,) = (line for line in lines if line["name"] == "user-A")
    assert line["data"] == [{"x": START * 1000, "y": 1.5, "quantity": 1500}]


def test_what_is_to_come_has_no_cost_yet(costs: FlaskClient) -> None:
    past = rows(costs)
    answer = costs.get(f"/api/v1/costs?from={START * 1000}&to={(NOW + 3 * HOUR) * 1000}").json
    assert (answer["rows"], answer["to"]) == (past, "2023-10-27T10:00:00Z")
    lines = costs.get(f"/api/v1/metrics/cost?from={START * 1000}&to={(NOW + 9000) * 1000}&step=30m").json
    assert {len(line["data"]) for line in lines["data"]} == {2}
    for path in ("costs", "metrics/cost"):
        answer = costs.get(f"/api/v1/{path}?from={NOW * 1000}&to={(NOW + HOUR) * 1000}")
        assert (answer.status_code, answer.json["details"]["parameter"]) == (400, "to")
        assert "that is over" in answer.json["message"]


def test_a_forecast_is_of_its_own_moment_and_never_of_the_future(costs: FlaskClient) -> None:
    def as_of(to: object) -> set[int]:
        answer = costs.get(f"/api/v1/costs/forecast?to={to}")
        assert answer.status_code == 200, answer.json
        return {row["as_of"] for row in answer.json["rows"]}

    assert as_of(0) == {0}
    assert as_of((START + 100) * 1000) == {START * 1000}
    assert as_of("2023-12-01T00:00:00Z") == as_of(253_402_300_799_999) == {NOW * 1000}


def test_a_group_that_is_asked_for_twice_is_one_group(costs: FlaskClient) -> None:
    assert rows(costs, "&group-by=tenant&group-by=tenant") == rows(costs)
    twice = costs.get(f"/api/v1/metrics/cost?{RANGE}&step=1h&group-by=tenant&group-by=tenant").json
    assert twice["data"] == costs.get(f"/api/v1/metrics/cost?{RANGE}&step=1h").json["data"]


def test_a_tenant_may_be_called_like_a_kind_of_charge(costs: FlaskClient, held: list[dict[str, Any]]) -> None:
    held[:] = [series(tenant, 0.25) for tenant in ("idle", "unknown", "__overflow__")]
    table = {(row["tenant"], row["kind"]): row["amount"] for row in rows(costs)}
    assert table["idle", "direct"] == table["unknown", "direct"] == table["__overflow__", "direct"] == "0.9"
    assert (table[None, "idle"], table[None, "unknown"]) == ("0.9", "0")
    lines = costs.get(f"/api/v1/metrics/cost?{RANGE}&step=1h&idle=even").json["data"]
    names = [line["name"] for line in lines]
    assert len(set(names)) == len(names)
    assert {"idle", "idle direct", "idle idle_share", "__overflow__"} <= set(names)


def test_series_of_one_tenant_in_two_currencies_are_told_apart(
    costs: FlaskClient, registry: Path, settings: Settings, make_client: Callable[[Settings], FlaskClient]
) -> None:
    euros = "{device_type: h200, amount: 3, currency: EUR, effective_from: 2023-10-27}"
    registry.write_text(REGISTRY.replace("  prices: [", f"  prices: [{euros}, "))
    client = make_client(dataclasses.replace(settings, registry_file=registry))
    lines = client.get("/api/v1/metrics/cost?from=2023-10-26T12:00:00Z&to=now&step=2h").json["data"]
    names = [line["name"] for line in lines]
    assert {"user-A EUR", "unknown EUR", "unknown USD", "idle EUR", "idle USD"} <= set(names)
    assert len(set(names)) == len(names)
    table = client.get("/api/v1/costs?from=2023-10-26T12:00:00Z&to=now").json["rows"]
    capacity = {row["currency"]: row["amount"] for row in table if row["kind"] == "capacity"}
    assert capacity == {"USD": "43.2", "EUR": "30"}


def test_tokens_and_device_seconds_of_a_process_are_scraped_together(
    costs: FlaskClient, held: list[dict[str, Any]]
) -> None:
    """The tokens of the very first call that has any are no start of a count, but use."""
    held.append(tokens("input", (START + 60, "40"), (START + 75, "40")))
    (row,) = (row for row in rows(costs) if row["unit"] == "tokens")
    assert (row["tenant"], row["kind"], row["quantity"], row["amount"]) == ("user-A", "input", 40, "0.00008")


def test_no_name_in_a_csv_is_a_formula(costs: FlaskClient, held: list[dict[str, Any]]) -> None:
    names = ['=cmd()|"/C calc"!A0', "+1", "-1", "@sum(1)", 'two\nlines,"quoted"']
    held[:] = [series(name, 0.125) for name in names]
    safe = {name if name.startswith("two") else f"'{name}" for name in names}
    table = list(csv.DictReader(io.StringIO(costs.get(f"/api/v1/costs?{RANGE}&format=csv").text)))
    assert {row["tenant"] for row in table} == {*safe, ""}
    focus = list(csv.DictReader(io.StringIO(costs.get(f"/api/v1/costs?{RANGE}&format=focus").text)))
    assert {row["x_tenant_id"] for row in focus} == {*safe, ""}
    for row in (*table, *focus):
        texts = [text for column, text in row.items() if not column.endswith(("Cost", "Quantity"))]
        assert not any(text.startswith(("=", "+", "-", "@")) for text in texts)


def test_an_empty_inventory_has_no_capacity_and_all_use_is_over(
    costs: FlaskClient, registry: Path, settings: Settings, make_client: Callable[[Settings], FlaskClient]
) -> None:
    registry.write_text(REGISTRY.replace("{device: GPU-1, device_type: h200, from: 2023-01-01}", ""))
    client = make_client(dataclasses.replace(settings, registry_file=registry))
    table = {(row["tenant"], row["kind"]): row["amount"] for row in rows(client)}
    assert (table[None, "over"], table[None, "capacity"], table["user-A", "direct"]) == ("2.7", "0", "1.8")
    for path in ("costs", "metrics/cost", "costs/forecast"):
        asked = f"/api/v1/{path}?to={NOW * 1000}"
        (warning,) = client.get(asked).json["warnings"]
        assert warning.startswith("Device GPU-1 (h200) is used and not in the inventory")


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        (lambda: tokens("image", (START + 60, "5")), "kind of tokens must be one of input.*'image'"),
        (lambda: tokens("input", (START + 60, "-5")), "values must be finite numbers from 0 up"),
        (lambda: tokens("input", (START + 60, "0"), (START + 75, "1e30")), "a cell must hold at most"),
    ],
)
@pytest.mark.parametrize("path", ["costs", "metrics/cost", "costs/forecast"])
def test_samples_that_cannot_be_are_an_upstream_error(
    costs: FlaskClient, held: list[dict[str, Any]], bad: Callable[[], Any], text: str, path: str
) -> None:
    held.append(bad())
    answer = costs.get(f"/api/v1/{path}?to={NOW * 1000}")
    assert (answer.status_code, answer.json["error"]) == (502, "upstream_invalid")
    assert re.search(text, answer.json["message"])


def test_tokens_of_a_model_without_token_prices_are_nobodys_business(
    costs: FlaskClient, held: list[dict[str, Any]]
) -> None:
    before = rows(costs)
    held.append(tokens("image", (START + 60, "5")))
    held[-1]["metric"]["model_name"] = "other"
    assert rows(costs) == before


# Limits.


def test_a_range_of_92_days_is_allowed_and_a_longer_one_is_not(costs: FlaskClient) -> None:
    for path in ("costs", "metrics/cost"):
        assert costs.get(f"/api/v1/{path}?from=now-92d&to=now").status_code == 200
        answer = costs.get(f"/api/v1/{path}?from=now-100d&to=now")
        assert (answer.status_code, answer.json["error"]) == (422, "range_too_large")


def test_too_many_rows_are_422_with_advice(
    costs: FlaskClient,
    registry: Path,
    settings: Settings,
    make_client: Callable[[Settings], FlaskClient],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Six kinds of row in twelve cells: user-A, user-B, idle, unknown, over, capacity."""
    few = make_client(dataclasses.replace(settings, registry_file=registry, max_points=71))
    answer = few.get(f"/api/v1/costs?{RANGE}&step=5m")
    assert (answer.status_code, answer.json["error"]) == (422, "too_many_rows")
    assert answer.json["details"] == {"rows": 72, "max_rows": 71}
    assert len(rows(few, "&step=5m&tenant-id=user-A")) == 12
    monkeypatch.setattr(costs_api, "MOST_FOCUS_ROWS", 5)
    answer = costs.get(f"/api/v1/costs?{RANGE}&format=focus")
    assert (answer.status_code, answer.json["details"]) == (422, {"rows": 6, "max_rows": 5})
    assert costs.get(f"/api/v1/costs?{RANGE}&format=focus&tenant-id=user-A").status_code == 200


def test_too_many_identities_for_a_range_are_422_before_they_fill_the_memory(
    costs: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_source, "MOST_LEAVES", 23)
    answer = costs.get(f"/api/v1/costs?{RANGE}")
    assert (answer.status_code, answer.json["error"]) == (422, "range_too_large")
    assert answer.json["details"] == {"parameter": "from", "identities": 2, "max_cells": 11}
    assert costs.get(f"/api/v1/costs?from={START * 1000}&to={(NOW - 300) * 1000}").status_code == 200


def test_too_many_samples_are_422(costs: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two series of two hours, of which the edges of cells are read."""
    monkeypatch.setattr(samples, "MOST_SAMPLES", 49)
    answer = costs.get(f"/api/v1/costs?{RANGE}")
    assert (answer.status_code, answer.json["error"]) == (422, "range_too_large")
    assert answer.json["details"] == {"parameter": "from", "max_samples": 49}
    monkeypatch.setattr(samples, "MOST_SAMPLES", 50)
    assert costs.get(f"/api/v1/costs?{RANGE}").status_code == 200


def test_samples_are_read_in_pieces_that_fit(
    costs: FlaskClient, upstream: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last piece tells how long the others are; one that Prometheus refuses is read in halves."""
    expected = rows(costs)
    upstream.calls.clear()
    costs.get("/api/v1/costs?from=now-30d&to=now")
    assert Counter(piece_lengths(upstream)) == {7200: 1, 86_400: 29, 82_800: 1}
    held_reply = upstream.reply

    def at_most_a_thousand_seconds(path: str, form: dict[str, str]) -> Any:
        if "start" in form and float(form["end"]) - float(form["start"]) > 1000:
            body = {"status": "error", "errorType": "execution", "error": "too many samples"}
            return 422, {}, orjson.dumps(body)
        return held_reply(path, form)

    upstream.reply = at_most_a_thousand_seconds
    upstream.calls.clear()
    assert rows(costs) == expected
    assert piece_lengths(upstream)[:5] == [7200, 3600, 1800, 900, 900]
    upstream.reply = held_reply
    upstream.calls.clear()
    monkeypatch.setattr(samples, "SAMPLES_OF_PIECE", 240)
    assert rows(costs) == expected
    assert piece_lengths(upstream) == [7200]
    monkeypatch.setattr(samples, "FIRST_PIECE", 900_000)
    upstream.calls.clear()
    assert rows(costs) == expected
    assert Counter(piece_lengths(upstream)) == {900: 2, 1800: 3}


def piece_lengths(upstream: Any) -> list[int]:
    """Seconds of each piece of device seconds that was asked for at the edges of cells."""
    forms = [form for _, form, _ in upstream.calls if f"last_over_time({DEVICE_SECONDS}" in form["query"]]
    return [round(float(form["end"]) - float(form["start"])) for form in forms]


def test_pieces_stay_short_where_a_plane_begins_in_the_middle_of_the_range(
    costs: FlaskClient, upstream: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest piece is asked for first, because it has the most series."""
    monkeypatch.setattr(samples, "SAMPLES_OF_PIECE", 480)
    upstream.calls.clear()
    costs.get("/api/v1/costs?from=now-8h&to=now")
    assert piece_lengths(upstream) == [7200, *[3600] * 7]


def test_samples_that_are_no_finite_numbers_are_none(costs: FlaskClient, held: list[dict[str, Any]]) -> None:
    expected = rows(costs)
    for place, text in ((250, "NaN"), (300, "+Inf"), (310, "-Inf")):
        at, _ = held[0]["values"][place]
        held[0]["values"][place] = (at, text)
    assert rows(costs) == expected


@pytest.mark.parametrize("value", ["", "1,2", "true", "1]", "x", None, [1], 5])
def test_values_that_are_none_are_an_upstream_error(
    costs: FlaskClient, held: list[dict[str, Any]], value: object
) -> None:
    held[1]["values"][20] = (held[1]["values"][20][0], value)
    answer = costs.get(f"/api/v1/costs?{RANGE}")
    assert (answer.status_code, answer.json["error"]) == (502, "upstream_invalid")
    assert "not a list of samples" in answer.json["message"]


def test_a_piece_that_is_too_large_however_short_is_refused(costs: FlaskClient, upstream: Any) -> None:
    body = {"status": "error", "errorType": "execution", "error": "too many samples"}
    upstream.reply = lambda *_: (422, {}, orjson.dumps(body))
    answer = costs.get(f"/api/v1/costs?{RANGE}")
    assert (answer.status_code, answer.json["error"]) == (422, "query_rejected")
    assert "too many samples" in answer.json["message"]


def answer_partially(upstream: Any) -> None:
    """From now on Prometheus answers the same, and that its answer is partial."""
    complete = upstream.reply

    def partial(path: str, form: dict[str, str]) -> Any:
        status, headers, body = complete(path, form)
        return status, headers, orjson.dumps({**orjson.loads(body), "isPartial": True})

    upstream.reply = partial


def test_a_ledger_is_kept_with_its_warnings(
    upstream: Any,
    settings: Settings,
    make_client: Callable[[Settings], FlaskClient],
    registry: Path,
    held: Any,
) -> None:
    client = make_client(dataclasses.replace(settings, registry_file=registry, cache_seconds=HOUR))
    answer_partially(upstream)
    first = client.get(f"/api/v1/costs?{RANGE}").json
    calls = len(upstream.calls)
    assert first["warnings"] == client.get(f"/api/v1/costs?{RANGE}&group-by=tenant").json["warnings"]
    assert any("partial" in text for text in first["warnings"])
    assert len(upstream.calls) == calls


@pytest.mark.parametrize("form", ["csv", "focus"])
def test_a_file_cannot_say_that_it_is_partial_and_is_refused(
    costs: FlaskClient, upstream: Any, form: str
) -> None:
    assert costs.get(f"/api/v1/costs?{RANGE}&format={form}").status_code == 200
    answer_partially(upstream)
    answer = costs.get(f"/api/v1/costs?{RANGE}&format={form}")
    assert (answer.status_code, answer.json["error"]) == (502, "upstream_invalid")
    assert "partial" in answer.json["message"]


def test_tokens_are_read_only_where_they_have_prices(
    costs: FlaskClient,
    upstream: Any,
    settings: Settings,
    make_client: Callable[[Settings], FlaskClient],
    registry: Path,
) -> None:
    def asked_for_tokens() -> bool:
        return any(TOKENS in form["query"] for _, form, _ in upstream.calls)

    rows(costs)
    assert asked_for_tokens()
    text = registry.read_text()
    registry.write_text(re.sub(r"    token_prices: .*\n", "", text))
    assert registry.read_text() != text
    upstream.calls.clear()
    rows(make_client(dataclasses.replace(settings, registry_file=registry)))
    assert not asked_for_tokens()
