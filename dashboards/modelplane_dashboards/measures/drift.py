"""Measures of drift: signals that are not as in their own past, or far from training."""

from __future__ import annotations

from modelplane_dashboards.kit.board import MAX_SERIES, Panel, PromQuery
from modelplane_dashboards.kit.measure import Measure
from modelplane_dashboards.kit.scope import BoardScope, Labels, highest, legend
from modelplane_dashboards.kit.views import PLAIN, BarGauge, TimeSeries, limit_steps
from modelplane_schema.grafana_units import COUNT, NO_UNIT
from modelplane_schema.metrics import MODEL_NAME, MODEL_VERSION
from modelplane_schema.promql import Matcher, aggregate, count_or_zero
from modelplane_schema.recorded import (
    DRIFT_PSI_CRITICAL,
    DRIFT_PSI_WARNING,
    SIGNAL_MOVED,
    SIGNAL_PSI,
    SIGNAL_PSI_NOISE,
)
from modelplane_schema.registry import PsiThresholds

NO_SIGNAL = "Not reported here: no model has a training baseline with enough observations"
SIGNAL: Labels = ("kind", "signal")
_ROWS = 10


def excess_psi(scope: BoardScope, window: str) -> str:
    """psi above what chance alone explains, which alerts compare with thresholds."""
    psi, noise = (scope.select(series.over(window).name) for series in (SIGNAL_PSI, SIGNAL_PSI_NOISE))
    return f"{psi} - {noise}"


def _moved(scope: BoardScope, by: Labels) -> str:
    moved, seen = (
        aggregate("count", scope.select(series.over("1h").name), (MODEL_NAME, MODEL_VERSION, *SIGNAL))
        for series in (SIGNAL_MOVED, SIGNAL_PSI)
    )
    return count_or_zero(moved, seen, by)


SIGNALS_MOVED = Measure(
    "signals-moved",
    "Signals moved",
    "Signals that over the last hour are not as in their own past, by any method.",
    COUNT,
    _moved,
    bad=1,
    empty=NO_SIGNAL,
)


def top_movers(scope: BoardScope, thresholds: PsiThresholds, *labels: str) -> Panel:
    """The signals whose psi is highest; ``labels`` name them besides kind and signal, at their worst."""
    by = (*labels, *SIGNAL)
    worst = aggregate("max", excess_psi(scope, "1h"), by)
    return Panel(
        key="top-movers",
        title="Signals furthest from training",
        description="psi over the last hour less what chance explains, against the training baseline.",
        unit=NO_UNIT,
        queries=(PromQuery(f"topk({_ROWS}, {worst})", legend(*by), instant=True),),
        view=BarGauge(
            limit_steps(warning=thresholds.warning, bad=thresholds.critical), maximum=2 * thresholds.critical
        ),
        decimals=3,
        empty=NO_SIGNAL,
    )


def psi_of_top(scope: BoardScope) -> Panel:
    """The course of the five signals that are furthest from training now."""
    by = (MODEL_NAME, MODEL_VERSION, *SIGNAL)
    limits = (
        PromQuery(f"max({scope.select(series.name)})", name, style="limit")
        for series, name in ((DRIFT_PSI_WARNING, "warning"), (DRIFT_PSI_CRITICAL, "critical"))
    )
    return Panel(
        key="psi-of-top",
        title="psi of the five furthest",
        description="psi over the last hour less what chance explains; dashed the registry's thresholds.",
        unit=NO_UNIT,
        queries=(
            PromQuery(
                highest(lambda when: aggregate("max", excess_psi(when, "1h"), by), scope, by, 5),
                legend(MODEL_VERSION, *SIGNAL),
            ),
            *limits,
        ),
        view=TimeSeries(),
        decimals=2,
        empty=NO_SIGNAL,
    )


def activations(scope: BoardScope) -> Panel:
    """How far activations of layers are from training, which moves before outputs do."""
    by = (MODEL_VERSION, "signal")
    psi = scope.select(SIGNAL_PSI.over("1h").name, Matcher("kind", "activation"))
    return Panel(
        key="activations",
        title="psi of activations",
        description="Activations of named layers against training, over the last hour; the highest 20.",
        unit=NO_UNIT,
        queries=(
            PromQuery(f"topk({MAX_SERIES}, max by ({', '.join(by)}) ({psi}))", legend(*by), instant=True),
        ),
        view=BarGauge(PLAIN),
        decimals=3,
        empty="Not reported here: no layer is observed",
    )
