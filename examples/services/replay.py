"""Replay rows through inference functions, as clients would, in phases that show on dashboards.

A cycle is: normal, normal, drift, bad input, slow. It repeats until SIGTERM or SIGINT.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from types import FrameType

import numpy as np
from numpy.typing import NDArray

from modelplane_exporter import tenant

Array = NDArray[np.float64]
Change = Callable[[Array, np.random.Generator], Array]
Answer = Mapping[str, object]
Predict = Callable[[Array, float], Answer]
Review = Callable[[Answer, object], None]

PHASE_SECONDS_VARIABLE = "MODELPLANE_REPLAY_PHASE_SECONDS"
DEFAULT_PHASE_SECONDS = 10.0
ONCE_PHASE_SECONDS = 0.5
SLOW_LOOKUP_SECONDS = (0.3, 0.6)
LONGEST_SLEEP_SECONDS = 0.2
# Calls overlap, so that slow ones do not thin out the traffic; the registry allows as many in flight.
CLIENTS = 8

logger = logging.getLogger("examples")


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of the replay; each share is the part of calls it befalls, from 0 to 1."""

    name: str
    drift_share: float = 0.0
    bad_share: float = 0.0
    slow_share: float = 0.0


CYCLE = (
    Phase("normal"),
    Phase("normal"),
    Phase("drift", drift_share=1.0),
    Phase("bad input", bad_share=0.5),
    Phase("slow", slow_share=0.5),
)


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

    predict: Predict
    review: Review | None = None


@dataclass(frozen=True, slots=True)
class Workload:
    """What to replay: calls with rows drawn at random go to each endpoint for each tenant in turn.

    ``rows`` holds one input per index of its first axis. They are those of the whole data set, the population
    that the model serves: the held-out ones alone are too few to be distributed as the training set is (54
    wines have a psi of 0.24 by chance). ``truths`` maps the index of each held-out row to what it is; a model
    has seen the others, so that feedback about them would flatter it. ``drift`` changes one input.
    """

    endpoints: tuple[Endpoint, ...]
    tenants: tuple[str, ...]
    rows: Array
    drift: Change
    truths: Mapping[int, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Options:
    """``rate`` is in calls per second, for each tenant of each inference function."""

    phases: Iterable[Phase]
    phase_seconds: float
    rate: float


class StopRequest:
    """A signal handler that only remembers that it was called."""

    def __init__(self) -> None:
        self.received = False

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        self.received = True


def noisy(image: Array, rng: np.random.Generator, scale: float, brightest: float) -> Array:
    """An image with half-normal noise, which only adds light; pixels stay up to ``brightest``."""
    return np.minimum(image + abs(rng.normal(0.0, scale, image.shape)), brightest)


def brightened(image: Array, by: float, brightest: float) -> Array:
    """An image with ``by`` added to each pixel, as under a lamp; pixels stay up to ``brightest``."""
    return np.minimum(image + by, brightest)


def shifted(row: Array, column: int, by: float) -> Array:
    """``row`` with ``by`` added to one feature, as from a sensor that lost its calibration."""
    changed = row.copy()
    changed[column] += by
    return changed


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


def next_call(phase: Phase, workload: Workload, rng: np.random.Generator) -> Call:
    """What a client sends in ``phase``: a row drawn at random, and what befalls it."""
    index = int(rng.integers(len(workload.rows)))
    row = workload.rows[index]
    drifts, bad, slow = rng.random(3) < (phase.drift_share, phase.bad_share, phase.slow_share)
    if drifts:
        row = workload.drift(row, rng)
    if bad:
        row = spoiled(row, rng)
    lookup_seconds = float(rng.uniform(*SLOW_LOOKUP_SECONDS)) if slow else 0.0
    return Call(row, lookup_seconds, bool(bad), workload.truths.get(index))


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
    """Send calls at a steady rate, phase by phase; a call is left out while every client waits."""
    rng = np.random.default_rng(0)
    targets = list(itertools.product(workload.endpoints, workload.tenants))
    turns = itertools.cycle(targets)
    interval = 1 / (options.rate * len(targets))
    with ThreadPoolExecutor(CLIENTS) as clients:
        sent: set[Future[None]] = set()
        for phase in options.phases:
            logger.info("phase: %s", phase.name)
            for _ in _slots(interval, options.phase_seconds, stop):
                endpoint, tenant_id = next(turns)
                sent = _waiting(sent)
                if len(sent) < CLIENTS:
                    call = next_call(phase, workload, rng)
                    sent.add(clients.submit(_send, call, endpoint, tenant_id))
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
        epilog=f"example: {PHASE_SECONDS_VARIABLE}=30 MODELPLANE_EXPORTER_PORT=8001 python %(prog)s --rate 4",
    )
    parser.add_argument("--once", action="store_true", help="replay one short cycle, then exit")
    parser.add_argument(
        "--rate", type=_positive, default=8.0, help="calls per second for each tenant and version (default 8)"
    )
    arguments = parser.parse_args()
    try:
        phase_seconds = _positive(os.environ.get(PHASE_SECONDS_VARIABLE, str(DEFAULT_PHASE_SECONDS)))
    except argparse.ArgumentTypeError as error:
        parser.error(f"{PHASE_SECONDS_VARIABLE} {error}")
    if arguments.once:
        return Options(CYCLE, ONCE_PHASE_SECONDS, arguments.rate)
    return Options(itertools.cycle(CYCLE), phase_seconds, arguments.rate)


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number above 0 (got {text!r})")
    return value
