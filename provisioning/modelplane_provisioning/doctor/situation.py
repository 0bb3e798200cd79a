"""What a plane is in, as far as it explains that a panel has no data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from modelplane_provisioning.clients.plane import Connection, prometheus_query
from modelplane_provisioning.clients.plane_errors import NoRouteError
from modelplane_provisioning.doctor.finding import Problem
from modelplane_provisioning.doctor.rules import (
    NO_RULES,
    RULES_WAIT,
    Rule,
    loaded_rules,
    names_of,
    recorded_names,
)
from modelplane_provisioning.doctor.selections import RECORDED, Selection
from modelplane_provisioning.doctor.start import Ages, ages_of, just_started
from modelplane_provisioning.doctor.targets import reported_models, unreported
from modelplane_schema.level_expressions import level_series
from modelplane_schema.metrics import MODEL_NAME, REQUESTS, TENANT_ID
from modelplane_schema.registry import Registry

RANGE_SECONDS = 900
NO_CALLS = "no-calls:"
IDLE = "idle:"
_OF_PLANE = ("prometheus_", "alertmanager_", "modelplane_datasource_")
_SPAN = f"in the last {RANGE_SECONDS // 60} minutes"


@dataclass(frozen=True, slots=True)
class Situation:
    """``unreported`` are models that no target reports, each with why.

    ``callers`` are the pairs of model and tenant with calls in the last quarter of an hour; ``stored`` the
    names that have samples, and ``plane_names`` those that the plane's own parts report. ``rules`` are those
    that the store has, None where it does not say.
    """

    unreported: Mapping[str, Problem]
    callers: frozenset[tuple[str, str]]
    stored: frozenset[str]
    rules: Mapping[str, Rule] | None
    plane_names: frozenset[str]
    ages: Ages

    def explain(self, selected: Selection) -> tuple[Problem, ...]:
        """Why a query of ``selected`` has no data; empty where nothing here explains it."""
        return self._what_explains(selected) or ((just_started(self.ages),) if self.ages.is_young else ())

    def _what_explains(self, selected: Selection) -> tuple[Problem, ...]:
        if not selected.is_of_models:
            return self._plane_explains(selected)
        missing = [self.unreported[name] for name in sorted(selected.models) if name in self.unreported]
        if missing and len(missing) == len(selected.models):
            return tuple(missing)
        return self._rules_explain(selected) or self._calls_explain(selected)

    def _plane_explains(self, selected: Selection) -> tuple[Problem, ...]:
        """Parts that are not scraped report nothing, and what has not happened is not counted."""
        names = sorted(name for name in selected.names if name.startswith(_OF_PLANE))
        missing = [name for name in names if name not in self.plane_names]
        if missing and not self.ages.is_young:
            text = f"no target reports {missing[0]}"
            advice = "is the part that has it scraped, and does it answer?"
            return (Problem("warning", f"unreported:{missing[0].split('_')[0]}", text, advice),)
        if names and not missing and len(names) == len(selected.names):
            return (Problem("note", IDLE, f"nothing happened {_SPAN} that the plane's own parts count"),)
        return ()

    def _rules_explain(self, selected: Selection) -> tuple[Problem, ...]:
        if not selected.names and not self.stored and not self.rules:
            return (_no_rule("anything"),)
        recorded = sorted(name for name in selected.names if name.startswith(RECORDED))
        problems = (self._rule_explains(name) for name in recorded if name not in self.stored)
        return tuple(problem for problem in problems if problem is not None)[:1]

    def _rule_explains(self, name: str) -> Problem | None:
        if self.rules is None:
            return None if self.stored else _no_rule(name)
        rule = self.rules.get(name)
        if rule is None:
            return _no_rule(name)
        if rule.health == "unknown":
            text = "rules were loaded just now and wait for their first evaluation"
            return Problem("note", RULES_WAIT, text, f"ask again in {rule.interval:.0f} s")
        if rule.health != "ok":
            return Problem("error", rule.cause, f"rule {name} is {rule.health}: {rule.last_error}")
        return None

    def _calls_explain(self, selected: Selection) -> tuple[Problem, ...]:
        called = {pair for pair in self.callers if pair[0] in selected.models and pair[1] in selected.tenants}
        if called or not selected.models or not selected.tenants:
            return ()
        return (_no_calls(selected, not self.callers),)


def _no_rule(name: str) -> Problem:
    advice = "load the bundle's prometheus/rules into what evaluates rules, and the version of these boards"
    return Problem("error", NO_RULES, f"no rule records {name}", advice)


def _no_calls(selected: Selection, is_idle: bool) -> Problem:
    if is_idle:
        return Problem("note", NO_CALLS, f"no calls yet: no model was called {_SPAN}")
    text = f"no calls yet: {', '.join(sorted(selected.models))} had none {_SPAN}"
    if len(selected.tenants) == 1:
        text += f" by {min(selected.tenants)}"
    return Problem("note", f"{NO_CALLS}{text}", text)


def look(prometheus: Connection, registry: Registry) -> Situation:
    """The situation now; PlaneError."""
    reported = reported_models(prometheus)
    rows = prometheus_query(prometheus, _calls())
    return Situation(
        unreported(prometheus, [model for model in registry.models if model.name not in reported]),
        frozenset((row["metric"].get(MODEL_NAME, ""), row["metric"].get(TENANT_ID, "")) for row in rows),
        frozenset(recorded_names(prometheus)),
        _rules(prometheus),
        frozenset(names_of(prometheus, "|".join(_OF_PLANE))),
        ages_of(prometheus),
    )


def _calls() -> str:
    """The pairs with calls; a store that others write to may have what is recorded alone."""
    by = f"sum by ({MODEL_NAME}, {TENANT_ID})"
    recorded = level_series("calls", (TENANT_ID, MODEL_NAME)).name
    return f"{by} (increase({REQUESTS.name}[{RANGE_SECONDS}s])) > 0 or {by} ({recorded}) > 0"


def _rules(prometheus: Connection) -> dict[str, Rule] | None:
    """The rules by name; None where the store does not list them, or rules are evaluated elsewhere."""
    try:
        rules = {rule.name: rule for rule in loaded_rules(prometheus) if rule.is_ours}
    except NoRouteError:
        return None
    return rules or None
