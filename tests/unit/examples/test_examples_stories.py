"""The stories of the examples: they fit the registry, and each shows what no other does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from catalogue import SERVICES, as_json
from stories import PAST_HOURS, STORIES

from modelplane_schema.registry import Model, load_registry
from modelplane_schema.slos import LatencyIndicator

REGISTRY = load_registry(Path(__file__).parents[3] / "examples" / "modelplane.yaml")
of_each_model = pytest.mark.parametrize("model", REGISTRY.models, ids=lambda model: model.name)


def test_each_model_has_a_story() -> None:
    assert {model.name for model in REGISTRY.models} == set(STORIES)
    assert {service.model_name for service in SERVICES} == set(STORIES)


@of_each_model
def test_a_story_is_about_the_versions_and_tenants_of_the_registry(model: Model) -> None:
    story = STORIES[model.name]
    assert [release.version for release in story.releases] == [version.version for version in model.versions]
    assert tuple(tenant for tenant, _ in story.calls_per_second) == model.tenants
    assert len({rate for _, rate in story.calls_per_second}) == len(model.tenants)
    for chapter in story.chapters:
        for effect in chapter.effects:
            assert effect.tenant in ("", *model.tenants)
            assert effect.version in ("", *(version.version for version in model.versions))
            assert 0 <= effect.bad_share <= 1
            assert 0 <= effect.slow_share <= 1


@of_each_model
def test_chapters_follow_each_other_over_the_past(model: Model) -> None:
    hours = [chapter.hours_ago for chapter in STORIES[model.name].chapters]
    assert hours == sorted(hours, reverse=True)
    assert hours[0] == PAST_HOURS
    assert hours[-1] > 0
    assert all(0 < release.hours_ago <= PAST_HOURS for release in STORIES[model.name].releases)


@of_each_model
def test_slow_calls_of_models_that_have_some_break_their_latency_slo(model: Model) -> None:
    story = STORIES[model.name]
    bounds = [
        slo.indicator.threshold_seconds for slo in model.slos if isinstance(slo.indicator, LatencyIndicator)
    ]
    if any(effect.slow_share for chapter in story.chapters for effect in chapter.effects):
        assert story.seconds < min(bounds) < story.lookup_seconds[0]


def test_each_story_shows_something_else() -> None:
    """Health, drift, a bad canary, failures of one tenant, an idle device, few calls."""
    shown = {
        name: (
            any(effect.changes for effect in story.chapters[-1].effects),
            any(effect.version for effect in story.chapters[-1].effects),
            any(effect.tenant for effect in story.chapters[-1].effects),
            story.chapters[-1].traffic < 1,
            sum(rate for _, rate in story.calls_per_second) * 3600 < 300,
        )
        for name, story in STORIES.items()
    }
    assert len(set(shown.values())) == len(STORIES)
    assert all(sum(marks) <= 1 for marks in shown.values())


def test_the_catalogue_prints_the_stories() -> None:
    printed = {entry["model_name"]: entry["story"] for entry in json.loads(as_json())}
    assert printed["wine-grader"]["chapters"][1]["effects"][0]["changes"] == [
        {"signal": "color_intensity", "times": 1.0, "plus": 2.5}
    ]
    assert {name: story["shows"] for name, story in printed.items()} == {
        name: story.shows for name, story in STORIES.items()
    }
