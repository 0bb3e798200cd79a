"""Replay rows through inference functions, as clients would, by the story of the model.

A service goes through the chapters of its story again and again, or stays in the last one, until it gets
SIGTERM or SIGINT.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from types import FrameType

import numpy as np
from numpy.typing import NDArray
from stories import Chapter, Effect, Story

from modelplane_exporter import tenant

Array = NDArray[np.float64]
Answer = Mapping[str, object]
Predict = Callable[[Array, float], Answer]
Review = Callable[[Answer, object], None]

CHAPTER_SECONDS_VARIABLE = "MODELPLANE_REPLAY_CHAPTER_SECONDS"
DEFAULT_CHAPTER_SECONDS = 20.0
ONCE_CHAPTER_SECONDS = 0.5
LONGEST_SLEEP_SECONDS = 0.2
# Calls overlap, so that slow ones do not thin out the traffic; the registry allows as many in flight.
CLIENTS = 8
# What the examples measure of an image: the ink in each of its rows.
INK = tuple(f"ink_in_row_{row}" for row in range(8))

logger = logging.getLogger("examples")


@dataclass(frozen=True, slots=True)
class Call:
    """What a client sends. ``bad`` calls are expected to fail; ``truth`` is None where it stays unknown."""

    row: Array
    lookup_seconds: float = 0.0
    bad: bool = False
    truth: object = None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One model version: its inference function, and what hears the truth about an answer later."""

    version: str
    predict: Predict
    review: Review | None = None


@dataclass(frozen=True, slots=True)
class Workload:
    """What to replay: calls with rows drawn at random, to each endpoint for each tenant of the story.

    ``rows`` holds one input per index of its first axis. They are those of the whole data set, the population
    that the model serves: the held-out ones alone are too few to be distributed as the training set is (54
    wines have a psi of 0.24 by chance). ``truths`` maps the index of each held-out row to what it is; a model
    has seen the others, so that feedback about them would flatter it. ``names`` are those of a row's columns.
    """

    story: Story
    endpoints: tuple[Endpoint, ...]
    rows: Array
    truths: Mapping[int, object] = field(default_factory=dict)
    names: Sequence[str] = ()

    @property
    def tenants(self) -> tuple[str, ...]:
        """Who calls the model."""
        return tuple(tenant_id for tenant_id, _ in self.story.calls_per_second)


@dataclass(frozen=True, slots=True)
class Target:
    """Whom a call goes to, for which tenant, and what befalls such calls at the moment."""

    endpoint: Endpoint
    tenant_id: str
    calls_per_second: float
    effects: tuple[Effect, ...] = ()


@dataclass(frozen=True, slots=True)
class Options:
    """``present`` stays in the last chapter; ``once`` ends after all. ``speed`` multiplies the calls."""

    chapter_seconds: float
    present: bool = False
    once: bool = False
    speed: float = 1.0

    def chapters(self, story: Story) -> Iterable[Chapter]:
        """The chapters to replay, one after the other."""
        if self.present:
            return itertools.repeat(story.chapters[-1])
        return story.chapters if self.once else itertools.cycle(story.chapters)


class StopRequest:
    """A signal handler that only remembers that it was called."""

    def __init__(self) -> None:
        self.received = False

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        self.received = True


def ink(image: Array) -> Array:
    """The mean of each row of an image."""
    means: Array = image.mean(axis=-1)
    return means


def truncated(row: Array) -> Array:
    """``row`` without the last entry of its last axis."""
    return row[..., :-1].copy()


def with_gap(row: Array, rng: np.random.Generator) -> Array:
    """``row`` with NaN in one cell."""
    changed = row.copy()
    changed.flat[rng.integers(row.size)] = np.nan
    return changed


def spoiled(row: Array, rng: np.random.Generator) -> Array:
    """Input that a model must refuse: the wrong shape or a missing value."""
    return truncated(row) if rng.random() < 0.5 else with_gap(row, rng)


def targets_of(workload: Workload, chapter: Chapter) -> list[Target]:
    """Where calls go in ``chapter``, and how many a second."""
    story = workload.story
    shares = {release.version: release.share for release in story.releases}
    return [
        Target(
            endpoint,
            tenant_id,
            calls_per_second * shares[endpoint.version] * chapter.traffic,
            tuple(effect for effect in chapter.effects if effect.befalls(tenant_id, endpoint.version)),
        )
        for endpoint in workload.endpoints
        for tenant_id, calls_per_second in story.calls_per_second
    ]


def next_call(effects: Iterable[Effect], workload: Workload, rng: np.random.Generator) -> Call:
    """What a client sends: a row drawn at random, and what befalls it."""
    index = int(rng.integers(len(workload.rows)))
    row = workload.rows[index]
    bad = slow = False
    for effect in effects:
        for change in effect.changes:
            row = changed(row, workload.names.index(change.signal), change.times, change.plus)
        bad |= bool(rng.random() < effect.bad_share)
        slow |= bool(rng.random() < effect.slow_share)
    if bad:
        row = spoiled(row, rng)
    lookup_seconds = float(rng.uniform(*workload.story.lookup_seconds)) if slow else 0.0
    return Call(row, lookup_seconds, bad, workload.truths.get(index))


def changed(row: Array, column: int, times: float, plus: float) -> Array:
    """``row`` with one feature changed, as by a sensor without calibration or in another unit."""
    other = row.copy()
    other[column] = other[column] * times + plus
    return other


def fetch_features(row: Array, lookup_seconds: float) -> Array:
    """``row``, after a wait that stands for the lookup in a feature store."""
    if lookup_seconds:
        time.sleep(lookup_seconds)
    return row


def log_training(name: str, accuracy: float) -> None:
    """One line about a trained model; ``accuracy`` is the held-out share of right answers."""
    logger.info("%s: trained, held-out accuracy %.3f", name, accuracy)


def run(build: Callable[[], Workload], description: str | None) -> None:
    """The command line of a service: train by ``build``, then replay until told to stop."""
    options = _options(description)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    stop = StopRequest()
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    replay(build(), options, stop)


def replay(workload: Workload, options: Options, stop: StopRequest) -> None:
    """Send calls at a steady rate, chapter by chapter; a call is left out while every client waits.

    Before, each version is called once for each tenant, so that those who seldom call show from the start.
    """
    rng = np.random.default_rng(0)
    for endpoint, tenant_id in itertools.product(workload.endpoints, workload.tenants):
        _send(next_call((), workload, rng), endpoint, tenant_id)
    with ThreadPoolExecutor(CLIENTS) as clients:
        sent: set[Future[None]] = set()
        chapter_before = None
        for chapter in options.chapters(workload.story):
            if chapter is not chapter_before:
                logger.info("chapter: %s", chapter.name)
            chapter_before = chapter
            targets = targets_of(workload, chapter)
            rates = np.array([target.calls_per_second for target in targets]) * options.speed
            for _ in _slots(1 / rates.sum(), options.chapter_seconds, stop):
                target = targets[rng.choice(len(targets), p=rates / rates.sum())]
                sent = _waiting(sent)
                if len(sent) < CLIENTS:
                    call = next_call(target.effects, workload, rng)
                    sent.add(clients.submit(_send, call, target.endpoint, target.tenant_id))
            if stop.received:
                return


def _slots(interval: float, seconds: float, stop: StopRequest) -> Iterator[None]:
    """Yield every ``interval`` for ``seconds`` or until stopped; never in a burst after a delay."""
    now = slot = time.monotonic()
    end = now + seconds
    while now < end and not stop.received:
        if now >= slot:
            yield
            now = time.monotonic()
            slot = max(slot + interval, now)
        time.sleep(min(max(slot - now, 0.0), LONGEST_SLEEP_SECONDS))
        now = time.monotonic()


def _waiting(sent: set[Future[None]]) -> set[Future[None]]:
    """Calls still in flight; an error of the replay itself in a finished one is raised."""
    finished, waiting = wait(sent, timeout=0)
    for future in finished:
        future.result()
    return waiting


def _send(call: Call, endpoint: Endpoint, tenant_id: str) -> None:
    try:
        with tenant(tenant_id):
            answer = endpoint.predict(call.row, call.lookup_seconds)
            if endpoint.review is not None and call.truth is not None:
                endpoint.review(answer, call.truth)
    except Exception as error:  # noqa: BLE001 - a client sees that its call failed and goes on
        level = logging.DEBUG if call.bad else logging.WARNING
        logger.log(level, "a call of %s failed: %s", tenant_id, error)


def _options(description: str | None) -> Options:
    parser = argparse.ArgumentParser(
        description=description,
        epilog=f"example: {CHAPTER_SECONDS_VARIABLE}=60 python %(prog)s --speed 2",
    )
    chapters = parser.add_mutually_exclusive_group()
    chapters.add_argument("--once", action="store_true", help="replay each chapter for a moment, then exit")
    chapters.add_argument("--present", action="store_true", help="stay in the last chapter")
    parser.add_argument("--speed", type=_positive, default=1.0, help="multiplies the calls (default 1)")
    arguments = parser.parse_args()
    if arguments.once:
        return Options(ONCE_CHAPTER_SECONDS, once=True, speed=arguments.speed)
    try:
        seconds = _positive(os.environ.get(CHAPTER_SECONDS_VARIABLE, str(DEFAULT_CHAPTER_SECONDS)))
    except argparse.ArgumentTypeError as error:
        parser.error(f"{CHAPTER_SECONDS_VARIABLE} {error}")
    return Options(seconds, present=arguments.present, speed=arguments.speed)


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number above 0 (got {text!r})")
    return value
