"""Which series a board is about, as PromQL selectors."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from modelplane_schema.metrics import MODEL_NAME, MODEL_VERSION, TENANT_ID
from modelplane_schema.promql import Matcher, MatchOp, selector
from modelplane_schema.recorded import MODEL_TENANT
from modelplane_schema.series_labels import SERIES_LABELS, is_constant

Labels = tuple[str, ...]
ALERTS = "ALERTS"
ALERT_LABELS: Labels = ("alertname", "severity", TENANT_ID, MODEL_NAME, MODEL_VERSION)
VARIABLE_LABELS = {"tenant": TENANT_ID, "model": MODEL_NAME, "version": MODEL_VERSION}


class FixedMatcher(Matcher):
    """A matcher whose value Grafana must not take for a variable.

    Grafana replaces ``$name``, ``${name}`` and ``[[name]]`` anywhere in a query. PromQL reads the hex
    escapes as the same characters, and Grafana leaves them alone.
    """

    __slots__ = ()

    def __str__(self) -> str:
        return super().__str__().replace("$", r"\x24").replace("[", r"\x5b")


@dataclass(frozen=True, slots=True)
class BoardScope:
    """The series of a board: a matcher for each label that it fixes or has a variable for.

    ``clusters`` are the labels that tell clusters apart, which each series but a constant may have.
    ``at_end`` selects the values at the end of the time range, whatever the moment that is drawn.
    """

    matchers: tuple[Matcher, ...] = ()
    clusters: Labels = ()
    at_end: bool = False

    @property
    def labels(self) -> Labels:
        """The labels that are limited, besides those of the cluster."""
        return tuple(matcher.label for matcher in self.matchers)

    def select(self, name: str, /, *matchers: Matcher) -> str:
        """The series ``name`` of this board that ``matchers`` match; KeyError unless it is declared."""
        labels = SERIES_LABELS[name]
        limits = [matcher for matcher in self.matchers if matcher.label in labels]
        series = selector(name, (*self._cluster_matchers(name), *limits, *matchers))
        return f"{series} @ end()" if self.at_end else series

    @property
    def ending(self) -> BoardScope:
        """The same series at the end of the time range."""
        return replace(self, at_end=True)

    def of_tenant(self, expression: str) -> str:
        """``expression``, which has no tenant, for the models alone that the board's tenant uses."""
        if TENANT_ID not in self.labels:
            return expression
        return f"{expression} and on ({MODEL_NAME}) {self.select(MODEL_TENANT.name)}"

    def firing(self, *matchers: Matcher) -> str:
        """Firing alerts, one series each; those without a tenant, model or version are part of it.

        No label is dropped: alerts of one name also differ in their SLO, signal, job or what rules add.
        """
        state = Matcher("alertstate", "firing")
        limits = [
            matcher if isinstance(matcher, FixedMatcher) or matcher.op == "=" else _or_absent(matcher)
            for matcher in self.matchers
        ]
        return selector(ALERTS, (state, *self._cluster_matchers(ALERTS), *limits, *matchers))

    def _cluster_matchers(self, name: str) -> Iterable[Matcher]:
        return () if is_constant(name) else (Matcher(label, f"${label}", "=~") for label in self.clusters)


def largest(expression: str, ranking: str, by: Labels = (), count: int = 20) -> str:
    """The ``count`` series of ``expression`` whose ``ranking`` is highest, the same ones along the range.

    ``ranking`` is taken at the end of the range: ``topk`` at each moment would draw every series that ever
    was among the highest.
    """
    matched = f"on ({', '.join(by)}) " if by else ""
    return f"{expression} and {matched}topk({count}, {ranking})"


def highest(expression: Callable[[BoardScope], str], scope: BoardScope, by: Labels, count: int = 20) -> str:
    """The ``count`` series of ``expression`` that are highest at the end of the range."""
    return largest(expression(scope), expression(scope.ending), by, count)


def several(variable: str) -> Matcher:
    """A matcher for the selected values of a variable that has All."""
    return _matcher(variable, "=~")


def single(variable: str) -> Matcher:
    """A matcher for the value of a variable that has one at a time."""
    return _matcher(variable, "=")


def legend(*labels: str) -> str:
    """A legend that shows the values of ``labels``."""
    return " ".join(f"{{{{{label}}}}}" for label in labels)


def _matcher(variable: str, op: MatchOp) -> Matcher:
    return Matcher(VARIABLE_LABELS[variable], f"${variable}", op)


def _or_absent(matcher: Matcher) -> Matcher:
    return Matcher(matcher.label, f"{matcher.value}|", "=~")
