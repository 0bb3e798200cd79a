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
    CHAPTER_SECONDS_VARIABLE,
    INK,
    Answer,
    Array,
    Endpoint,
    Options,
    StopRequest,
    Workload,
    changed,
    fetch_features,
    ink,
    next_call,
    replay,
    run,
    spoiled,
    targets_of,
    truncated,
    with_gap,
)
from stories import Change, Chapter, Effect, Release, Story

from modelplane_exporter.tenant_context import tenant_in_force

cells = st.floats(0, 16, width=32)
images = arrays.arrays(np.float64, (8, 8), elements=cells)
rows = arrays.arrays(np.float64, st.integers(2, 30), elements=cells)
seeds = st.integers(0, 2**32 - 1)
CALLS = 2000


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def story(
    *effects: Effect,
    tenants: tuple[tuple[str, float], ...] = (("north", 1.0), ("south", 1.0)),
    releases: tuple[Release, ...] = (Release("v1", 0.9), Release("v2", 0.9)),
    seconds: float = 0.01,
) -> Story:
    """One chapter after a quiet one."""
    chapters = (Chapter("quiet", 2.0), Chapter("loud", 1.0, effects, traffic=2.0))
    return Story("tests", tenants, seconds, releases, chapters)


def one_version(*effects: Effect) -> Story:
    return story(*effects, tenants=(("north", 1.0),), releases=(Release("v1", 0.9),))


@given(images, seeds)
def test_changes_leave_their_input_alone_and_repeat_with_the_seed(image: Array, seed: int) -> None:
    before = image.copy()
    changes: tuple[Callable[[np.random.Generator], Array], ...] = (
        lambda rng: changed(image[0], 3, 1.0, 2.0),
        lambda rng: with_gap(image, rng),
        lambda rng: spoiled(image, rng),
    )
    for change in changes:
        first, second = change(generator(seed)), change(generator(seed))
        assert not np.shares_memory(first, image)
        np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(image, before)


@pytest.mark.slow
@given(rows, st.floats(-100, 100), st.floats(-100, 100))
def test_a_change_is_of_one_feature(row: Array, times: float, plus: float) -> None:
    other = changed(row, 1, times, plus)
    assert other[1] == row[1] * times + plus
    np.testing.assert_array_equal(np.delete(other, 1), np.delete(row, 1))


@pytest.mark.slow
@given(images)
def test_ink_is_measured_by_row(image: Array) -> None:
    assert ink(image).shape == (len(INK),)
    np.testing.assert_allclose(ink(image[None])[0], [row.mean() for row in image])


@pytest.mark.slow
@given(st.one_of(rows, images), seeds)
def test_bad_rows_have_a_wrong_shape_or_exactly_one_gap(row: Array, seed: int) -> None:
    bad = spoiled(row, generator(seed))
    if bad.shape == row.shape:
        assert np.isnan(bad).sum() == 1
        assert (bad == row).sum() == row.size - 1
    else:
        np.testing.assert_array_equal(bad, truncated(row))
        assert bad.shape == (*row.shape[:-1], row.shape[-1] - 1)


def test_shares_of_effects_are_met_and_changes_befall_every_call() -> None:
    rng, row = generator(), np.arange(10.0)
    replayed = Workload(story(), (), row[None], names=[str(name) for name in range(10)])
    changes = (Change("3", times=2.0), Change("7", plus=0.5))
    effects = (Effect(slow_share=0.3, changes=changes), Effect(bad_share=0.2))
    calls = [next_call(effects, replayed, rng) for _ in range(CALLS)]
    slow = [call.lookup_seconds for call in calls if call.lookup_seconds]
    assert sum(call.bad for call in calls) / CALLS == pytest.approx(0.2, abs=0.05)
    assert len(slow) / CALLS == pytest.approx(0.3, abs=0.05)
    shortest, longest = replayed.story.lookup_seconds
    assert all(shortest <= seconds <= longest for seconds in slow)
    expected = np.array([0, 1, 2, 6, 4, 5, 6, 7.5, 8, 9])
    for call in calls:
        assert call.bad or (call.row == expected).all()


def test_rows_are_drawn_from_all_and_bring_the_truths_that_are_known() -> None:
    rng = generator()
    replayed = Workload(story(), (), np.arange(6.0).reshape(3, 2), {0: "benign", 2: "malignant"})
    seen = {(float(call.row[0]), call.truth) for call in (next_call((), replayed, rng) for _ in range(99))}
    assert seen == {(0.0, "benign"), (2.0, None), (4.0, "malignant")}


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


def workload(calls: list[tuple[str, object, float]], told: Story | None = None) -> Workload:
    endpoints = (Endpoint("v1", Recorder("v1", calls)), Endpoint("v2", Recorder("v2", calls)))
    return Workload(told or story(), endpoints, np.arange(6.0).reshape(2, 3))


def test_calls_of_a_target_are_those_of_the_tenant_by_the_share_of_the_version_and_the_chapter() -> None:
    bad = Effect(tenant="south", version="v2", bad_share=0.5)
    told = story(
        bad,
        tenants=(("north", 6.0), ("south", 1.0)),
        releases=(Release("v1", 0.9), Release("v2", 0.9, share=0.25)),
    )
    targets = targets_of(workload([], told), told.chapters[1])
    assert [
        (target.endpoint.version, target.tenant_id, target.calls_per_second, target.effects)
        for target in targets
    ] == [
        ("v1", "north", 12.0, ()),
        ("v1", "south", 2.0, ()),
        ("v2", "north", 3.0, ()),
        ("v2", "south", 0.5, (bad,)),
    ]


def test_each_version_is_called_for_each_tenant_before_all_else() -> None:
    calls: list[tuple[str, object, float]] = []
    told = story(Effect(bad_share=1.0), tenants=(("north", 1.0), ("south", 1e-9)))
    replay(workload(calls, told), Options(0.01, once=True), StopRequest())
    assert [call[:2] for call in calls[:4]] == list(itertools.product(("v1", "v2"), ("north", "south")))


@pytest.mark.slow
def test_traffic_is_by_tenant_and_version() -> None:
    calls: list[tuple[str, object, float]] = []
    told = story(tenants=(("north", 3.0), ("south", 1.0)))
    replay(workload(calls, told), Options(1.0, once=True, speed=20.0), StopRequest())
    counts = Counter(tenant_id for _, tenant_id, _ in calls)
    assert counts["north"] > 1.5 * counts["south"] > 0
    assert {row for _, _, row in calls} == {0.0, 3.0}


@pytest.mark.slow
def test_rate_is_an_upper_bound() -> None:
    calls: list[tuple[str, object, float]] = []
    replay(workload(calls), Options(0.25, once=True, speed=10.0), StopRequest())
    slots = 0.25 * 10 * (4 + 8) + 2  # of four targets in a quiet chapter and one with twice the traffic
    assert 6 <= len(calls) <= 4 + slots


def test_refused_bad_input_is_expected_and_other_failures_are_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refuse(row: Array, lookup_seconds: float) -> Answer:
        if np.isnan(row).any() or len(row) < 3:
            raise ValueError("refused")
        raise ValueError("broken")

    endpoints = (Endpoint("v1", refuse),)
    with caplog.at_level(logging.INFO, "examples"):
        every = Workload(one_version(Effect(bad_share=1.0)), endpoints, np.ones((1, 3)))
        replay(every, Options(0.1, once=True, speed=10.0), StopRequest())
    assert "chapter: quiet" in caplog.messages
    assert "chapter: loud" in caplog.messages
    assert "a call of north failed: broken" in caplog.messages
    assert "a call of north failed: refused" not in caplog.messages


@pytest.mark.slow
def test_reviews_hear_answer_and_truth_of_calls_that_succeeded() -> None:
    heard: list[tuple[object, object, object]] = []

    def label(row: Array, lookup_seconds: float) -> Answer:
        if row[0] == 2:
            raise ValueError("refused")
        return {"label": float(row[0])}

    def review(answer: Answer, truth: object) -> None:
        heard.append((tenant_in_force(), answer["label"], truth))

    endpoint = Endpoint("v1", label, review)
    replayed = Workload(one_version(), (endpoint,), np.arange(3.0)[:, None], {0: "zero", 2: "two"})
    replay(replayed, Options(0.3, once=True, speed=30.0), StopRequest())
    assert set(heard) == {("north", 0.0, "zero")}


@pytest.mark.parametrize("present", [True, False])
def test_stop_request_ends_an_endless_replay(present: bool) -> None:
    stop = StopRequest()
    calls: list[tuple[str, object, float]] = []

    def once(row: Array, lookup_seconds: float) -> Answer:
        stop(signal.SIGTERM, None)
        return Recorder("v1", calls)(row, lookup_seconds)

    replay(
        Workload(one_version(), (Endpoint("v1", once),), np.ones((1, 3))), Options(60, present=present), stop
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


def names(options: Options, count: int) -> list[str]:
    return [chapter.name for chapter in itertools.islice(options.chapters(story()), count)]


def test_once_is_each_chapter_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    options = parsed(monkeypatch, "--once", "--speed", "4")
    assert names(options, 9) == ["quiet", "loud"]
    assert options.chapter_seconds < 1
    assert options.speed == 4


def test_present_is_the_last_chapter_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    assert names(parsed(monkeypatch, "--present"), 3) == ["loud"] * 3


def test_defaults_and_length_of_chapters_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CHAPTER_SECONDS_VARIABLE, raising=False)
    options = parsed(monkeypatch)
    assert (options.chapter_seconds, options.speed) == (20, 1)
    assert names(options, 4) == ["quiet", "loud"] * 2
    monkeypatch.setenv(CHAPTER_SECONDS_VARIABLE, "2.5")
    assert parsed(monkeypatch).chapter_seconds == 2.5


@pytest.mark.parametrize("text", ["0", "-1", "soon", "nan", "inf", ""])
def test_length_of_chapters_that_is_no_positive_number_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    monkeypatch.setenv(CHAPTER_SECONDS_VARIABLE, text)
    with pytest.raises(SystemExit) as ending:
        parsed(monkeypatch)
    assert ending.value.code == 2
    assert f"{CHAPTER_SECONDS_VARIABLE} must be a number above 0 (got {text!r})" in capsys.readouterr().err


def test_help_shows_an_example(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ending:
        parsed(monkeypatch, "--help")
    assert ending.value.code == 0
    assert "example: " in capsys.readouterr().out
