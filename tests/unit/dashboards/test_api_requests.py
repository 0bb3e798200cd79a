"""What the two data sources make of one query of a board."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qs, urlsplit

import pytest

from modelplane_dashboards import ApiAccess, api_request
from modelplane_dashboards.kit.board import ApiQuery, BoardVariable

TIMES = {"__from": "1000", "__to": "2000"}
SERIES = ApiQuery(
    "series", "latency", (("tenant-id", BoardVariable("tenant")), ("quantile", "0.95")), "rows", ()
)
TABLE = ApiQuery("table", "alerts", (("tenant-id", BoardVariable("tenant")),), "alerts", (), times=("from",))
FORECAST = ApiQuery("table", "cost_forecast", (), "rows", (), path="costs/forecast", times=())


@pytest.mark.parametrize(
    ("query", "access", "tenant", "path", "rows", "parameters"),
    [
        (SERIES, "plugin", "a&b", "/api/v1/metrics/latency", "data",
         {"tenant-id": ["a&b"], "quantile": ["0.95"], "from": ["1000"], "to": ["2000"],
          "maxDataPoints": ["500"]}),
        (SERIES, "plugin", ".+", "/api/v1/metrics/latency", "data",
         {"quantile": ["0.95"], "from": ["1000"], "to": ["2000"], "maxDataPoints": ["500"]}),
        (SERIES, "infinity", ".+", "/api/v1/rows/latency", "rows",
         {"tenant-id": [".+"], "quantile": ["0.95"], "from": ["1000"], "to": ["2000"],
          "maxDataPoints": ["500"]}),
        (TABLE, "plugin", "a", "/api/v1/alerts", "alerts", {"tenant-id": ["a"], "from": ["1000"]}),
        (TABLE, "infinity", "a", "/api/v1/alerts", "alerts", {"tenant-id": ["a"], "from": ["1000"]}),
        (FORECAST, "plugin", "a", "/api/v1/costs/forecast", "rows", {}),
    ],
)  # fmt: skip
def test_all_is_left_out_by_our_data_source_alone(
    query: ApiQuery,
    access: ApiAccess,
    tenant: str,
    path: str,
    rows: str,
    parameters: Mapping[str, list[str]],
) -> None:
    request = api_request(query, access, {"tenant": tenant, **TIMES})
    assert request.rows == rows
    assert urlsplit(request.path).path == path
    assert parse_qs(urlsplit(request.path).query, strict_parsing=bool(parameters)) == parameters


def test_a_variable_without_a_value_is_an_error() -> None:
    with pytest.raises(KeyError, match="tenant"):
        api_request(TABLE, "plugin", TIMES)
