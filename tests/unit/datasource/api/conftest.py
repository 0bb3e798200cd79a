"""A backend with costs."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from datasource_support.cost_series import ADMIN, READER, REGISTRY, TENANT, series
from datasource_support.fake_prometheus import FakePrometheus, matrix_reply
from datasource_support.fixed_prometheus import REGISTRY as FIXED_REGISTRY
from datasource_support.fixed_prometheus import FixedPrometheus
from datasource_support.grafana_requests import (
    JSON,
    LABELS,
    line,
)
from datasource_support.ledger_queries import LedgerPrometheus
from modelplane_datasource.settings import Settings
from modelplane_datasource.tenancy.tokens import hash_token
from modelplane_datasource.timeline.times import format_rfc3339


@pytest.fixture
def stored_series(upstream: FakePrometheus) -> list[dict[str, Any]]:
    """The series that Prometheus holds: user-A takes half of the device and user-B a quarter."""
    stored = [series("user-A", 0.5), series("user-B", 0.25)]
    upstream.reply = LedgerPrometheus(
        lambda name: [entry for entry in stored if entry["metric"]["__name__"] == name]
    )
    return stored


@pytest.fixture
def cost_registry(tmp_path: Path) -> Path:
    path = tmp_path / "modelplane.yaml"
    path.write_text(REGISTRY)
    return path


@pytest.fixture
def costs(
    cost_registry: Path,
    settings: Settings,
    make_client: Callable[[Settings], FlaskClient],
    stored_series: list[dict[str, Any]],
) -> FlaskClient:
    """Without a cache, so that tests may change what Prometheus holds."""
    return make_client(dataclasses.replace(settings, registry_file=cost_registry, cache_seconds=0))


@pytest.fixture
def make_plane(
    cost_registry: Path,
    settings: Settings,
    make_client: Callable[[Settings], FlaskClient],
    stored_series: list[dict[str, Any]],
    tmp_path: Path,
) -> Callable[..., FlaskClient]:
    """A backend with settings, where user-A takes half of a device and user-B a quarter."""
    assert stored_series
    tokens: list[dict[str, Any]] = [
        {"name": "operator", "role": "admin", "sha256": hash_token(ADMIN)},
        {"name": "a", "role": "tenant", "tenants": ["user-A"], "sha256": hash_token(TENANT)},
        {"name": "boards", "role": "reader", "tenants": ["user-A"], "sha256": hash_token(READER)},
    ]
    (tmp_path / "tokens.json").write_text(json.dumps({"tokens": tokens}))

    def make(**changed: Any) -> FlaskClient:
        return make_client(
            dataclasses.replace(
                settings, registry_file=cost_registry, token_file=tmp_path / "tokens.json", **changed
            )
        )

    return make


@pytest.fixture
def full(upstream: FakePrometheus) -> None:
    """Every range query gives one series without gaps."""
    upstream.reply = lambda _, form: matrix_reply((LABELS, line(form)))


@pytest.fixture
def labelled(upstream: FakePrometheus) -> Callable[..., None]:
    """Set the label values that Prometheus answers with."""

    def answer(*values: str) -> None:
        reply = json.dumps({"status": "success", "data": values}).encode()
        upstream.reply = lambda *_: (200, {"Content-Type": JSON}, reply)

    return answer


@pytest.fixture
def alerted(client: FlaskClient) -> Callable[..., None]:
    """Store resolved alerts of resnet50: (name, start, end) in milliseconds."""

    def store(*alerts: tuple[str, int, int]) -> None:
        entries = [
            {
                "status": "resolved",
                "labels": {"alertname": name, "severity": "warning", "model_name": "resnet50"},
                "annotations": {"summary": f"{name}."},
                "startsAt": format_rfc3339(start),
                "endsAt": format_rfc3339(end),
                "fingerprint": name,
            }
            for name, start, end in alerts
        ]
        response = client.post("/api/v1/alerts", json={"version": "4", "alerts": entries})
        assert response.status_code == 200

    return store


@pytest.fixture
def plane(
    upstream: FakePrometheus,
    settings: Settings,
    make_client: Callable[[Settings], FlaskClient],
    tmp_path: Path,
) -> FlaskClient:
    """The backend with a registry in front of the fixed data set."""
    upstream.reply = FixedPrometheus()
    path = tmp_path / "modelplane.yaml"
    path.write_text(FIXED_REGISTRY, encoding="utf-8")
    return make_client(dataclasses.replace(settings, registry_file=path, max_series=5000))
