"""A model with a story, and what it exposes: a real exporter that was called once for each tenant."""

from __future__ import annotations

from functools import cache

import numpy as np
from prometheus_client import CollectorRegistry, generate_latest

from modelplane_exporter import PER_CALL, Baseline, ModelMetricsExporter
from modelplane_provisioning.past.generate import Live, Past, Span
from modelplane_provisioning.past.series import Series
from modelplane_provisioning.past.stories import HOUR, Change, Chapter, Effect, Release, Story

MODEL, OLD, NEW = "pricing", "v1", "v2"
NORTH, SOUTH = "north", "south"
DRIFTS, STAYS = "age", "income"
END = 1_800_000_000_000
HOURS = 3.0
TARGET = {"job": "models", "instance": "127.0.0.1:9"}


def chapter(name: str, hours_ago: float, *effects: Effect, traffic: float = 1.0) -> Chapter:
    return Chapter(name=name, hours_ago=hours_ago, effects=effects, traffic=traffic)


def effect(
    tenant: str = "", version: str = "", bad: float = 0.0, slow: float = 0.0, *changes: Change
) -> Effect:
    return Effect(tenant=tenant, version=version, bad_share=bad, slow_share=slow, changes=changes)


def release(version: str, hours_ago: float = HOURS, share: float = 1.0) -> Release:
    return Release(version=version, confidence=0.9, correct=0.8, share=share, hours_ago=hours_ago)


STORY = Story(
    shows="what tests look for",
    calls_per_second=((NORTH, 2.0), (SOUTH, 0.5)),
    seconds=0.01,
    releases=(release(OLD), release(NEW, hours_ago=1.0, share=0.5)),
    chapters=(
        chapter("quiet", HOURS),
        chapter("drift", 1.5, effect("", "", 0.0, 0.0, Change(signal=DRIFTS, times=1.0, plus=15.0))),
        chapter(
            "failures",
            0.5,
            effect("", "", 0.0, 0.0, Change(signal=DRIFTS, times=1.0, plus=15.0)),
            effect(SOUTH, "", 0.5, 0.25),
        ),
    ),
    stream=None,
    lookup_seconds=(0.3, 0.6),
)


@cache
def live() -> Live:
    """The model as it runs: two versions, a baseline of three signals."""
    registry, rng = CollectorRegistry(), np.random.default_rng(0)
    people = {DRIFTS: rng.normal(40, 10, 2000), STAYS: rng.normal(3000, 500, 2000)}
    baseline = Baseline.fit(MODEL, people, prediction=rng.choice(["yes", "no"], 2000))
    for version in (OLD, NEW):
        exporter = ModelMetricsExporter(
            MODEL, version, PER_CALL, "python", tenants=(NORTH, SOUTH), baseline=baseline, registry=registry,
            feedback=True, port="off",
        )  # fmt: skip
        for tenant in (NORTH, SOUTH):
            with exporter.track(tenant_id=tenant) as call:
                call.features({DRIFTS: 40.0, STAYS: 3000.0})
                call.prediction("yes")
                call.confidence(0.9)
    return Live(MODEL, generate_latest(registry).decode(), TARGET)


@cache
def series(seed: int = 1) -> tuple[Series, ...]:
    span = Span(END - round(HOURS * HOUR) * 1000, END, END - 24 * HOUR * 1000)
    return tuple(Past(live(), STORY, span, seed).series())
