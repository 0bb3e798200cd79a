"""Requests of Grafana's JSON datasource, and what is read from their answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

from flask.testing import FlaskClient

from datasource_support.fake_prometheus import FakePrometheus

NOW = 1_698_400_800
MS = NOW * 1000
WHO = {"model-name": "resnet50", "tenant-id": "user-A"}
LABELS = {"model_name": "resnet50", "model_version": "v1", "tenant_id": "user-A"}
RANGE = {"from": "2023-10-27T09:00:00.000Z", "to": "2023-10-27T10:00:00.000Z", "raw": {"from": "now-1h"}}
JSON = "application/json"
HOSTILE = 'ключ "a"} or up{x="'


def body(*targets: object, **more: object) -> dict[str, Any]:
    requested = {
        "app": "dashboard", "requestId": "SQR107", "timezone": "browser", "panelId": 4, "range": RANGE,
        "interval": "30s", "intervalMs": 30000, "maxDataPoints": 734, "targets": list(targets),
    }  # fmt: skip
    return {**requested, **more}


def target(ref_id: str = "A", name: object = "latency", **more: object) -> dict[str, Any]:
    return {"refId": ref_id, "target": name, "payload": WHO, "editorMode": "code", **more}


def query(client: FlaskClient, *targets: object, **more: object) -> list[dict[str, Any]]:
    response = client.post("/grafana/query", json=body(*targets, **more))
    assert response.status_code == 200, response.text
    assert isinstance(response.json, list)
    return response.json


def refused(client: FlaskClient, request: object, status: int = 400) -> str:
    """The message of a refused query."""
    data = request if isinstance(request, bytes) else json.dumps(request)
    response = client.post("/grafana/query", data=data, content_type=JSON)
    assert response.status_code == status, response.text
    assert response.json is not None
    assert isinstance(response.json["message"], str)
    assert isinstance(response.json["error"], str)
    return str(response.json["message"])


def times(element: dict[str, Any]) -> list[int]:
    return [instant for _, instant in element["datapoints"]]


def line(form: dict[str, str], value: Callable[[int], str] = str) -> list[tuple[float, str]]:
    """A value at each time that a range query asks for."""
    start, end, step = (round(float(form[name]) * 1000) for name in ("start", "end", "step"))
    return [(instant / 1000, value(instant)) for instant in range(start, end + 1, step)]


def label_values_request(upstream: FakePrometheus) -> tuple[str, dict[str, list[str]]]:
    """Path and parameters of the last question for label values."""
    parts = urlsplit(upstream.calls[-1][0])
    return parts.path, parse_qs(parts.query)
