"""Settings of the mixin: all that it has, what they may be, and every problem at once with its place."""

from __future__ import annotations

from typing import Any

import pytest

from modelplane_alerts.render import DEMO_CONFIG, mixin_config
from modelplane_schema.mixin_settings import SET_ELSEWHERE, SETTINGS, checked_settings
from modelplane_schema.registry import parse_registry

REGISTRY = parse_registry("""
apiVersion: modelplane/v1
tenants: [{id: user-A}]
models: [{name: m, framework: jax, owner: x, tenants: [user-A], versions: [{version: v1}]}]
""")


def test_settings_are_those_of_the_mixin_and_its_defaults_are_allowed() -> None:
    config = mixin_config(REGISTRY)
    assert {*SETTINGS, *SET_ELSEWHERE} == set(config)
    defaults = {key: value for key, value in config.items() if key in SETTINGS}
    assert checked_settings(defaults) == defaults
    assert checked_settings(dict(DEMO_CONFIG)) == DEMO_CONFIG


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ({}, {}), ({"latencyThreshold": 5}, {"latencyThreshold": "5"}),
        ({"latencyThreshold": 2.5}, {"latencyThreshold": "2.5"}),
        ({"signalWindows": {"1d": None, "12h": "2m"}}, {"signalWindows": {"1d": None, "12h": "2m"}}),
        ({"clusterLabels": []}, {"clusterLabels": []}),
        ({"for": {"Watchdog": "0m"}}, {"for": {"Watchdog": "0m"}}),
        ({"selector": "a='b',c=~`d`, e!=\"f\\\"\""}, {"selector": "a='b',c=~`d`, e!=\"f\\\"\""}),
    ],
)  # fmt: skip
def test_what_is_taken(given: dict[str, Any], taken: dict[str, Any]) -> None:
    assert checked_settings(given) == taken


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"errorRatioTreshold": 0.1}, "errorRatioTreshold: the mixin has no such setting; the nearest is"),
        ({"models": []}, "models: is not set here but by models of the registry; remove it"),
        ({"runbooksUrl": "x"}, "runbooksUrl: is not set here but by urls.runbooks of the registry"),
        ({"errorRatioThreshold": 5}, "errorRatioThreshold: must be less than 1"),
        ({"errorRatioThreshold": None}, "errorRatioThreshold: must be a valid number"),
        ({"minBadEvents": 0}, "minBadEvents: must be greater than 0"),
        ({"selector": "job=models"}, "selector: must be matchers of PromQL without braces"),
        ({"selector": '{job="models"}'}, "selector: must be matchers of PromQL without braces"),
        ({"planeSelector": 'job="a"} or up{x="y"'}, "planeSelector: must be matchers"),
        ({"selector": None}, "selector: must be a valid string"),
        ({"clusterLabels": "cluster"}, "clusterLabels: must be a list"),
        ({"clusterLabels": ["my-cluster"]}, "clusterLabels[0]: must be the name of a label"),
        ({"for": {"ModelDwn": "5m"}}, "for.ModelDwn: the key must be the name of an alert; the nearest"),
        ({"for": {"ModelDown": "5 minutes"}}, "for.ModelDown: must be a number and one of s, m, h, d"),
        ({"keepFiringFor": "yes"}, "keepFiringFor: must be a valid boolean"),
        ({"latencyThreshold": 7}, "latencyThreshold: must be a bound of the latency histogram"),
        ({"latencyThreshold": True}, "latencyThreshold: must be a bound of the latency histogram"),
        ({"sloPeriodInterval": "5m"}, "sloPeriodInterval: must be shorter than 5m"),
        ({"signalWindows": {"2x": "1m"}}, "signalWindows.2x: the key must be a number and one of s, m, h, d"),
        ({"signalWindows": {"2h": "1h"}}, "signalWindows.2h: must be shorter than 5m"),
    ],
)  # fmt: skip
def test_what_is_refused(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match="^" + problem.translate({ord(c): f"\\{c}" for c in "[]{}()."})):
        checked_settings(given)


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(ValueError, match="restarts") as refused:
        checked_settings({"restarts": 0, "other": 1, "sloInterval": "1h"})
    assert len(str(refused.value).splitlines()) == 3
