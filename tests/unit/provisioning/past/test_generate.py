"""A past has the labels of the live series, and its counters tell the story."""

from __future__ import annotations

import numpy as np
import pytest

from modelplane_datasource.drift import formulas
from modelplane_provisioning.past.generate import CALL_SECONDS, SLOW_SECONDS
from modelplane_provisioning.past.series import Series, Values, read_exposition
from modelplane_provisioning.past.stories import HOUR
from modelplane_schema.metrics import (
    BASELINE_CENTER,
    BASELINE_RATIO,
    BASELINE_UPPER_BOUND,
    CONFIDENCE,
    DEVICE_SECONDS,
    FEEDBACK,
    LATENCY,
    METRICS,
    MODEL_INFO,
    REQUESTS,
    SIGNAL_DEVIATION_NEGATIVE,
    SIGNAL_DEVIATION_POSITIVE,
    SIGNAL_DEVIATION_SQUARE,
    SIGNAL_OBSERVATIONS,
)
from provisioning_support.told_model import (
    DRIFTS,
    END,
    HOURS,
    NEW,
    NORTH,
    OLD,
    SOUTH,
    STAYS,
    TARGET,
    live,
    series,
)

COUNTERS = {metric.name for metric in METRICS if metric.type == "counter"} | {
    f"{metric.name}{suffix}"
    for metric in METRICS
    if metric.type == "histogram"
    for suffix in ("_bucket", "_count", "_sum")
}


def chosen(name: str, **labels: str) -> list[Series]:
    return [
        entry for entry in series() if entry.name == name and labels.items() <= dict(entry.labels).items()
    ]


def single(name: str, **labels: str) -> Series:
    (entry,) = chosen(name, **labels)
    return entry


def between(entry: Series, since_hours: float, until_hours: float) -> float:
    """By how much a counter grew."""
    moments = [END - hours * HOUR * 1000 for hours in (since_hours, until_hours)]
    begin, end = np.interp(moments, entry.times, entry.values)
    return float(end - begin)


def test_series_have_the_labels_of_the_live_ones_and_of_the_target() -> None:
    exposed = {
        (sample.name, *sorted({**sample.labels, **TARGET}.items()))
        for sample in read_exposition(live().exposition)
    }
    written = [(entry.name, *sorted(entry.labels.items())) for entry in series()]
    assert len(set(written)) == len(written)
    own = {name for name, *_ in written} - {name for name, *_ in exposed}
    assert own == {"up", "scrape_duration_seconds", "scrape_samples_scraped"}
    assert set(written) - exposed == {(name, *sorted(TARGET.items())) for name in own}
    unwritten = {name for name, *_ in exposed - set(written) if str(name).startswith("model_")}
    assert unwritten == {BASELINE_UPPER_BOUND.name, BASELINE_CENTER.name}


def test_times_ascend_to_the_end_and_values_are_finite() -> None:
    for entry in series():
        assert (np.diff(entry.times) > 0).all()
        assert END - SLOW_SECONDS * 1000 < entry.times[-1] <= END
        assert np.isfinite(entry.values).all()


def test_counters_never_fall() -> None:
    counters = [entry for entry in series() if entry.name in COUNTERS]
    assert {entry.name for entry in counters} > {REQUESTS.name, SIGNAL_OBSERVATIONS.name, DEVICE_SECONDS.name}
    for entry in counters:
        assert (np.diff(entry.values) >= 0).all(), entry.name
        assert entry.values[0] >= 0


@pytest.mark.slow
def test_a_seed_gives_the_same_past_again_and_another_seed_another() -> None:
    def values(seed: int) -> list[list[float]]:
        return [entry.values.tolist() for entry in series(seed)]

    first = values(1)
    series.cache_clear()
    assert values(1) == first
    assert values(2) != first


@pytest.mark.parametrize("tenant", [NORTH, SOUTH])
@pytest.mark.parametrize("version", [OLD, NEW])
def test_what_is_counted_of_a_call_agrees(version: str, tenant: str) -> None:
    of_identity = {"model_version": version, "tenant_id": tenant}
    calls = {
        outcome: single(REQUESTS.name, **of_identity, outcome=outcome).values
        for outcome in ("success", "failure", "cancelled", "rejected")
    }
    finished = single(f"{LATENCY.name}_count", **of_identity).values
    np.testing.assert_array_equal(calls["success"] + calls["failure"], finished)
    assert not calls["cancelled"].any()
    assert not calls["rejected"].any()
    np.testing.assert_array_equal(single(f"{CONFIDENCE.name}_count", **of_identity).values, calls["success"])
    buckets = sorted(
        chosen(f"{LATENCY.name}_bucket", **of_identity), key=lambda entry: float(entry.labels["le"])
    )
    below: Values = np.zeros(1)
    for bucket in buckets:
        assert (bucket.values >= below).all()
        below = bucket.values
    np.testing.assert_array_equal(below, finished)
    verdicts = sum(entry.values for entry in chosen(FEEDBACK.name, **of_identity))
    assert (verdicts <= calls["success"]).all()


def test_traffic_is_that_of_the_story() -> None:
    north, south = (
        sum(between(entry, 3.0, 2.0) for entry in chosen(REQUESTS.name, model_version=OLD, tenant_id=tenant))
        for tenant in (NORTH, SOUTH)
    )
    assert north == pytest.approx(2.0 * HOUR, rel=0.05)
    assert south == pytest.approx(0.5 * HOUR, rel=0.1)


def test_failures_and_slow_calls_are_of_their_tenant_in_their_chapter() -> None:
    def failures(tenant: str, since: float, until: float) -> float:
        return sum(
            between(entry, since, until)
            for entry in chosen(REQUESTS.name, tenant_id=tenant, outcome="failure")
        )

    assert failures(SOUTH, 3.0, 0.51) == failures(NORTH, 3.0, 0.0) == 0
    calls = sum(between(entry, 0.5, 0.0) for entry in chosen(REQUESTS.name, tenant_id=SOUTH))
    assert failures(SOUTH, 0.5, 0.0) == pytest.approx(calls / 2, rel=0.2)
    slow = [
        between(single(f"{LATENCY.name}_count", model_version=OLD, tenant_id=tenant), 0.5, 0.0)
        - between(single(f"{LATENCY.name}_bucket", model_version=OLD, tenant_id=tenant, le="0.25"), 0.5, 0.0)
        for tenant in (NORTH, SOUTH)
    ]
    assert slow[0] == 0 < slow[1]


def test_a_version_begins_with_its_deployment() -> None:
    for entry in series():
        if entry.labels.get("model_version") == NEW:
            assert 0 <= entry.times[0] - (END - HOUR * 1000) <= SLOW_SECONDS * 1000
    assert single(MODEL_INFO.name, model_version=OLD).times[0] < END - (HOURS * HOUR - SLOW_SECONDS) * 1000


def psi(signal: str, version: str, since_hours: float, until_hours: float) -> float:
    """By the backend's formulas, less the noise."""
    bins = chosen(SIGNAL_OBSERVATIONS.name, model_version=version, signal=signal)
    counts = [between(entry, since_hours, until_hours) for entry in bins]
    ratios = [
        single(BASELINE_RATIO.name, model_version=version, signal=signal, bin=entry.labels["bin"]).values[0]
        for entry in bins
    ]
    assert sum(counts) > 300
    return float(formulas.psi(counts, ratios, 2000) - formulas.psi_noise(counts, ratios, 2000))


def test_drift_shows_in_its_signal_alone_since_its_chapter_began() -> None:
    assert psi(DRIFTS, OLD, 3.0, 1.6) < 0.02
    assert psi(DRIFTS, OLD, 1.4, 0.0) > 0.25
    assert psi(DRIFTS, NEW, 0.9, 0.0) > 0.25
    assert psi(STAYS, OLD, 3.0, 0.0) < 0.02
    assert psi("prediction", OLD, 3.0, 0.0) < 0.02


@pytest.mark.parametrize(("since", "until", "shift"), [(3.0, 1.6, 0.0), (1.4, 0.0, 1.5)])
def test_deviations_have_the_mean_and_variance_of_what_was_drawn(
    since: float, until: float, shift: float
) -> None:
    of_signal = {"model_version": OLD, "signal": DRIFTS}
    n = sum(between(entry, since, until) for entry in chosen(SIGNAL_OBSERVATIONS.name, **of_signal))
    positive, negative, square = (
        between(single(metric.name, **of_signal), since, until)
        for metric in (SIGNAL_DEVIATION_POSITIVE, SIGNAL_DEVIATION_NEGATIVE, SIGNAL_DEVIATION_SQUARE)
    )
    moved = formulas.mean_shift(positive, negative, n)
    assert moved == pytest.approx(shift, abs=0.06)
    assert formulas.variance_ratio(square, moved, n) == pytest.approx(1.0, abs=0.06)


def test_device_seconds_reach_back_to_the_day_before_and_never_exceed_the_time() -> None:
    used = chosen(DEVICE_SECONDS.name)
    assert len(used) == 4
    earliest = min(entry.times[0] for entry in used)
    assert earliest < END - 23 * HOUR * 1000
    total = sum(between(entry, 24.0, 0.0) for entry in used)
    assert 0 < total < 24 * HOUR
    assert max(int(np.diff(entry.times[-100:]).max()) for entry in used) < CALL_SECONDS * 1000
