"""Limits from a signal's own past, and what ``/api/v1/drift/top`` makes of them."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from datasource_support.fake_prometheus import FakePrometheus, Form, Reply, matrix_reply, vector_reply
from modelplane_datasource.drift import claims
from modelplane_datasource.drift.calibration import (
    has_moved,
    is_warming_up,
    psi_limit,
    two_sided_distance,
    two_sided_limits,
)
from modelplane_datasource.settings import Settings
from modelplane_schema.calibration import LEAST_WINDOWS, PAST_HOURS, TWO_SIDED_ARMS
from modelplane_schema.promql import duration_seconds
from modelplane_schema.recorded import CALIBRATED_WINDOWS, SIGNAL_PSI, SIGNAL_WINDOWS

HOUR, NOW = 3600, 1_698_400_800
BINS = ("00", "01", "__missing__")
# By signal: shares now, psi of the past, the window before the live one and the live one, and of other arms.
QUIET = (0.5, 0.5, 0.0)
MEAN_SHIFT, VARIANCE_RATIO, MISSING_SHIFT = TWO_SIDED_ARMS
PASTS = st.lists(st.floats(1e-4, 2), min_size=PAST_HOURS, max_size=PAST_HOURS)


@pytest.mark.slow
@given(PASTS, st.floats(1e-4, 0.1))
def test_the_limit_of_psi_is_that_of_the_design(past: list[float], noise: float) -> None:
    assert psi_limit(np.array(past), np.array(noise)) == max(1.5 * max(past), noise + 0.02)


@pytest.mark.slow
@given(PASTS)
def test_limits_of_two_sides_are_twice_as_far_as_it_ever_was(past: list[float]) -> None:
    values = np.array(past)
    half = max(2 * np.abs(values - values.mean()).max(), 0.1)
    limits = two_sided_limits(MEAN_SHIFT, values)
    assert limits.low == pytest.approx(values.mean() - half)
    assert limits.high == pytest.approx(values.mean() + half)
    distances = two_sided_distance(MEAN_SHIFT, np.array([limits.high, limits.low]), limits)
    assert distances == pytest.approx(1)
    ratios = two_sided_limits(VARIANCE_RATIO, values)
    assert np.sqrt(ratios.low * ratios.high) == pytest.approx(np.exp(np.log(values).mean()))
    assert ratios.high / ratios.low >= 1.25**2 * (1 - 1e-9)
    assert two_sided_distance(VARIANCE_RATIO, ratios.high, ratios) == pytest.approx(1)
    assert np.isfinite(two_sided_distance(VARIANCE_RATIO, np.array(0.0), ratios))


def test_a_gap_in_the_past_is_no_value() -> None:
    past = np.full((2, PAST_HOURS), 0.03)
    past[0, 10:20] = np.nan
    assert psi_limit(past, np.array(0.005)) == pytest.approx([0.045, 0.045])
    assert not is_warming_up(past).any()


@pytest.mark.parametrize(
    ("missing", "warms_up"),
    [
        (slice(0, 0), False), (slice(0, 6), False), (slice(0, 7), True), (slice(0, 24), True),
        (slice(2, 37), False), (slice(1, 37), False), (slice(1, 38), True), (slice(0, PAST_HOURS), True),
    ],
)  # fmt: skip
def test_a_signal_warms_up_until_it_has_two_days(missing: slice, warms_up: bool) -> None:
    past = np.full(PAST_HOURS, 0.03)
    past[missing] = np.nan
    assert is_warming_up(past) == warms_up
    assert np.isnan(psi_limit(past, np.array(0.005))) == warms_up


def test_a_past_holds_enough_windows() -> None:
    seconds = {window: duration_seconds(window) for window in SIGNAL_WINDOWS}
    long_enough = (
        window for window in SIGNAL_WINDOWS if LEAST_WINDOWS * seconds[window] <= PAST_HOURS * HOUR
    )
    assert tuple(long_enough) == CALIBRATED_WINDOWS


def test_two_windows_or_one_that_is_certain() -> None:
    live, previous = np.array([1.1, 1.1, 2.9, 3.1, np.nan, 1.1]), np.array([1.1, 0.9, 0.5, 0.5, 2, np.nan])
    assert has_moved(live, previous).tolist() == [True, False, False, True, False, False]


Arm = tuple[float, float, float]  # in the past, in the window before the live one, live


class Prometheus:
    """Signals with their shares now, and what is recorded of each arm; ``hours`` of the past are there."""

    def __init__(
        self, shares: Mapping[str, tuple[float, ...]], recorded: Mapping[str, Mapping[str, Arm]],
        hours: int = PAST_HOURS, n: float = 10_000,
    ) -> None:  # fmt: skip
        self._shares, self._recorded, self._hours, self._n = shares, recorded, hours, n

    def __call__(self, path: str, form: Form) -> Reply:
        query = form["query"]
        if "modelplane:" in query:
            assert query.count("label_replace") == 4
            assert SIGNAL_PSI.over("1h").name in query
            return matrix_reply(*self._history())
        if "baseline_observations" in query:
            return vector_reply(*((labels(signal), 20_000.0) for signal in self._shares))
        if path.endswith("/query"):
            ratios = (
                ({**labels(s), "bin": b}, q) for s in self._shares for b, q in zip(BINS, QUIET, strict=True)
            )
            return vector_reply(*ratios)
        counts = [
            ({**labels(signal), "tenant_id": "__all__", "bin": name}, [(NOW, str(self._n * share))])
            for signal, shares in self._shares.items()
            for name, share in zip(BINS, shares, strict=True)
        ]
        return matrix_reply(*counts)

    def _history(self) -> list[Any]:
        times = range(NOW - (PAST_HOURS + 1) * HOUR, NOW + 1, HOUR)
        assert len(times) == PAST_HOURS + 2
        return [
            (
                {**labels(signal), "tenant_id": "__all__", "method": method},
                list(zip(times, map(str, [past] * PAST_HOURS + [previous, live]), strict=True))[
                    PAST_HOURS - self._hours :
                ],
            )
            for signal, arms in self._recorded.items()
            for method, (past, previous, live) in arms.items()
        ]


def labels(signal: str) -> dict[str, str]:
    return {
        "model_name": "churn", "model_version": "v1", "kind": "input", "signal": signal, "baseline": "a1b2",
    }  # fmt: skip


def rows(client: FlaskClient, parameters: str = "") -> Any:
    response = client.get(f"/api/v1/drift/top?model-name=churn&to={NOW * 1000}{parameters}")
    assert response.status_code == 200, response.text
    return response.json


AS_EVER = {
    "psi": (0.001, 0.001, 0.001), "mean_shift": (0.0, 0.0, 0.0), "variance_ratio": (1.0, 1.0, 1.0),
    "missing_shift": (0.0, 0.0, 0.0),
}  # fmt: skip


def test_rows_are_ranked_by_their_own_limits_and_name_what_moved(
    client: FlaskClient, upstream: FakePrometheus
) -> None:
    upstream.reply = Prometheus(
        # psi: 0.81 of a signal that is always so, 0.04 and 0.01 of two that never were
        {"restless": (0.8, 0.2, 0.0), "moved": (0.6, 0.4, 0.0), "scatters": QUIET, "calm": QUIET},
        {
            "restless": {**AS_EVER, "psi": (0.4, 0.4, 0.4)},
            "moved": {**AS_EVER, "psi": (0.001, 0.04, 0.04), "mean_shift": (0.0, 0.0, 0.15)},
            "scatters": {**AS_EVER, "variance_ratio": (1.0, 1.0, 2.5), "missing_shift": (0.0, 0.02, 0.02)},
            "calm": AS_EVER,
        },
    )
    body = rows(client)
    assert [row["signal"] for row in body["rows"]] == ["scatters", "moved", "restless", "calm"]
    by_name = {row["signal"]: row for row in body["rows"]}
    assert {name: row["moved"] for name, row in by_name.items()} == {
        "scatters": "variance_ratio, missing_shift", "moved": "psi", "restless": "", "calm": "",
    }  # fmt: skip
    assert {row["state"] for row in body["rows"]} == {"calibrated"}
    assert {row["past_hours"] for row in body["rows"]} == {PAST_HOURS}
    restless, moved, scatters = by_name["restless"], by_name["moved"], by_name["scatters"]
    # Above critical always alerts, so it is the limit where the own one is higher.
    assert restless["limit"] == pytest.approx(restless["noise"] + 0.25)
    assert restless["past_max"] == 0.4
    assert restless["beyond"] == pytest.approx(restless["value"] / restless["limit"])
    assert moved["limit"] == pytest.approx(moved["noise"] + 0.02)
    assert (moved["mean_shift"], moved["mean_shift_low_limit"], moved["mean_shift_high_limit"]) == (
        0.15, pytest.approx(-0.1), pytest.approx(0.1),
    )  # fmt: skip
    assert scatters["beyond"] == pytest.approx(np.log(2.5) / np.log(1.25))
    assert scatters["variance_ratio_high_limit"] == pytest.approx(1.25)


def test_the_limit_is_its_own_where_the_past_is_quiet_and_above_the_margin(
    client: FlaskClient, upstream: FakePrometheus
) -> None:
    upstream.reply = Prometheus({"age": (0.6, 0.4, 0.0)}, {"age": {**AS_EVER, "psi": (0.06, 0.06, 0.04)}})
    (row,) = rows(client)["rows"]
    assert row["limit"] == pytest.approx(0.09)
    assert row["beyond"] == pytest.approx(row["value"] / 0.09)


@pytest.mark.parametrize("hours", [0, 24, 41])
def test_a_signal_without_two_days_warms_up(
    client: FlaskClient, upstream: FakePrometheus, hours: int
) -> None:
    recorded = {"age": {**AS_EVER, "mean_shift": (0.0, 5.0, 5.0)}} if hours else {}
    upstream.reply = Prometheus({"age": (0.8, 0.2, 0.0)}, recorded, hours)
    (row,) = rows(client)["rows"]
    assert (row["state"], row["past_hours"], row["moved"]) == ("warming up", hours, "")
    assert row["limit"] == pytest.approx(row["noise"] + 0.1)
    assert row["beyond"] == pytest.approx(row["value"] / row["limit"])
    assert row["mean_shift_high_limit"] is None


def test_thresholds_are_those_of_the_model(
    upstream: FakePrometheus,
    settings: Settings,
    make_client: Callable[[Settings], FlaskClient],
    tmp_path: Path,
) -> None:
    model = {
        "name": "churn",
        "framework": "jax",
        "owner": "x",
        "tenants": ["a"],
        "versions": [{"version": "v1"}],
    }
    thresholds = {"psi": {"warning": 0.3, "critical": 0.7}}
    registry = {
        "apiVersion": "modelplane/v1",
        "tenants": [{"id": "a"}],
        "models": [{**model, "drift": thresholds}],
    }
    (tmp_path / "modelplane.yaml").write_text(json.dumps(registry))
    client = make_client(
        dataclasses.replace(settings, registry_file=tmp_path / "modelplane.yaml", cache_seconds=0)
    )
    for hours, threshold in ((PAST_HOURS, 0.7), (0, 0.3)):
        upstream.reply = Prometheus(
            {"age": (0.8, 0.2, 0.0)}, {"age": {**AS_EVER, "psi": (0.9, 0.9, 0.9)}} if hours else {}, hours
        )
        (row,) = rows(client, f"&min-observations={hours + 1}")["rows"]
        assert row["limit"] == pytest.approx(row["noise"] + threshold)


def test_too_few_observations_claim_nothing(client: FlaskClient, upstream: FakePrometheus) -> None:
    loud = {**AS_EVER, "mean_shift": (0.0, 5.0, 5.0)}
    upstream.reply = Prometheus(
        {"age": (0.8, 0.2, 0.0), "calm": QUIET}, {"age": loud, "calm": AS_EVER}, n=200
    )
    for row in rows(client)["rows"]:
        assert (row["value"], row["limit"], row["beyond"], row["moved"]) == (None, None, None, "")


@pytest.mark.slow
@pytest.mark.parametrize(
    "parameters",
    [
        "&method=ks",
        "&reference=previous:7d",
        "&window=2h",
        "&window=1d",
        "&method=variance_ratio",
        "&method=missing_shift",
    ],
)
def test_what_is_not_recorded_has_no_limit(
    client: FlaskClient, upstream: FakePrometheus, parameters: str
) -> None:
    upstream.reply = Prometheus({"age": (0.8, 0.2, 0.0), "calm": QUIET}, {})
    body = rows(client, parameters)
    assert (
        {row["state"] for row in body["rows"]} == {"uncalibrated"}
        if body["rows"]
        else "variance" in parameters
    )
    assert not any("modelplane:" in form["query"] for _, form, _ in upstream.calls)
    if body["rows"] and "previous" not in parameters and "missing" not in parameters:
        assert [row["signal"] for row in body["rows"]] == ["age", "calm"]


def test_a_window_that_is_recorded_is_compared_with_its_like(
    client: FlaskClient, upstream: FakePrometheus
) -> None:
    upstream.reply = lambda path, _form: vector_reply() if path.endswith("/query") else matrix_reply()
    rows(client, "&window=6h")
    (form,) = (form for _, form, _ in upstream.calls if "modelplane:" in form["query"])
    assert set(re.findall(r"modelplane:signal_\w+:(\w+)", form["query"])) == {"6h"}
    assert float(form["end"]) - float(form["start"]) == (2 * 6 + PAST_HOURS - 1) * HOUR
    assert form["step"] == "3600.000"


def test_of_very_many_signals_the_past_is_left_out_with_a_word(
    client: FlaskClient, upstream: FakePrometheus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "MAX_SIGNALS", 1)
    upstream.reply = Prometheus({"age": (0.8, 0.2, 0.0), "calm": QUIET}, {"age": AS_EVER, "calm": AS_EVER})
    body = rows(client)
    assert {row["state"] for row in body["rows"]} == {"uncalibrated"}
    assert "name fewer" in body["warnings"][0]
    for row in body["rows"]:
        assert row["limit"] == pytest.approx(row["noise"] + 0.1)


def test_one_more_query_than_before(client: FlaskClient, upstream: FakePrometheus) -> None:
    upstream.reply = Prometheus({"age": QUIET}, {})
    rows(client)
    assert len(upstream.calls) == 4
