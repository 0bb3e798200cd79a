"""The metric ``token_cost``: cost per million tokens and savings, as series and as rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from datasource_support.cost_series import ADMIN, HOUR, RANGE, START, TENANT, tokens
from datasource_support.route_walk import bearer


@pytest.fixture
def token_series(stored_series: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """user-A, which pays 1.80 in the hour, reads 540,000 tokens, 180,000 from a cache, and writes 72,000."""
    grows = ((START - HOUR, 0), (START, 0), *((START + at, at) for at in range(15, HOUR + 1, 15)))
    for kind, number in (("input", 360_000), ("cached_input", 180_000), ("output", 72_000)):
        values = [(at, str(share * number / HOUR)) for at, share in grows]
        stored_series.append(tokens(kind, *values))
        # No token prices: what it costs is the device.
        stored_series[-1]["metric"]["model_name"] = "llama"
    stored_series[0]["metric"]["model_name"] = "llama"
    return stored_series


def lines(client: FlaskClient, more: str = "", token: str = "") -> list[dict[str, Any]]:
    headers = bearer(token) if token else {}
    answer = client.get(f"/api/v1/metrics/token_cost?{RANGE}&maxDataPoints=1{more}", headers=headers)
    assert answer.status_code == 200, answer.json
    data: list[dict[str, Any]] = answer.get_json()["data"]
    return data


@pytest.mark.usefixtures("token_series")
def test_cost_per_million_tokens_by_kind(costs: FlaskClient) -> None:
    by_kind = {line["labels"]["kind"]: line for line in lines(costs)}
    weight = 1.8 / (0.36 + 2.5 * 0.072)
    assert {kind: line["data"][0]["y"] for kind, line in by_kind.items()} == pytest.approx(
        {"input": weight, "cached_input": 0, "output": 2.5 * weight, "all": 1.8 / 0.612}
    )
    assert by_kind["all"]["data"][0]["tokens"] == 612_000
    assert by_kind["all"]["data"][0]["amount"] == pytest.approx(1.8)
    assert by_kind["output"]["name"] == "user-A llama v1 output USD"
    assert by_kind["output"]["labels"] == {
        "tenant": "user-A", "model": "llama", "version": "v1", "kind": "output", "basis": "usage",
        "currency": "USD", "state": "priced",
    }  # fmt: skip


@pytest.mark.usefixtures("token_series")
def test_by_allocation_the_users_of_a_device_pay_all_of_it(costs: FlaskClient) -> None:
    """user-A has two thirds of what is used, and so of 3.60."""
    by_kind = {line["labels"]["kind"]: line for line in lines(costs, "&basis=allocation&group-by=model")}
    assert by_kind["all"]["data"][0]["amount"] == pytest.approx(2.4)
    assert by_kind["all"]["labels"]["basis"] == "allocation"


@pytest.mark.usefixtures("token_series")
def test_what_cached_input_saves(costs: FlaskClient) -> None:
    (line,) = lines(costs, "&value=savings")
    point = line["data"][0]
    assert point["y"] == pytest.approx(0.18 * 1.8 / (0.36 + 2.5 * 0.072))
    assert (point["tokens"], point["cached_ratio"]) == (180_000, pytest.approx(1 / 3))


@pytest.mark.usefixtures("token_series")
def test_rows_of_steps_have_nulls_where_there_were_no_tokens(
    costs: FlaskClient, token_series: list[dict[str, Any]]
) -> None:
    for stored in token_series[2:]:
        stored["values"] = [point for point in stored["values"] if point[0] <= START + HOUR // 2]
    rows = costs.get(f"/api/v1/rows/token_cost?{RANGE}&step=30m&group-by=tenant").get_json()["rows"]
    total = {row["time"]: row for row in rows if row["kind"] == "all"}
    assert [row["tokens"] for row in total.values()] == [306_000, 0]
    assert [row["value"] for row in total.values()] == [pytest.approx(0.9 / 0.306), None]
    assert len({tuple(row) for row in rows}) == 1


@pytest.mark.usefixtures("stored_series")
def test_models_without_tokens_have_no_cost_of_tokens(costs: FlaskClient) -> None:
    assert lines(costs) == []


def test_a_kind_that_is_none_spoils_nothing(costs: FlaskClient, token_series: list[dict[str, Any]]) -> None:
    token_series.append(tokens("image", (START + 60, "5")))
    token_series[-1]["metric"]["model_name"] = "other"
    assert len(lines(costs)) == 4


@pytest.mark.slow
@pytest.mark.usefixtures("token_series")
@pytest.mark.parametrize("query", ["basis=mine", "value=all", "group-by=device", "idle=keep"])
def test_bad_parameters_are_named(costs: FlaskClient, query: str) -> None:
    answer = costs.get(f"/api/v1/metrics/token_cost?{RANGE}&{query}")
    assert answer.status_code == 400
    assert answer.get_json()["details"]["parameter"] == query.partition("=")[0]


@pytest.mark.usefixtures("token_series")
def test_allocation_tells_a_tenant_what_others_use_unless_the_operator_allows_it(
    make_plane: Callable[..., FlaskClient],
) -> None:
    client = make_plane()
    (kind, *_) = {line["labels"]["basis"] for line in lines(client, token=TENANT)}
    assert kind == "usage"
    for path in ("metrics", "rows"):
        answer = client.get(f"/api/v1/{path}/token_cost?{RANGE}&basis=allocation", headers=bearer(TENANT))
        assert (answer.status_code, answer.get_json()["details"]["parameter"]) == (403, "basis")
    assert lines(client, "&basis=allocation", ADMIN)
    allowed = make_plane(idle_policy="proportional")
    assert {line["labels"]["basis"] for line in lines(allowed, token=TENANT)} == {"allocation"}
