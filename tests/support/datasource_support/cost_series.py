"""A registry and counters whose costs are known by hand."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from flask.testing import FlaskClient

HOUR = 3600
START = 1_698_397_200  # 2023-10-27T09:00:00Z
RANGE = f"from={START * 1000}&to={(START + HOUR) * 1000}"
DEVICE_SECONDS, TOKENS = "model_inference_device_seconds_total", "model_inference_tokens_total"
NOW = START + HOUR
ADMIN, TENANT, READER = "admin-token", "tenant-token", "reader-token"
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


def rows(client: FlaskClient, parameters: str = "") -> list[dict[str, Any]]:
    """Rows of the hour; their numbers with a fraction are decimals."""
    answer = client.get(f"/api/v1/costs?{RANGE}{parameters}")
    assert answer.status_code == 200, answer.text
    result: list[dict[str, Any]] = json.loads(answer.text, parse_float=Decimal)["rows"]
    return result
