from __future__ import annotations

import itertools
import logging
import signal
import time
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
import replay as module
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from replay import (
    CYCLE,
    PHASE_SECONDS_VARIABLE,
    SLOW_LOOKUP_SECONDS,
    Answer,
    Array,
    Endpoint,
    Options,
    Phase,
    StopRequest,
    Workload,
    brightened,
    fetch_features,
    next_call,
    noisy,
    replay,
    run,
    shifted,
    spoiled,
    truncated,
    with_gap,
)

from modelplane_exporter.tenant_context import tenant_in_force

cells = st.floats(0, 16, width=32)
images = arrays.arrays(np.float64, (8, 8), elements=cells)
rows = arrays.arrays(np.float64, st.integers(2, 30), elements=cells)
seeds = st.integers(0, 2**32 - 1)
CALLS = 2000


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def unchanged(row: Array, rng: np.random.Generator) -> Array:
    return row


def moved(row: Array, rng: np.random.Generator) -> Array:
    return row + 1


@given(images, seeds)
def test_changes_leave_their_input_alone_and_repeat_with_the_seed(image: Array, seed: int) -> None:
    before = image.copy()
    changes: tuple[Callable[[np.random.Generator], Array], ...] = (
        lambda rng: noisy(image, rng, 4.0, 16.0),
        lambda rng: brightened(image, 8.0, 16.0),
        lambda rng: shifted(image[0], 3, 2.0),
        lambda rng: with_gap(image, rng),
        lambda rng: spoiled(image, rng),
    )
    for change in changes:
        first, second = change(generator(seed)), change(generator(seed))
        assert not np.shares_memory(first, image)
        np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(image, before)


@given(images, seeds, st.floats(0, 50))
def test_noise_only_adds_light_up_to_the_brightest(image: Array, seed: int, scale: float) -> None:
    changed = noisy(image, generator(seed), scale, 16.0)
    assert changed.shape == image.shape
    assert (changed >= image).all()
    assert changed.max() <= 16


@given(images, st.floats(0, 50))
def test_light_is_added_up_to_the_brightest(image: Array, by: float) -> None:
    changed = brightened(image, by, 16.0)
    assert changed.max() <= 16
    dark = changed < 16
    np.testing.assert_array_equal(changed[dark], (image + by)[dark])


@given(rows, st.floats(-100, 100))
def test_shift_changes_one_feature(row: Array, by: float) -> None:
    changed = shifted(row, 1, by)
    assert changed[1] == row[1] + by
    np.testing.assert_array_equal(np.delete(changed, 1), np.delete(row, 1))


@given(st.one_of(rows, images), seeds)
def test_bad_rows_have_a_wrong_shape_or_exactly_one_gap(row: Array, seed: int) -> None:
    bad = spoiled(row, generator(seed))
    if bad.shape == row.shape:
        assert np.isnan(bad).sum() == 1
        assert (bad == row).sum() == row.size - 1
    else:
        np.testing.assert_array_equal(bad, truncated(row))
        assert bad.shape == (*row.shape[:-1], row.shape[-1] - 1)


def test_cycle_shows_each_trouble_once_after_two_normal_phases() -> None:
    assert [phase.name for phase in CYCLE] == ["normal", "normal", "drift", "bad input", "slow"]
    assert CYCLE[0] == Phase("normal")


@pytest.mark.parametrize("phase", CYCLE, ids=lambda phase: phase.name)
def test_shares_of_a_phase_are_met(phase: Phase) -> None:
    rng = generator()
    row = np.arange(10.0)
    replayed = Workload((), ("north",), row[None], moved)
    calls = [next_call(phase, replayed, rng) for _ in range(CALLS)]
    slow = [call.lookup_seconds for call in calls if call.lookup_seconds]
    assert sum(call.bad for call in calls) / CALLS == pytest.approx(phase.bad_share, abs=0.05)
    assert len(slow) / CALLS == pytest.approx(phase.slow_share, abs=0.05)
    assert all(SLOW_LOOKUP_SECONDS[0] <= seconds <= SLOW_LOOKUP_SECONDS[1] for seconds in slow)
    if not phase.bad_share:
        drifted = [bool((call.row == row + 1).all()) for call in calls]
        assert np.mean(drifted) == phase.drift_share


def test_rows_are_drawn_from_all_and_bring_the_truths_that_are_known() -> None:
    rng = generator()
    replayed = Workload(
        (), ("north",), np.arange(6.0).reshape(3, 2), unchanged, {0: "benign", 2: "malignant"}
    )
    seen = {
        (float(call.row[0]), call.truth) for call in (next_call(CYCLE[0], replayed, rng) for _ in range(99))
    }
    assert seen == {(0.0, "benign"), (2.0, None), (4.0, "malignant")}


def test_slow_lookups_are_above_the_latency_slo() -> None:
    assert SLOW_LOOKUP_SECONDS[0] > 0.25


def test_lookup_waits_and_returns_the_row(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    row = np.ones(3)
    assert fetch_features(row, 0.0) is row
    assert fetch_features(row, 0.4) is row
    assert waits == [0.4]


class Recorder:
    """An inference function that remembers who called it and refuses bad rows."""

    def __init__(self, version: str, calls: list[tuple[str, object, float]]) -> None:
        self.version = version
        self.calls = calls

    def __call__(self, row: Array, lookup_seconds: float) -> Answer:
        self.calls.append((self.version, tenant_in_force(), float(row[0])))
        if row.shape != (3,) or np.isnan(row).any():
            raise ValueError("refused")
        return {"confidence": 1.0}


def workload(calls: list[tuple[str, object, float]]) -> Workload:
    endpoints = (Endpoint(Recorder("v1", calls)), Endpoint(Recorder("v2", calls)))
    return Workload(endpoints, ("north", "south"), np.arange(6.0).reshape(2, 3), unchanged)


def test_every_version_and_tenant_gets_every_row() -> None:
    calls: list[tuple[str, object, float]] = []
    replay(workload(calls), Options((Phase("normal"),), 0.5, 50.0), StopRequest())
    assert set(calls) == set(itertools.product(("v1", "v2"), ("north", "south"), (0.0, 3.0)))


def test_versions_and_tenants_take_turns() -> None:
    calls: list[tuple[str, object, float]] = []
    replay(workload(calls), Options((Phase("normal"),), 0.5, 20.0), StopRequest())
    counts = Counter((version, tenant_id) for version, tenant_id, _ in calls)
    assert len(counts) == 4
    assert max(counts.values()) - min(counts.values()) <= 1


def test_rate_is_an_upper_bound() -> None:
    calls: list[tuple[str, object, float]] = []
    replay(workload(calls), Options((Phase("normal"), Phase("normal")), 0.25, 10.0), StopRequest())
    assert 2 <= len(calls) <= 2 * (0.25 * 10 * 4 + 1)


def test_refused_bad_input_is_expected_and_other_failures_are_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refuse(row: Array, lookup_seconds: float) -> Answer:
        raise ValueError("refused")

    every = Workload((Endpoint(refuse),), ("north",), np.ones((1, 3)), unchanged)
    with caplog.at_level(logging.INFO, "examples"):
        replay(every, Options((Phase("bad input", bad_share=1.0),), 0.1, 20.0), StopRequest())
        assert caplog.messages == ["phase: bad input"]
        replay(every, Options((Phase("normal"),), 0.1, 20.0), StopRequest())
    assert "a call of north failed: refused" in caplog.messages


def test_reviews_hear_answer_and_truth_of_calls_that_succeeded() -> None:
    heard: list[tuple[object, object, object]] = []

    def label(row: Array, lookup_seconds: float) -> Answer:
        if row[0] == 2:
            raise ValueError("refused")
        return {"label": float(row[0])}

    def review(answer: Answer, truth: object) -> None:
        heard.append((tenant_in_force(), answer["label"], truth))

    endpoint = Endpoint(label, review)
    rows = np.arange(3.0)[:, None]
    replay(
        Workload((endpoint,), ("north",), rows, unchanged, {0: "zero", 2: "two"}),
        Options((Phase("normal"),), 0.5, 50.0),
        StopRequest(),
    )
    assert set(heard) == {("north", 0.0, "zero")}


def test_stop_request_ends_an_endless_replay() -> None:
    stop = StopRequest()
    calls: list[tuple[str, object, float]] = []

    def once(row: Array, lookup_seconds: float) -> Answer:
        stop(signal.SIGTERM, None)
        return Recorder("v1", calls)(row, lookup_seconds)

    replay(
        Workload((Endpoint(once),), ("north",), np.ones((1, 3)), unchanged),
        Options(itertools.cycle(CYCLE), 60, 8),
        stop,
    )
    assert stop.received
    assert len(calls) >= 1


def parsed(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Options:
    """The options that a service's command line gives to ``replay``."""
    seen: list[Options] = []
    monkeypatch.setattr("sys.argv", ["service.py", *arguments])
    monkeypatch.setattr(module, "replay", lambda workload, options, stop: seen.append(options))
    monkeypatch.setattr(signal, "signal", lambda signum, handler: None)
    run(lambda: workload([]), "A service.")
    return seen[0]


def test_once_is_one_short_cycle(monkeypatch: pytest.MonkeyPatch) -> None:
    options = parsed(monkeypatch, "--once", "--rate", "4")
    assert tuple(options.phases) == CYCLE
    assert options.phase_seconds < 1
    assert options.rate == 4


def test_defaults_and_phase_length_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PHASE_SECONDS_VARIABLE, raising=False)
    options = parsed(monkeypatch)
    assert (options.phase_seconds, options.rate) == (10, 8)
    assert tuple(itertools.islice(options.phases, 10)) == CYCLE * 2
    monkeypatch.setenv(PHASE_SECONDS_VARIABLE, "2.5")
    assert parsed(monkeypatch).phase_seconds == 2.5


@pytest.mark.parametrize("text", ["0", "-1", "soon", "nan", "inf", ""])
def test_phase_length_that_is_no_positive_number_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    monkeypatch.setenv(PHASE_SECONDS_VARIABLE, text)
    with pytest.raises(SystemExit) as ending:
        parsed(monkeypatch)
    assert ending.value.code == 2
    assert f"{PHASE_SECONDS_VARIABLE} must be a number above 0 (got {text!r})" in capsys.readouterr().err


def test_help_shows_an_example(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ending:
        parsed(monkeypatch, "--help")
    assert ending.value.code == 0
    assert "example: " in capsys.readouterr().out
