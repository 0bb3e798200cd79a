"""Measures of the servers of the plane: what evaluates rules, sends alerts, stores and answers."""

from __future__ import annotations

from modelplane_dashboards.kit.board import Panel, PromQuery
from modelplane_dashboards.kit.colours import BAD, GOOD, NEUTRAL, WARNING
from modelplane_dashboards.kit.measure import Measure
from modelplane_dashboards.kit.scope import BoardScope, Labels, largest, legend
from modelplane_dashboards.kit.views import Column, Table, TimeSeries, highlight_steps, limit_steps
from modelplane_dashboards.measures.calls import WINDOW
from modelplane_dashboards.measures.growth import fault_growth, growth, share
from modelplane_dashboards.measures.plane import NO_RULES, rule_faults
from modelplane_schema.expressions import quantile
from modelplane_schema.grafana_units import RATIO, REQUESTS_PER_SECOND, rate_unit, unit_of
from modelplane_schema.plane_series import (
    ALERTMANAGER_ALERTS,
    ALERTS_DROPPED,
    ALERTS_REFUSED,
    ALERTS_SENT,
    BACKEND_DURATION,
    BACKEND_REFUSALS,
    BACKEND_REQUESTS,
    BLOCKS_SIZE,
    COMPACTIONS_FAILED,
    HEAD_SERIES,
    NOTIFICATIONS,
    NOTIFICATIONS_FAILED,
    RULE_DURATION,
    RULE_FAILURES,
    RULE_INTERVAL,
    RULE_MISSES,
    STORE_CALLS,
    STORE_DURATION,
    UPSTREAM_ERRORS,
    WAL_CORRUPTIONS,
    WAL_SIZE,
)
from modelplane_schema.promql import Matcher, ratio, total

NO_PROMETHEUS = "Not reported here: no Prometheus is scraped"
NO_ALERTMANAGER = "Not reported here: no Alertmanager is scraped"
_P95 = 0.95
# A request in a hundred is worth a look, and one in twenty a fault; of transactions none may fail.
_SOME, _MANY = 0.01, 0.05
_ANY = 0.0001
_HALF_USED = 0.5
_ROWS = 100
_FAILED = Matcher("result", "error")
_SERVER_ERROR = Matcher("status", "5..", "=~")


def _store_errors(scope: BoardScope, by: Labels) -> str:
    failed, every = (fault_growth(scope, STORE_CALLS.name, (), *matchers) for matchers in ((_FAILED,), ()))
    return share(failed, every)


def _backend_errors(scope: BoardScope, by: Labels) -> str:
    return share(
        growth(scope, BACKEND_REQUESTS.name, (), _SERVER_ERROR), growth(scope, BACKEND_REQUESTS.name)
    )


STORE_ERRORS = Measure(
    "store-errors",
    "Store failing",
    "Share of the alert store's transactions of 10 minutes that failed: history may be lost.",
    RATIO,
    _store_errors,
    bad=_ANY,
    decimals=2,
)
BACKEND_ERRORS = Measure(
    "backend-errors",
    "Backend failing",
    "Share of the backend's requests that it answered with a fault of its own (status 5xx).",
    RATIO,
    _backend_errors,
    warning=_SOME,
    bad=_MANY,
    decimals=2,
)
REQUESTS_BY_ROUTE = Measure(
    "backend-requests",
    "Requests",
    "Requests per second that the backend answered.",
    REQUESTS_PER_SECOND,
    lambda scope, by: growth(scope, BACKEND_REQUESTS.name, by),
)
ANSWER_P95 = Measure(
    "backend-p95",
    "Answers p95",
    "95 of 100 answers of the backend were at least this fast.",
    unit_of(BACKEND_DURATION),
    lambda scope, by: _quantile_of_answers(scope, by),
)
REFUSALS = Measure(
    "backend-refusals",
    "Refusals",
    "Requests per second that were refused because too many of their kind waited. Zero is well.",
    REQUESTS_PER_SECOND,
    lambda scope, by: growth(scope, BACKEND_REFUSALS.name, by),
)
UPSTREAM_FAILURES = Measure(
    "upstream-errors",
    "Upstream errors",
    "Calls of Prometheus per second that failed, by kind.",
    rate_unit(UPSTREAM_ERRORS),
    lambda scope, by: growth(scope, UPSTREAM_ERRORS.name, by),
    empty="No call of Prometheus failed",
)
STORE_P95 = Measure(
    "store-p95",
    "Store p95",
    "95 of 100 transactions of the alert store were at least this fast, waiting included.",
    unit_of(STORE_DURATION),
    lambda scope, by: quantile(_P95, STORE_DURATION, scope.select, WINDOW, ("le", *by)),
)
SERIES_IN_MEMORY = Measure(
    "head-series",
    "Series",
    "Series that Prometheus has in memory, which decide how much memory it needs.",
    unit_of(HEAD_SERIES),
    lambda scope, by: total(scope.select(HEAD_SERIES.name), by),
    empty=NO_PROMETHEUS,
)


def _quantile_of_answers(scope: BoardScope, by: Labels) -> str:
    if scope.at_end:  # which routes are drawn is decided by their traffic
        return growth(scope, BACKEND_REQUESTS.name, by)
    return quantile(_P95, BACKEND_DURATION, scope.select, WINDOW, ("le", *by))


def slowest_rules(scope: BoardScope) -> Panel:
    """The groups that use most of their interval; one that needs all of it falls behind."""
    duration, interval = (
        f"max by (rule_group) ({scope.select(metric.name)})" for metric in (RULE_DURATION, RULE_INTERVAL)
    )
    used = ratio(duration, interval)
    columns = (used, duration, interval, rule_faults(scope))
    expressions = (_group(largest(text, used, ("rule_group",), _ROWS)) for text in columns)
    seconds = unit_of(RULE_DURATION)
    steps = limit_steps(warning=_HALF_USED, bad=1.0)
    return Panel(
        key="slowest-rules",
        title="Groups of rules, busiest first",
        description="Time of the last evaluation as a share of the interval; from 1 on some are left out.",
        unit=seconds,
        queries=tuple(PromQuery(text, instant=True) for text in expressions),
        view=Table(
            (
                Column("group", "Group"),
                Column("Value #A", "Used", RATIO, cell="gauge", steps=steps, maximum=1.0, decimals=1),
                Column("Value #B", "Took", seconds),
                Column("Value #C", "Interval", seconds),
                Column(
                    "Value #D",
                    "Failures",
                    rate_unit(RULE_FAILURES),
                    cell="colour",
                    steps=limit_steps(bad=_ANY, base=NEUTRAL),
                ),
            ),
            sort_by="Used",
        ),
        empty=NO_RULES,
    )


def _group(expression: str) -> str:
    """``expression`` by the name of the group, without the file that Prometheus puts before it.

    Grafana would take ``$1`` for a variable; PromQL reads the escape as the same character.
    """
    return rf'max by (group) (label_replace({expression}, "group", "\x241", "rule_group", "(?:.*;)?(.*)"))'


def rule_failures(scope: BoardScope) -> Panel:
    counters = ((RULE_FAILURES, "failed"), (RULE_MISSES, "left out"))
    return Panel(
        key="rule-failures",
        title="Failures of rules",
        description="Evaluations per second that failed or were left out, over all groups. Both must be 0.",
        unit=rate_unit(RULE_FAILURES),
        queries=tuple(PromQuery(growth(scope, metric.name), name) for metric, name in counters),
        view=TimeSeries(colours=(("failed", BAD), ("left out", WARNING))),
        empty=NO_RULES,
    )


def alerts_sent(scope: BoardScope) -> Panel:
    """From what evaluates rules to Alertmanager."""
    counters = ((ALERTS_SENT, "sent"), (ALERTS_REFUSED, "not taken"), (ALERTS_DROPPED, "given up"))
    return Panel(
        key="alerts-sent",
        title="Prometheus to Alertmanager",
        description="Alerts per second, repeated while they fire. Not taken and given up must be 0.",
        unit=rate_unit(ALERTS_SENT),
        queries=tuple(PromQuery(growth(scope, metric.name), name) for metric, name in counters),
        view=TimeSeries(colours=(("sent", GOOD), ("not taken", WARNING), ("given up", BAD))),
        empty=NO_PROMETHEUS,
    )


def notifications(scope: BoardScope) -> Panel:
    """From Alertmanager to people and to the store, those that were tried and those that failed."""
    by = ("integration",)
    tried, failed = (growth(scope, metric.name, by) for metric in (NOTIFICATIONS, NOTIFICATIONS_FAILED))
    return Panel(
        key="notifications",
        title="Alertmanager to receivers",
        description="Attempts per second by kind of receiver; the store is a webhook. Failed must be 0.",
        unit=rate_unit(NOTIFICATIONS),
        queries=(
            PromQuery(f"{tried} > 0", legend(*by)),
            PromQuery(f"sum({failed})", "failed"),
        ),
        view=TimeSeries(colours=(("failed", BAD),)),
        empty=NO_ALERTMANAGER,
    )


def alertmanager_alerts(scope: BoardScope) -> Panel:
    return Measure(
        "alertmanager-alerts",
        "Alerts",
        "Alerts that Alertmanager holds, by state: suppressed ones are silenced or inhibited.",
        unit_of(ALERTMANAGER_ALERTS),
        lambda limited, by: total(limited.select(ALERTMANAGER_ALERTS.name), by),
        empty=NO_ALERTMANAGER,
    ).graph(scope, ("state",), "Alerts in Alertmanager", stacked=True)


def disk(scope: BoardScope) -> Panel:
    sizes = ((BLOCKS_SIZE, "blocks"), (WAL_SIZE, "write-ahead log"))
    return Panel(
        key="prometheus-disk",
        title="Prometheus on disk",
        description="Size of what is stored, over all servers.",
        unit=unit_of(BLOCKS_SIZE),
        queries=tuple(PromQuery(total(scope.select(metric.name)), name) for metric, name in sizes),
        view=TimeSeries(stacked=True),
        empty=NO_PROMETHEUS,
    )


def storage_faults(scope: BoardScope) -> Panel:
    counters = (
        (WAL_CORRUPTIONS, "corruptions of the write-ahead log"),
        (COMPACTIONS_FAILED, "failed compactions"),
    )
    return Panel(
        key="prometheus-storage-faults",
        title="Faults of storage",
        description="Per second. Anything above 0 needs a look at the log and the disk of Prometheus.",
        unit=rate_unit(WAL_CORRUPTIONS),
        queries=tuple(PromQuery(growth(scope, metric.name), name) for metric, name in counters),
        view=TimeSeries(steps=highlight_steps(bad=_ANY)),
        empty=NO_PROMETHEUS,
    )


def store_transactions(scope: BoardScope) -> Panel:
    by = ("operation", "result")
    return Panel(
        key="store-transactions",
        title="Transactions of the store",
        description="Per second, reads and writes, and how they ended.",
        unit=rate_unit(STORE_CALLS),
        queries=(PromQuery(growth(scope, STORE_CALLS.name, by), legend(*by)),),
        view=TimeSeries(colours=(("read error", BAD), ("write error", BAD))),
    )
