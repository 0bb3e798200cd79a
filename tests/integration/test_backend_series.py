"""The backend over real stores: one truth in three shapes, and clear errors without a store."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from modelplane_datasource.timeline.times import format_rfc3339
from modelplane_provisioning.processes import PATIENCE_SECONDS, Process, free_port, wait_until

HOSTILE_TENANT = 'a"} or up{x="'
WHO = {"model-name": "resnet50", "tenant-id": "user-A"}
METRICS = ("latency", "throughput", "errors", "confidence", "active")


@pytest.fixture
def window(settled_second: int) -> tuple[int, int]:
    """The last five whole seconds that are certainly scraped, in milliseconds."""
    end = settled_second * 1000
    return end - 5000, end


def get(url: str, path: str, **query: object) -> dict[str, Any]:
    answer = requests.get(f"{url}{path}", query, timeout=PATIENCE_SECONDS)  # type: ignore[arg-type]
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def rest(url: str, metric: str, window: tuple[int, int], **query: object) -> list[dict[str, Any]]:
    parameters = {**WHO, "from": window[0], "to": window[1], "step": "1s", **query}
    return list(get(url, f"/api/v1/metrics/{metric}", **parameters)["data"])


def values(line: dict[str, Any]) -> list[float]:
    return [point["y"] for point in line["data"]]


def test_latency_of_two_versions_in_the_contract(backend: str, window: tuple[int, int]) -> None:
    parameters = {**WHO, "from": window[0], "to": window[1], "step": "1s"}
    body = get(backend, "/api/v1/metrics/latency", **parameters)
    assert set(body) == {"query_time", "data"}
    assert [line["name"] for line in body["data"]] == ["resnet50 (v1.2.0)", "resnet50 (v1.3.0)"]
    for line, (low, high) in zip(body["data"], ((0.01, 0.025), (0.1, 0.25)), strict=True):
        assert set(line) == {"name", "type", "labels", "data"}
        assert line["type"] == "line"
        assert line["labels"]["tenant_id"] == "user-A"
        assert [point["x"] for point in line["data"]] == list(range(window[0], window[1] + 1, 1000))
        assert all(low < value <= high for value in values(line))


@pytest.mark.parametrize(("metric", "value"), [("errors", 0.25), ("confidence", 0.75), ("active", 3)])
def test_ratios_and_gauges_are_those_of_the_calls(
    backend: str, window: tuple[int, int], metric: str, value: float
) -> None:
    lines = rest(backend, metric, window)
    assert len(lines) == 2
    for line in lines:
        assert values(line) == pytest.approx([value] * 6)


def test_throughput_is_what_the_store_counts(backend: str, store_url: str, window: tuple[int, int]) -> None:
    """The rate itself depends on when this machine found time to scrape; the two must still agree."""
    query = 'sum by (model_version) (rate(model_inference_requests_total{tenant_id="user-A"}[4s]))'
    parameters = {"query": query, "start": window[0] / 1000, "end": window[1] / 1000, "step": 1}
    result = get(store_url, "/api/v1/query_range", **parameters)["data"]["result"]
    direct = {
        entry["metric"]["model_version"]: [float(text) for _, text in entry["values"]] for entry in result
    }
    lines = rest(backend, "throughput", window)
    assert {line["labels"]["model_version"]: values(line) for line in lines} == direct
    assert all(rate > 0 for line in lines for rate in values(line))


@pytest.mark.parametrize("metric", METRICS)
def test_rest_rows_and_grafana_agree_point_by_point(
    backend: str, window: tuple[int, int], metric: str
) -> None:
    who = {**WHO, "tenant-id": ["user-A", HOSTILE_TENANT]}
    lines = rest(backend, metric, window, **who)
    assert len(lines) == 4
    expected = {(line["name"], point["x"], point["y"]) for line in lines for point in line["data"]}

    parameters = {**who, "from": window[0], "to": window[1], "step": "1s"}
    rows = get(backend, f"/api/v1/rows/{metric}", **parameters)["rows"]
    assert {(row["series"], row["time"], row["value"]) for row in rows} == expected
    assert [(row["time"], row["series"]) for row in rows] == sorted(
        (row["time"], row["series"]) for row in rows
    )

    body = {
        "range": {"from": format_rfc3339(window[0]), "to": format_rfc3339(window[1])},
        "intervalMs": 1000,
        "maxDataPoints": 100,
        "targets": [{"refId": "A", "target": metric, "editorMode": "code", "payload": who}],
    }
    answer = requests.post(f"{backend}/grafana/query", json=body, timeout=PATIENCE_SECONDS).json()
    assert {part["refId"] for part in answer} == {"A"}
    assert {
        (part["target"], instant, value) for part in answer for value, instant in part["datapoints"]
    } == expected


def test_a_hostile_tenant_sees_only_its_own_data(backend: str, window: tuple[int, int]) -> None:
    lines = rest(backend, "latency", window, **{"tenant-id": HOSTILE_TENANT})
    assert [line["labels"]["tenant_id"] for line in lines] == [HOSTILE_TENANT] * 2
    assert all(1 < value <= 2.5 for value in values(lines[0]))
    assert rest(backend, "latency", window, **{"tenant-id": "[a-z].*"}) == []


def test_a_version_can_be_chosen(backend: str, window: tuple[int, int]) -> None:
    lines = rest(backend, "active", window, **{"model-version": "v1.3.0"})
    assert [line["labels"]["model_version"] for line in lines] == ["v1.3.0"]


def test_before_the_data_there_is_nothing(backend: str) -> None:
    assert rest(backend, "latency", (1_000_000, 2_000_000), step="60s") == []


def test_ready_with_a_store(backend: str) -> None:
    assert get(backend, "/readyz")["checks"] == {"prometheus": "ok", "store": "ok"}


def assert_error(url: str, path: str, statuses: tuple[int, ...]) -> None:
    """It is answered at all: without a limit on the store's silence it would wait for ever."""
    answer = requests.get(f"{url}{path}", WHO if "metrics" in path else {}, timeout=PATIENCE_SECONDS)
    assert answer.status_code in statuses
    assert set(answer.json()) == {"message", "error", "details"}


def test_the_store_goes_and_comes_back(
    tmp_path: Path, start_store: Callable[[Path, int], Process], start_backend: Callable[..., Process]
) -> None:
    port, backend_port = free_port(), free_port()
    upstream = start_store(tmp_path / "store", port)
    start_backend(tmp_path, f"http://127.0.0.1:{port}", backend_port)
    url = f"http://127.0.0.1:{backend_port}"
    assert get(url, "/readyz")["status"] == "ok"
    assert "data" in get(url, "/api/v1/metrics/latency", **WHO)

    upstream.kill()
    # Not latency, whose answer may still be kept.
    assert_error(url, "/api/v1/metrics/throughput", (503, 504))
    assert_error(url, "/readyz", (503,))
    assert get(url, "/healthz")["status"] == "ok"

    start_store(tmp_path / "store", port)
    assert wait_until(lambda: requests.get(f"{url}/readyz", timeout=PATIENCE_SECONDS).status_code == 200)
    assert "data" in get(url, "/api/v1/metrics/latency", **WHO)


def test_a_silent_store_is_504(tmp_path: Path, start_backend: Callable[..., Process]) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        start_backend(tmp_path, f"http://127.0.0.1:{silent.getsockname()[1]}", port, timeout=2)
        url = f"http://127.0.0.1:{port}"
        assert_error(url, "/api/v1/metrics/latency", (504,))
        assert_error(url, "/readyz", (503,))
