"""The budget of series, and tenants that come and go."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from exporter_support.observed_signals import NUMBERS, bins, expected, exporter, exposed
from modelplane_exporter import PER_CALL, tenant
from modelplane_exporter.layout.signals import layout_of
from modelplane_exporter.settings import SIGNAL_SERIES


@pytest.mark.slow
@pytest.mark.parametrize("by_tenant", [False, True])
@pytest.mark.parametrize("rows", [1, 300])
def test_tenants(registry: CollectorRegistry, by_tenant: bool, rows: int) -> None:
    target = exporter(registry, NUMBERS, tenant_id=PER_CALL, signals_by_tenant=by_tenant, tenants=["a", "b"])
    observed: Counter[str] = Counter()
    for number in range(300 if rows == 1 else 3):
        who = "abc"[number % 3]
        with tenant(who), target.track() as call:
            call.features(np.full((rows, 3), 0.25))
            observed[who] += rows
    if not by_tenant:
        assert bins(registry, "f0")["02"] == sum(observed.values())
        assert bins(registry, "f0", "a") == {}
    else:
        assert {who: bins(registry, "f0", who)["02"] for who in "abc"} == observed
        assert bins(registry, "f0") == {}


def test_tenants_known_at_start_have_their_signals_at_zero(registry: CollectorRegistry) -> None:
    exporter(registry, NUMBERS, tenant_id="a", signals_by_tenant=True, tenants=["b"])
    for who in "ab":
        assert bins(registry, "f0", who) == expected(np.array([]))


def test_the_budget_of_series(registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    each = layout_of(NUMBERS).series
    probe = CollectorRegistry()
    exporter(probe, NUMBERS)
    described = sum(len(v) for k, v in exposed(probe).items() if k.startswith("model_signal_baseline"))
    monkeypatch.setenv(SIGNAL_SERIES.name, str(described + 3 * each))
    target = exporter(registry, NUMBERS, tenant_id=PER_CALL, signals_by_tenant=True)
    for who in ("a", "b", "c", "d", "a"):
        with tenant(who), target.track() as call:
            call.features([0.25, 0.25, 0.25])
    assert [bins(registry, "f0", who).get("02") for who in ("a", "b", "c", "__overflow__")] == [2, 1, None, 2]
    by_name = exposed(registry)
    assert by_name["model_series_overflow_total"] == {("m", "v1", "jax", "tenant_id"): 2}
    assert sum(len(v) for k, v in by_name.items() if k.startswith("model_signal")) == described + 3 * each


@pytest.mark.slow
def test_a_baseline_beyond_the_budget_is_refused(
    registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SIGNAL_SERIES.name, "10")
    with pytest.raises(ValueError, match="only 10 of 10 are left; fit it to fewer signals"):
        exporter(registry, NUMBERS)
    monkeypatch.setenv(SIGNAL_SERIES.name, "many")
    with pytest.raises(ValueError, match="must be a whole number"):
        exporter(CollectorRegistry(), NUMBERS)


def test_an_evicted_tenant_makes_room_in_the_budget(registry: CollectorRegistry) -> None:
    target = exporter(
        registry, NUMBERS, tenant_id=PER_CALL, signals_by_tenant=True, max_tenants=1, idle_ttl=0.0
    )
    for who in ("a", "b"):
        with tenant(who), target.track() as call:
            call.features([0.25, 0.25, 0.25])
    assert bins(registry, "f0", "a") == {}
    assert bins(registry, "f0", "b")["02"] == 1
