"""``/api/v1/drift/top`` over real stores: limits come from what rules have recorded in two days."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from modelplane_datasource.app import close_app, create_app
from modelplane_datasource.settings import Settings
from modelplane_datasource.tenancy.tokens import hash_token
from modelplane_provisioning.processes import PATIENCE_SECONDS
from modelplane_schema import metrics, recorded

NOW, HOUR, SCRAPE = 1_698_400_800, 3600, 15
VERSION = {"model_name": "churn", "model_version": "v1", "framework": "jax"}
SHARES = {"moved": (0.7, 0.3, 0.0), "as ever": (0.5, 0.5, 0.0), "new": (0.5, 0.5, 0.0)}
# By signal: psi in the past, which swings by a tenth, in the window before the live one, and live.
PSI = {"moved": (0.01, 0.1, 0.12), "as ever": (0.01, 0.01, 0.01)}
MOMENTS = {recorded.SIGNAL_MEAN_SHIFT: 0.0, recorded.SIGNAL_VARIANCE_RATIO: 1.0}
REGISTRY = {
    "apiVersion": "modelplane/v1",
    "tenants": [{"id": "acme"}],
    "models": [
        {
            "name": "churn", "framework": "jax", "owner": "vision", "tenants": ["acme"],
            "versions": [{"version": "v1"}], "drift": {"visible_to_tenants": True},
        }
    ],
}  # fmt: skip


def exposition() -> str:
    return "\n".join([*lines(), "# EOF", ""])


def lines() -> Iterator[str]:
    bins = ("00", "01", metrics.MISSING_BIN)
    for signal, shares in SHARES.items():
        of_version = {**VERSION, "kind": "input", "signal": signal, "baseline": "a1b2"}
        of_all = {**of_version, "tenant_id": metrics.ALL_TENANTS}
        for name, share, trained in zip(bins, shares, (0.5, 0.5, 0.0), strict=True):
            for at in range(0, HOUR + 1, SCRAPE):
                labels = {**of_all, "bin": name}
                yield sample(metrics.SIGNAL_OBSERVATIONS.name, labels, at * share, NOW - HOUR + at)
            yield sample(metrics.BASELINE_RATIO.name, {**of_version, "bin": name}, trained, NOW)
        yield sample(metrics.BASELINE_OBSERVATIONS.name, of_version, 20_000, NOW)
        if signal in PSI:
            past, previous, live = PSI[signal]
            values = [past * (1 + 0.1 * math.sin(hour)) for hour in range(48)] + [previous, live]
            for ago, value in zip(range(len(values) - 1, -1, -1), values, strict=True):
                yield sample(recorded.SIGNAL_PSI.over("1h").name, of_all, value, NOW - ago * HOUR - 20)
                for family, usual in (
                    (recorded.SIGNAL_MEAN_SHIFT, 0.0),
                    (recorded.SIGNAL_VARIANCE_RATIO, 1.0),
                ):
                    yield sample(family.over("1h").name, of_all, usual + value / 10, NOW - ago * HOUR - 20)
    for ago in range(51, -1, -1):
        calls = {**VERSION, "tenant_id": "acme", "outcome": "success"}
        yield sample(metrics.REQUESTS.name, calls, 100 - ago, NOW - ago * HOUR - 20)


def sample(name: str, labels: dict[str, str], value: float, at: int) -> str:
    shown = ",".join(f"{label}={json.dumps(text)}" for label, text in labels.items())
    return f"{name}{{{shown}}} {float(value)!r} {at}"


@pytest.fixture(scope="module", params=["prometheus", "victoria-metrics"])
def client(
    request: pytest.FixtureRequest,
    backfill: Callable[[str, Path, str], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[FlaskClient]:
    folder = tmp_path_factory.mktemp("limits")
    (folder / "modelplane.yaml").write_text(json.dumps(REGISTRY))
    tokens = [
        {"name": "operator", "role": "admin", "sha256": hash_token("admin")},
        {"name": "acme", "role": "tenant", "tenants": ["acme"], "sha256": hash_token("acme")},
    ]
    (folder / "tokens.json").write_text(json.dumps({"tokens": tokens}))
    settings = Settings(
        prometheus_url=backfill(request.param, folder / "store", exposition()),
        prometheus_timeout_seconds=PATIENCE_SECONDS,
        database_url=f"sqlite:///{folder}/modelplane.db",
        token_file=folder / "tokens.json",
        registry_file=folder / "modelplane.yaml",
    )
    app = create_app(settings, clock=lambda: NOW)
    yield app.test_client()
    close_app(app)


def rows(client: FlaskClient, caller: str) -> Any:
    headers = {"Authorization": f"Bearer {caller}"}
    response = client.get(f"/api/v1/drift/top?model-name=churn&to={NOW * 1000}", headers=headers)
    assert response.status_code == 200, response.text
    return (response.json or {})["rows"]


@pytest.mark.parametrize("caller", ["admin", "acme"])
def test_limits_are_those_of_the_two_days_before(client: FlaskClient, caller: str) -> None:
    by_signal = {row["signal"]: row for row in rows(client, caller)}
    assert [*by_signal] == ["moved", "as ever", "new"] or [*by_signal] == ["moved", "new", "as ever"]
    moved, as_ever, new = (by_signal[name] for name in ("moved", "as ever", "new"))
    assert (moved["state"], moved["moved"], moved["past_hours"]) == ("calibrated", "psi", 48)
    assert moved["past_max"] == pytest.approx(0.011, rel=0.01)
    assert moved["limit"] == pytest.approx(moved["noise"] + 0.02)
    assert moved["beyond"] == pytest.approx(moved["value"] / moved["limit"])
    assert moved["mean_shift"] == pytest.approx(0.012)
    assert moved["variance_ratio_high_limit"] == pytest.approx(1.25, rel=0.01)
    assert (as_ever["state"], as_ever["moved"]) == ("calibrated", "")
    assert (new["state"], new["past_hours"], new["moved"]) == ("warming up", 0, "")
