"""``/api/v1/costs`` and the series of cost: samples of Prometheus become lines that add up."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest
from flask.testing import FlaskClient

from modelplane_datasource.ledger.lines import SIGNS
from modelplane_datasource.settings import Settings

HOUR = 3600
START = 1_698_397_200  # 2023-10-27T09:00:00Z
RANGE = f"from={START * 1000}&to={(START + HOUR) * 1000}"
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
devices:
  inventory: [{device: GPU-1, device_type: h200, from: 2023-01-01}]
  prices: [{device_type: h200, amount: 3.60, currency: USD, per: hour, effective_from: 2023-01-01}]
"""


def series(tenant: str, per_second: float, device: str = "GPU-1", kind: str = "h200") -> dict[str, Any]:
    """A counter of device seconds that grows evenly, scraped each 15 s from an hour before to the end."""
    labels = {
        "model_name": "resnet50", "model_version": "v1", "tenant_id": tenant, "framework": "pytorch",
        "device": device, "device_type": kind, "job": "resnet50", "instance": "a:8000",
    }  # fmt: skip
    times = range(START - HOUR, START + HOUR + 1, 15)
    return {"metric": labels, "values": [(at, str((at - START + HOUR) * per_second)) for at in times]}


@pytest.fixture
def costs(
    tmp_path: Path, settings: Settings, make_client: Callable[[Settings], FlaskClient], upstream: Any
) -> FlaskClient:
    held = [series("user-A", 0.5), series("user-B", 0.25)]

    def reply(path: str, form: dict[str, str]) -> Any:
        query, end = form["query"], float(form["time"])
        name, _, length = query.partition("[")
        start = end - float(length.removesuffix("ms]")) / 1000
        found = held if name == "model_inference_device_seconds_total" else []
        result = [
            {**one, "values": [point for point in one["values"] if start < point[0] <= end]} for one in found
        ]
        body = {"status": "success", "data": {"resultType": "matrix", "result": result}}
        return 200, {"Content-Type": "application/json"}, orjson.dumps(body)

    upstream.reply = reply
    registry = tmp_path / "modelplane.yaml"
    registry.write_text(REGISTRY)
    return make_client(dataclasses.replace(settings, registry_file=registry))


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
