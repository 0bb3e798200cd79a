"""Our own conventions for rules, which no other checker knows: names, texts, sizes, series and labels.

Every problem says where it is, what is wrong, and what to do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import yaml

from modelplane_alerts.checks.ages import ages, mixed
from modelplane_alerts.checks.known_series import (
    CONSTANT,
    Labels,
    declared_series,
    plane_labels,
    recorded_labels,
    scraped_labels,
)
from modelplane_alerts.checks.labels import LabelFlow
from modelplane_alerts.checks.syntax_tree import Expression, parse, range_functions, selectors
from modelplane_alerts.render import CONSTANTS_GROUP, mixin_config, rule_files
from modelplane_schema import alerts
from modelplane_schema.registry import Registry

MOST_RULES = 25
LONGEST_NAME = 40
SEVERITIES = ("critical", "warning", "info")
# A rule that says yes or no has no value to tell.
_WITHOUT_VALUE = (alerts.MODEL_DOWN.name, alerts.BASELINE_MISSING.name)
# The registry counts these over all clusters; the watchdog is of none.
_OVER_ALL_CLUSTERS = tuple(
    alert.name
    for alert in (
        alerts.REPLICAS_MISSING,
        alerts.TENANT_OVER_BUDGET,
        alerts.WATCHDOG,
    )
)
_ALERT_NAME = re.compile(r"([A-Z]+[a-z0-9]+)+")
_RANGE_FUNCTIONS = ("rate", "increase", "changes")
_RECORD_NAME = re.compile(r"modelplane:[a-z][a-z0-9_]*:[a-z0-9_]+")


class Problem(NamedTuple):
    """What is wrong with a rule, or with a setting, and what to do."""

    place: str
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text}"


@dataclass(frozen=True)
class Rule:
    """A rule, and where it stands."""

    place: str
    content: Mapping[str, Any]

    @property
    def name(self) -> str:
        """What it records, or the alert."""
        return str(self.content.get("record") or self.content.get("alert"))

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels that it adds."""
        labels: Mapping[str, str] = self.content.get("labels", {})
        return labels

    @cached_property
    def tree(self) -> Expression | ValueError:
        """Its expression, or what is wrong with it."""
        try:
            return parse(self.content["expr"])
        except ValueError as error:
            return error


@dataclass(frozen=True)
class Scope:
    """What the settings say of every rule: the labels that tell clusters apart, and limiting matchers."""

    cluster_labels: tuple[str, ...] = ()
    selector: str = ""
    plane_selector: str = ""

    @cached_property
    def known(self) -> dict[str, Labels]:
        """The labels of scraped series; those that a selector limits them by are theirs, too."""
        return {
            **scraped_labels((*self.cluster_labels, *_selected_labels(self.selector))),
            **plane_labels((*self.cluster_labels, *_selected_labels(self.plane_selector))),
        }


def registry_problems(registry: Registry, config: Mapping[str, Any] | None = None) -> list[Problem]:
    """What is wrong with the rules of a registry; MixinError where they cannot be rendered at all."""
    settings = mixin_config(registry, config)
    scope = Scope(tuple(settings["clusterLabels"]), settings["selector"], settings["planeSelector"])
    return problems(rule_files(registry, config), scope)


def problems(files: Mapping[str, str], scope: Scope) -> list[Problem]:
    """What is wrong with rule files, in their order."""
    groups = [
        (name, group) for name, text in files.items() for group in yaml.load(text, yaml.CSafeLoader)["groups"]
    ]
    rules = [
        Rule(f"{file}, group {group['name']}, rule {position} ({_title(content)})", content)
        for file, group in groups
        for position, content in enumerate(group["rules"], start=1)
    ]
    return [
        *_size_problems(groups),
        *(Problem(rule.place, text) for rule in rules for text in _rule_problems(rule, scope)),
        *_age_problems(rules),
    ]


def _title(content: Mapping[str, Any]) -> str:
    return str(content.get("record") or content.get("alert") or "neither record nor alert")


def _size_problems(groups: Sequence[tuple[str, Mapping[str, Any]]]) -> Iterator[Problem]:
    for file, group in groups:
        size = len(group["rules"])
        if size > MOST_RULES and group["name"] != CONSTANTS_GROUP:
            yield Problem(
                f"{file}, group {group['name']}",
                f"has {size} rules, which are evaluated one after another; split it into groups of at most "
                f"{MOST_RULES}",
            )


def _rule_problems(rule: Rule, scope: Scope) -> Iterator[str]:
    if isinstance(rule.tree, ValueError):
        yield f"is no PromQL ({rule.tree}); mend the expression, or the setting that stands in it"
        return
    yield from _alert_problems(rule) if "alert" in rule.content else _record_problems(rule)
    for function in range_functions(rule.tree):
        if function not in _RANGE_FUNCTIONS and not function.endswith("_over_time"):
            yield f"reads a range by {function}, which sees a part of it or no resets; use rate or increase"
    yield from _label_problems(rule, scope)
    yield from _selector_problems(rule, scope)


def _record_problems(rule: Rule) -> Iterator[str]:
    if not _RECORD_NAME.fullmatch(rule.name):
        yield "must be named modelplane:<what>:<operation><window>, in lower case"
    elif declared_series(rule.name) is None:
        yield "is not declared in modelplane_schema.recorded; declare it there, so that it is documented"


def _alert_problems(rule: Rule) -> Iterator[str]:
    if not _ALERT_NAME.fullmatch(rule.name) or len(rule.name) > LONGEST_NAME:
        yield f"must be named in CamelCase, with at most {LONGEST_NAME} characters"
    severity, audience = rule.labels.get("severity"), rule.labels.get("audience")
    if severity not in SEVERITIES:
        yield f"needs the label severity, one of {', '.join(SEVERITIES)}"
    declared = {alert.name: alert for alert in alerts.ALERTS}.get(rule.name)
    if declared is None:
        yield "is not declared in modelplane_schema.alerts; declare it there, so that it has a runbook"
    elif audience not in declared.audiences:
        yield f"needs the label audience, one of {', '.join(declared.audiences)}"
    yield from _text_problems(rule)


def _text_problems(rule: Rule) -> Iterator[str]:
    texts = rule.content.get("annotations", {})
    summary, description = texts.get("summary", ""), texts.get("description", "")
    if "{{" in summary or not re.fullmatch(r"[A-Z].*\.", summary):
        yield "needs a summary that is the same for each instance: a sentence without {{ }}"
    if "{{" not in description:
        yield "needs a description that says of whom and how far: a text with {{ $labels... }}"
    elif "$value" not in description and rule.name not in _WITHOUT_VALUE:
        yield "needs {{ $value }} in its description, for an alert says how far it went"
    for link in ("runbook_url", "dashboard_url"):
        if not texts.get(link):
            yield f"needs the annotation {link}"


def _label_problems(rule: Rule, scope: Scope) -> Iterator[str]:
    known = scope.known
    flow = LabelFlow(lambda name: known.get(name) or recorded_labels(name, scope.cluster_labels))
    carried = flow.result(rule.tree) | frozenset(rule.labels)
    yield from dict.fromkeys(flow.problems)
    if "record" in rule.content:
        expected = recorded_labels(rule.name, scope.cluster_labels)
        if expected is not None and expected != carried:
            yield _difference(carried, expected)
        return
    used = set(re.findall(r"\$labels\.(\w+)", str(rule.content.get("annotations", {}))))
    lost = ", ".join(sorted(used - carried))
    if lost:
        yield f"tells of {lost}, which its expression does not keep; add it to `by`"
    missing = sorted(set(scope.cluster_labels) - carried)
    if missing and rule.name not in _OVER_ALL_CLUSTERS:
        names = ", ".join(missing)
        yield f"loses {names}, so that a cluster that is well hides one that is not; add it to `by`"


def _difference(carried: frozenset[str], expected: frozenset[str]) -> str:
    missing, surplus = ", ".join(sorted(expected - carried)), ", ".join(sorted(carried - expected))
    parts = [
        *([f"lacks the labels {missing}, which its declaration has"] if missing else []),
        *([f"has the labels {surplus}, which its declaration lacks"] if surplus else []),
    ]
    return f"{' and '.join(parts)}; change `by`, or the declaration in modelplane_schema"


def _selector_problems(rule: Rule, scope: Scope) -> Iterator[str]:
    places = (
        ("selector", scope.selector, scraped_labels(())),
        ("planeSelector", scope.plane_selector, plane_labels(())),
    )
    for setting, text, names in places:
        required = _matchers(parse(f"x{{{text}}}"))
        for selector in selectors(rule.tree):
            if selector.name in names and not required <= _matchers(selector):
                yield f"reads {selector.name} without the matchers of alerts.{setting}; put them there, too"


def _matchers(selector: Expression) -> set[tuple[str, str, str]]:
    return {(matcher.name, str(matcher.op), matcher.value) for matcher in selector.matchers.matchers}


def _selected_labels(text: str) -> list[str]:
    return [label for label, _, _ in _matchers(parse(f"x{{{text}}}"))]


def _age_problems(rules: Sequence[Rule]) -> Iterator[Problem]:
    sound = [rule for rule in rules if not isinstance(rule.tree, ValueError)]
    recording: dict[str, list[str]] = {}
    for rule in sound:
        if "record" in rule.content and not rule.name.endswith(CONSTANT):
            recording.setdefault(rule.name, []).append(rule.content["expr"])
    known = ages(recording)
    for rule in sound:
        for text in mixed(rule.tree, known):
            yield Problem(
                rule.place,
                f"computes with series of different ages ({text}), which is wrong where rules are written "
                "late; compute from what is scraped",
            )
