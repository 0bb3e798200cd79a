"""Rules: whether the store has ours, and evaluates them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from modelplane_provisioning.clients.plane import Connection, prometheus_query
from modelplane_provisioning.clients.plane_errors import NoRouteError
from modelplane_provisioning.doctor.finding import Finding, Problem
from modelplane_provisioning.doctor.parts import Parts
from modelplane_provisioning.doctor.start import ages_of
from modelplane_schema.alerts import ALERTS
from modelplane_schema.metrics import CONFIDENCE, LATENCY

RULES_ARE_HEALTHY = "rules are healthy"
HAVE_BUCKETS = "histograms have their buckets"
NO_RULES = "rules-missing:"
RULES_WAIT = "rules-waiting:"
_PREFIX = "modelplane:"
_OUR_ALERTS = frozenset(alert.name for alert in ALERTS)
_HISTOGRAMS = (LATENCY, CONFIDENCE)
_MOUNT_RULES = (
    "load the bundle's prometheus/rules: by `rule_files` into Prometheus, into the ruler of Mimir or Thanos, "
    "or by vmalert's -rule"
)


class Rule(NamedTuple):
    """A loaded rule; ``interval`` is that of its group, in seconds."""

    name: str
    health: str
    last_error: str
    interval: float

    @property
    def is_ours(self) -> bool:
        """Whether it is of the bundle: a store may have rules of others."""
        return self.name.startswith(_PREFIX) or self.name in _OUR_ALERTS

    @property
    def cause(self) -> str:
        """Names the problem that it cannot be evaluated."""
        return f"rule-failing:{self.name}"


def loaded_rules(prometheus: Connection) -> list[Rule]:
    """The rules of the store; NoRouteError where it has no list of them."""
    groups = prometheus.get("/api/v1/rules")["data"]["groups"]
    return [_rule(rule, float(group.get("interval", 0))) for group in groups for rule in group["rules"]]


def _rule(content: dict[str, Any], interval: float) -> Rule:
    return Rule(content["name"], content.get("health", "ok"), content.get("lastError") or "", interval)


def check_rules(parts: Parts) -> Finding:
    """The store has our rules and evaluates them without errors.

    A group is first evaluated within its interval after the configuration was loaded; until twice that time
    has passed, a rule that was not evaluated yet is no problem.
    """
    try:
        rules = loaded_rules(parts.prometheus)
    except NoRouteError:
        rules = []
    count = sum(rule.is_ours for rule in rules)
    if not count:
        return _without_list(parts)
    age = ages_of(parts.prometheus).configuration
    waiting = [rule for rule in rules if rule.health == "unknown" and age < 2 * rule.interval]
    problems = tuple(_failing(rule for rule in rules if rule.health != "ok" and rule not in waiting))
    others = f" and {len(rules) - count} of others" if count < len(rules) else ""
    wait = f", {len(waiting)} wait for their first evaluation" if waiting else ""
    return Finding(RULES_ARE_HEALTHY, f"{count} rules{others}{wait}", problems)


def _failing(rules: Iterable[Rule]) -> Iterator[Problem]:
    for rule in rules:
        reason = rule.last_error or "not evaluated yet"
        advice = "`modelplane rules check` looks at the rules; an error of the query often means wrong labels"
        text = f"rule {rule.name} is {rule.health}: {reason}"
        if not rule.is_ours:
            advice = "it is none of modelplane's: ask whoever wrote it"
        yield Problem("error" if rule.is_ours else "warning", rule.cause, text, advice)


def _without_list(parts: Parts) -> Finding:
    """A store that lists no rules may have what rules of others record, as of vmalert."""
    stored = recorded_names(parts.prometheus)
    if stored:
        summary = f"{len(stored)} recorded names are stored; who evaluates the rules, this store does not say"
        return Finding(RULES_ARE_HEALTHY, summary)
    problem = Problem("error", NO_RULES, "the store has no rules, and nothing that they record", _MOUNT_RULES)
    return Finding(RULES_ARE_HEALTHY, "none", (problem,))


def recorded_names(prometheus: Connection) -> set[str]:
    """Names of recorded series that the store has samples of."""
    return names_of(prometheus, _PREFIX)


def names_of(prometheus: Connection, prefixes: str) -> set[str]:
    """Names with samples in the last quarter of an hour that begin with one of ``prefixes``, as a pattern."""
    query = {"match[]": f'{{__name__=~"({prefixes}).+"}}', "start": int(time.time()) - 900}
    return set(prometheus.get("/api/v1/label/__name__/values", query)["data"])


def check_histograms(parts: Parts) -> Finding:
    """No target's histograms are stored as native ones alone, of which rules and boards see nothing."""
    problems = []
    for metric in _HISTOGRAMS:
        converted = f"{metric.name} unless on (job, instance) {metric.name}_bucket"
        for item in prometheus_query(parts.prometheus, f"count by (job) ({converted})"):
            job = item["metric"].get("job", "")
            text = (
                f"{metric.name} of job {job!r} is stored as native histograms alone, as by "
                "`convert_classic_histograms_to_nhcb`: recording rules, alerts and boards read its _bucket "
                "series and see nothing"
            )
            advice = "set `always_scrape_classic_histograms: true` for that job"
            problems.append(Problem("error", f"native-histograms:{metric.name}:{job}", text, advice))
    return Finding(HAVE_BUCKETS, f"{len(_HISTOGRAMS)} histograms", tuple(problems))
