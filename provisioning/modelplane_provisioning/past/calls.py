"""Calls of one model version and tenant over a past, and the series that count them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from modelplane_provisioning.past.series import Times, Values
from modelplane_provisioning.past.stories import HOUR, Chapter, Release, Story, Stream
from modelplane_schema.metrics import (
    ACTIVE,
    BUSINESS_EVENTS,
    CONFIDENCE,
    FEEDBACK,
    ITEMS,
    LATENCY,
    REQUESTS,
    TIME_PER_OUTPUT_TOKEN,
    TIME_TO_FIRST_TOKEN,
    TOKENS,
    Metric,
)

Identity = tuple[str, str]
"""Version and tenant."""
Key = tuple[str, str]
"""Name of a sample, and the value of the label that tells it from its siblings, such as its outcome."""

LOAD = ("load", "")  # the seconds of the calls of each step
_SPREAD = 0.5  # of the logarithm of latencies
_JUDGED = 0.25  # share of answers of which the truth comes to light
_DRAWS = 20_000
_SURENESS = 12.0  # how narrow confidences lie around their mean


@dataclass(frozen=True, slots=True)
class Calls:
    """Finished calls in each step of a grid. ``ends`` are milliseconds, ``seconds`` the lengths of steps."""

    ends: Times
    seconds: Values
    finished: Times
    failed: Times
    slow: Times

    @property
    def succeeded(self) -> Times:
        """Those that were answered."""
        return self.finished - self.failed


def draw_calls(
    story: Story, release: Release, tenant: str, grid: tuple[Times, int], rng: np.random.Generator
) -> Calls:
    """Poisson calls of a version for a tenant; ``grid`` is the ends of steps and the moment of the demo."""
    ends, now = grid
    seconds = np.diff(ends, prepend=ends[0]) / 1000
    rate, bad, slow = np.zeros(len(ends)), np.zeros(len(ends)), np.zeros(len(ends))
    for chapter, within in stretches(story, ends, now):
        rate[within] = dict(story.calls_per_second)[tenant] * release.share * chapter.traffic
        for effect in chapter.effects:
            if effect.tenant in ("", tenant) and effect.version in ("", release.version):
                bad[within], slow[within] = effect.bad_share, effect.slow_share
    rate[ends <= now - release.hours_ago * HOUR * 1000] = 0 if release.hours_ago < story.hours else rate[0]
    finished = rng.poisson(rate * seconds)
    failed = rng.binomial(finished, bad)
    return Calls(ends, seconds, finished, failed, rng.binomial(finished - failed, slow))


def stretches(story: Story, ends: Times, now: int) -> Iterable[tuple[Chapter, np.ndarray]]:
    """Each chapter with a mask of the steps that lie in it; the first one reaches back for ever."""
    begins = [now - chapter.hours_ago * HOUR * 1000 for chapter in story.chapters]
    begins[0] = -np.inf
    for chapter, begin, end in zip(story.chapters, begins, [*begins[1:], np.inf], strict=True):
        yield chapter, (ends > begin) & (ends <= end)


def call_counters(
    calls: Calls, story: Story, release: Release, rng: np.random.Generator
) -> dict[Key, Values]:
    """Running totals of all that is counted of calls, and the calls in flight."""
    ordinary = latencies(story, rng)
    slow = ordinary + rng.uniform(*story.lookup_seconds, _DRAWS)
    counters: dict[Key, Values] = {
        (REQUESTS.name, outcome): _running(counts)
        for outcome, counts in {"success": calls.succeeded, "failure": calls.failed}.items()
    }
    counters[REQUESTS.name, "cancelled"] = counters[REQUESTS.name, "rejected"] = np.zeros(len(calls.ends))
    counters |= histogram(LATENCY, [(calls.finished - calls.slow, ordinary), (calls.slow, slow)], rng)
    load = np.diff(counters[f"{LATENCY.name}_sum", ""], prepend=0.0)
    counters[ITEMS.name, ""] = _running(calls.succeeded)
    counters[ACTIVE.name, ""] = rng.poisson(load / np.maximum(calls.seconds, 1e-9)).astype(float)
    counters[LOAD] = load
    counters |= histogram(CONFIDENCE, [(calls.succeeded, _confidences(release, rng))], rng)
    if release.correct:
        counters |= _verdicts(calls, release, rng)
    if story.stream:
        counters |= _streamed(calls, story.stream, rng)
    return counters


def latencies(story: Story, rng: np.random.Generator) -> Values:
    """Draws of what a usual call takes, in seconds."""
    return story.seconds * rng.lognormal(0.0, _SPREAD, _DRAWS)


def histogram(
    metric: Metric, parts: Iterable[tuple[Times, Values]], rng: np.random.Generator
) -> dict[Key, Values]:
    """Running buckets, sum and count; each of the ``parts`` is counts by step, and draws of its values."""
    edges = np.array([-np.inf, *metric.buckets, np.inf])
    buckets, total = np.zeros((1, len(edges) - 1)), np.zeros(1)
    for counts, draws in parts:
        shares = np.histogram(draws, edges)[0] / len(draws)
        buckets = buckets + rng.multinomial(counts, shares)
        total = total + counts * draws.mean()
    running = np.cumsum(np.cumsum(buckets, axis=0), axis=1)
    counters: dict[Key, Values] = {
        (f"{metric.name}_bucket", f"{bound:g}"): running[:, index] for index, bound in enumerate(edges[1:])
    }
    counters[f"{metric.name}_count", ""] = running[:, -1]
    counters[f"{metric.name}_sum", ""] = np.cumsum(total)
    return counters


def charged(loads: Mapping[Identity, Values], seconds: Values) -> dict[Identity, Values]:
    """Device seconds by user of one device, from the seconds of their calls in each step.

    Calls that arrive at random keep a device busy for 1 - exp(-load) of the time, load being the seconds of
    calls per second; those in flight share it equally, so that the charges never exceed the time.
    """
    load = sum(loads.values()) / np.maximum(seconds, 1e-9)
    share = np.where(load > 0, -np.expm1(-load) / np.maximum(load, 1e-9), 0.0)
    return {user: np.cumsum(seconds_of_calls * share) for user, seconds_of_calls in loads.items()}


def _running(counts: Times) -> Values:
    return np.cumsum(counts).astype(float)


def _confidences(release: Release, rng: np.random.Generator) -> Values:
    mean = release.confidence
    return rng.beta(mean * _SURENESS, (1 - mean) * _SURENESS, _DRAWS)


def _verdicts(calls: Calls, release: Release, rng: np.random.Generator) -> dict[Key, Values]:
    judged = rng.binomial(calls.succeeded, _JUDGED)
    correct = rng.binomial(judged, release.correct)
    return {
        (BUSINESS_EVENTS.name, "reviewed"): _running(judged),
        (FEEDBACK.name, "correct"): _running(correct),
        (FEEDBACK.name, "incorrect"): _running(judged - correct),
    }


def _streamed(calls: Calls, stream: Stream, rng: np.random.Generator) -> dict[Key, Values]:
    first = stream.first_token_seconds * rng.lognormal(0.0, _SPREAD, _DRAWS)
    token = stream.token_seconds * rng.lognormal(0.0, _SPREAD / 5, _DRAWS)
    counters = histogram(TIME_TO_FIRST_TOKEN, [(calls.succeeded, first)], rng)
    counters |= histogram(TIME_PER_OUTPUT_TOKEN, [(calls.succeeded, token)], rng)
    for kind, mean in stream.tokens:
        counters[TOKENS.name, kind] = _running(rng.poisson(calls.succeeded * mean))
    counters[TOKENS.name, "reasoning"] = np.zeros(len(calls.ends))
    return counters
