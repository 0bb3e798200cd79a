"""Measures of the monitoring itself: whether it is complete, in time, and heard."""

from __future__ import annotations

from modelplane_dashboards.kit.board import Panel, PromQuery
from modelplane_dashboards.kit.measure import Measure
from modelplane_dashboards.kit.scope import BoardScope, Labels, legend
from modelplane_dashboards.kit.views import BarGauge, Column, Stat, Table, limit_steps, remaining_steps
from modelplane_dashboards.measures.growth import fault_growth
from modelplane_schema import level_expressions as levels
from modelplane_schema.alert_limits import AlertLimits
from modelplane_schema.grafana_units import COUNT, NO_UNIT, RATIO, unit_of
from modelplane_schema.metrics import (
    EXPORTER_BUILD_INFO,
    EXPORTER_SAMPLING,
    EXPORTER_SCRAPE_DURATION,
    MODEL_NAME,
    MODEL_VERSION,
)
from modelplane_schema.plane_series import (
    ALERTS_DROPPED,
    ALERTS_REFUSED,
    NOTIFICATIONS_FAILED,
    RULE_FAILURES,
    RULE_MISSES,
    SCRAPE_DURATION,
    SCRAPE_SAMPLES,
    UP,
    VM_ALERTING_ERRORS,
    VM_RECORDING_ERRORS,
    VM_SEND_ERRORS,
    WATCHDOG_SEEN,
)
from modelplane_schema.promql import aggregate, count_or_zero

NO_RULES = "Not reported here: what evaluates the rules is not scraped"
NO_ALERTMANAGER = "Not reported here: neither Alertmanager nor what evaluates the rules is scraped"
_VERSION: Labels = (MODEL_NAME, MODEL_VERSION)
_TARGET: Labels = ("job", "instance")
# The age of the watchdog at which the page on alerts says that none arrive, in seconds.
_WATCHDOG_AGE = 300
_ROWS = 100


def _faults(*counters: str) -> str:
    """How many of the series grew; 0 where none did, and absent where there is no series.

    Their labels must differ, for ``or`` drops what has the labels of something before it.
    """
    series = " or ".join(counters)
    return count_or_zero(f"({series}) > 0", series)


def rule_faults(scope: BoardScope) -> str:
    """How often groups of rules of Prometheus failed or were left out, by group."""
    failed, missed = (
        fault_growth(scope, metric.name, ("rule_group",)) for metric in (RULE_FAILURES, RULE_MISSES)
    )
    return f"{failed} + {missed}"


def _rules_failing(scope: BoardScope, by: Labels) -> str:
    alerting = fault_growth(scope, VM_ALERTING_ERRORS.name, ("group", "alertname"))
    recording = fault_growth(scope, VM_RECORDING_ERRORS.name, ("group", "recording"))
    return _faults(rule_faults(scope), alerting, recording)


def _deliveries_failing(scope: BoardScope, by: Labels) -> str:
    return _faults(
        fault_growth(scope, NOTIFICATIONS_FAILED.name, ("job", "integration")),
        fault_growth(scope, ALERTS_REFUSED.name, ("job", "alertmanager")),
        fault_growth(scope, ALERTS_DROPPED.name, ("job",)),
        fault_growth(scope, VM_SEND_ERRORS.name, ("job",)),
    )


def _overflowing(scope: BoardScope, by: Labels) -> str:
    overflowed = levels.summed("overflowed_calls", scope.select, scope.labels, _VERSION)
    calls = levels.summed("calls", scope.select, scope.labels)
    return count_or_zero(f"{overflowed} > 0", calls)


TARGETS_DOWN = Measure(
    "targets-down",
    "Targets down",
    "Targets of all jobs whose last scrape failed. What they expose is missing on every board.",
    COUNT,
    lambda scope, by: count_or_zero(f"{scope.select(UP.name)} == 0", scope.select(UP.name)),
    bad=1,
)
RULES_FAILING = Measure(
    "rules-failing",
    "Rules failing",
    "Groups of rules of Prometheus that failed or were left out in 10 minutes, and failing rules of vmalert.",
    COUNT,
    _rules_failing,
    bad=1,
    empty=NO_RULES,
)
DELIVERIES_FAILING = Measure(
    "deliveries-failing",
    "Deliveries failing",
    "Ways of alerts on which one was lost in 10 minutes: to an Alertmanager, or from there to a receiver.",
    COUNT,
    _deliveries_failing,
    bad=1,
    empty=NO_ALERTMANAGER,
)
OVERFLOWING = Measure(
    "overflowing",
    "Models overflowing",
    "Versions that count calls under __overflow__, because a label has too many values.",
    COUNT,
    _overflowing,
    bad=1,
)
SLOWEST_SCRAPE = Measure(
    "scrape-duration",
    "Slowest scrape",
    "Time that the last scrape of a target took; above its timeout the target counts as down.",
    unit_of(SCRAPE_DURATION),
    lambda scope, by: _largest_of(scope, SCRAPE_DURATION.name, by),
)
SAMPLES = Measure(
    "samples",
    "Samples per scrape",
    "Samples that a target gives in one scrape. Steps come from new tenants, versions or signals.",
    unit_of(SCRAPE_SAMPLES),
    lambda scope, by: _largest_of(scope, SCRAPE_SAMPLES.name, by),
)
COLLECTION = Measure(
    "collection",
    "Slowest exporter",
    "Time that an exporter took for its own series; it takes this from the process of the model.",
    unit_of(EXPORTER_SCRAPE_DURATION),
    lambda scope, by: _largest_of(scope, EXPORTER_SCRAPE_DURATION.name, by),
    empty="Not reported here: no process runs the exporter",
)


def _largest_of(scope: BoardScope, name: str, by: Labels) -> str:
    return aggregate("max", scope.select(name), by)


def data_contract(limits: AlertLimits) -> Measure:
    """The worst share of calls that break a data contract, red from where a model alerts."""
    return Measure(
        "data-contract",
        "Data contract",
        "Worst share of a version's calls whose values break the data contract, over 5 minutes.",
        RATIO,
        lambda scope, by: _broken_share(scope),
        warning=limits.data_contract_threshold / 5,
        bad=limits.data_contract_threshold,
        decimals=2,
    )


def _broken_share(scope: BoardScope) -> str:
    broken = levels.summed("invalid_observations", scope.select, scope.labels, (*_VERSION, "reason"))
    calls = levels.summed("calls", scope.select, scope.labels, _VERSION)
    all_calls = levels.summed("calls", scope.select, scope.labels)
    share = f"{broken} / on ({', '.join(_VERSION)}) group_left () ({calls} > 0)"
    return f"max({share}) or 0 * {all_calls}"


def watchdog(scope: BoardScope) -> Panel:
    """How long ago the alert that always fires came, by source."""
    age = f"time() - max by (source) ({scope.select(WATCHDOG_SEEN.name)})"
    return Panel(
        key="watchdog-age",
        title="Watchdog last seen",
        description="Time since the alert that always fires came to the store. No data: it never came.",
        unit=unit_of(WATCHDOG_SEEN),
        queries=(PromQuery(age, legend("source"), instant=True),),
        view=Stat(limit_steps(warning=_WATCHDOG_AGE / 2, bad=_WATCHDOG_AGE)),
        decimals=0,
    )


def targets_up(scope: BoardScope) -> Panel:
    return Measure(
        "targets-up",
        "Targets up",
        "Share of a job's targets whose last scrape succeeded.",
        RATIO,
        lambda limited, by: f"avg by ({', '.join(by)}) ({limited.select(UP.name)})",
    ).graph(scope, ("job",), "Targets up by job")


def targets_that_are_down(scope: BoardScope) -> Panel:
    down = f"topk({_ROWS}, max by ({', '.join(_TARGET)}) ({scope.select(UP.name)} == 0))"
    return Panel(
        key="targets-that-are-down",
        title="Targets that are down",
        description=f"At most {_ROWS}. The page Targets of Prometheus says why a scrape failed.",
        unit=NO_UNIT,
        queries=(PromQuery(down, instant=True),),
        view=Table(
            (Column("job", "Job"), Column("instance", "Target"), Column("Value", "Up", hidden=True)),
            sort_by="Job",
            descending=False,
        ),
        empty="Every target is up",
    )


def sampling(scope: BoardScope) -> Panel:
    """Where fewer calls than all are observed for drift."""
    by = (MODEL_NAME, "kind")
    share = f"bottomk(10, min by ({', '.join(by)}) ({scope.select(EXPORTER_SAMPLING.name)}))"
    return Panel(
        key="sampling",
        title="Least observed for drift",
        description="Share of calls whose signals are observed: below 1 drift is seen later.",
        unit=RATIO,
        queries=(PromQuery(f"sort({share})", legend(*by), instant=True),),
        view=BarGauge(remaining_steps(warning=1.0), maximum=1.0),
        decimals=0,
        empty="Not reported here: no signal is observed",
    )


def exporter_versions(scope: BoardScope) -> Panel:
    by = ("version", "python_version")
    processes = aggregate("count", scope.select(EXPORTER_BUILD_INFO.name), by)
    return Panel(
        key="exporter-versions",
        title="Versions of the exporter",
        description="Processes by the version of the exporter and of Python.",
        unit=COUNT,
        queries=(PromQuery(processes, instant=True),),
        view=Table(
            (
                Column("version", "Exporter"),
                Column("python_version", "Python"),
                Column("Value", "Processes", COUNT),
            ),
            sort_by="Processes",
        ),
        empty=COLLECTION.empty,
    )


def overflow(scope: BoardScope) -> Panel:
    return Measure(
        "overflow",
        "Overflow",
        "Calls per second under __overflow__, by the label that has too many values.",
        "cps",
        lambda limited, by: levels.summed("overflowed_calls", limited.select, limited.labels, by),
        empty="No call is counted under __overflow__",
    ).graph(scope, (*_VERSION, "label"), "Calls under __overflow__", most=20)


def broken_contracts(scope: BoardScope) -> Panel:
    return Measure(
        "broken-contracts",
        "Broken contracts",
        "Values per second that were not observed, and what is wrong with them.",
        "cps",
        lambda limited, by: levels.summed("invalid_observations", limited.select, limited.labels, by),
        empty="No value breaks a data contract",
    ).graph(scope, (MODEL_NAME, "reason"), "Values that break the data contract", most=20)
