"""Signals that moved over all models, and one signal against training and its own past."""

from __future__ import annotations

from dataclasses import dataclass

from modelplane_dashboards.kit.board import ApiQuery, BoardVariable, Field, Panel, PromQuery
from modelplane_dashboards.kit.colours import BAD, GOOD, REFERENCE
from modelplane_dashboards.kit.links import VALUE, board_link, field, model_link
from modelplane_dashboards.kit.scope import BoardScope, Labels, legend
from modelplane_dashboards.kit.views import (
    PLAIN,
    BarChart,
    Column,
    Stat,
    StateTimeline,
    Step,
    Table,
    TimeSeries,
    ValueText,
    limit_steps,
)
from modelplane_dashboards.measures.drift import NO_SIGNAL, SIGNAL, excess_psi
from modelplane_schema.grafana_units import COUNT, NO_UNIT, RATIO
from modelplane_schema.metrics import MODEL_NAME, MODEL_VERSION, SCORE_KIND, TENANT_ID
from modelplane_schema.promql import Matcher, aggregate
from modelplane_schema.recorded import (
    DEFAULT_MIN_OBSERVATIONS,
    DRIFT_PSI_CRITICAL,
    DRIFT_PSI_WARNING,
    MIN_OBSERVATIONS,
    SIGNAL_INCREASE,
    SIGNAL_MEAN_SHIFT,
    SIGNAL_MEAN_SHIFT_HIGH_LIMIT,
    SIGNAL_MEAN_SHIFT_LOW_LIMIT,
    SIGNAL_MISSING_SHIFT,
    SIGNAL_MISSING_SHIFT_HIGH_LIMIT,
    SIGNAL_MISSING_SHIFT_LOW_LIMIT,
    SIGNAL_MOVED,
    SIGNAL_PSI,
    SIGNAL_PSI_LIMIT,
    SIGNAL_PSI_NOISE,
    SIGNAL_VARIANCE_RATIO,
    SIGNAL_VARIANCE_RATIO_HIGH_LIMIT,
    SIGNAL_VARIANCE_RATIO_LOW_LIMIT,
    SIGNAL_WARMING_UP,
)
from modelplane_schema.recorded_types import WindowedSeries
from modelplane_schema.registry import PsiThresholds

WINDOW = "1h"
NOT_MOVED = "No signal has moved"
TOO_FEW = "Fewer rows in the last hour than a drift value needs"
_EACH: Labels = (MODEL_NAME, MODEL_VERSION, TENANT_ID, *SIGNAL)
_ROWS, _STRIPS = 50, 20
_AS_BEFORE, _IS_WARMING_UP, _HAS_TOO_FEW, _HAS_MOVED = range(4)
_STATE_STEPS = (
    Step(GOOD),
    Step("blue", _IS_WARMING_UP),
    Step("yellow", _HAS_TOO_FEW),
    Step(BAD, _HAS_MOVED),
)
_STATE_TEXTS = tuple(
    ValueText(str(value), text, colour.colour)
    for value, (text, colour) in enumerate(
        zip(("As before", "Warming up", "Too few rows", "Moved"), _STATE_STEPS, strict=True)
    )
)


@dataclass(frozen=True, slots=True)
class Arm:
    """A way in which a signal can move, besides psi: its series, and the limits of the signal's own past."""

    method: str
    title: str
    series: WindowedSeries
    low: WindowedSeries
    high: WindowedSeries
    unit: str
    meaning: str


ARMS = (
    Arm(
        "mean_shift", "Mean shift", SIGNAL_MEAN_SHIFT, SIGNAL_MEAN_SHIFT_LOW_LIMIT,
        SIGNAL_MEAN_SHIFT_HIGH_LIMIT, NO_UNIT,
        "Mean of a numeric signal less that in training, in its standard deviations.",
    ),
    Arm(
        "variance_ratio", "Variance ratio", SIGNAL_VARIANCE_RATIO, SIGNAL_VARIANCE_RATIO_LOW_LIMIT,
        SIGNAL_VARIANCE_RATIO_HIGH_LIMIT, NO_UNIT,
        "Variance of a numeric signal as a multiple of that in training.",
    ),
    Arm(
        "missing_shift", "Missing shift", SIGNAL_MISSING_SHIFT, SIGNAL_MISSING_SHIFT_LOW_LIMIT,
        SIGNAL_MISSING_SHIFT_HIGH_LIMIT, RATIO, "The share of missing values less that in training.",
    ),
)  # fmt: skip


def models_moved(scope: BoardScope) -> Panel:
    moved, seen = _select(scope, SIGNAL_MOVED), _select(scope, SIGNAL_PSI)
    models = f"count(count by ({MODEL_NAME}) ({moved}))"
    return Panel(
        key="models-moved",
        title="Models moved",
        description="Models with a signal that over the last hour is not as in its own past.",
        unit=COUNT,
        queries=(PromQuery(f"{models} or 0 * count({seen})", instant=True),),
        view=Stat(limit_steps(bad=1)),
        empty=NO_SIGNAL,
    )


def warming_up(scope: BoardScope) -> Panel:
    return Panel(
        key="warming-up",
        title="Warming up",
        description="Signals without two days of a past: only the registry's psi thresholds hold for them.",
        unit=COUNT,
        queries=(PromQuery(f"sum({_select(scope, SIGNAL_WARMING_UP)})", instant=True),),
        view=Stat(PLAIN),
        empty=NO_SIGNAL,
    )


def too_few_rows(scope: BoardScope) -> Panel:
    """Signals that nothing can be said of; scores never have a baseline to compare with."""
    rows = _select(scope, SIGNAL_INCREASE, Matcher("kind", SCORE_KIND, "!="))
    without = f"count({rows} unless {_select(scope, SIGNAL_PSI)})"
    return Panel(
        key="too-few-rows",
        title="Too few rows",
        description="Signals with fewer rows in the last hour than a drift value needs.",
        unit=COUNT,
        queries=(PromQuery(f"{without} or 0 * count({rows})", instant=True),),
        view=Stat(PLAIN),
        empty=NO_SIGNAL,
    )


def moved_signals(scope: BoardScope) -> Panel:
    """The signals that moved, by which arm and since when; few series, as others have none."""
    on, moved = f"on ({', '.join(_EACH)})", _select(scope, SIGNAL_MOVED)
    by_psi = _each("max", _select(scope, SIGNAL_MOVED, Matcher("method", "psi")))
    worst = f"topk({_ROWS}, {by_psi} or {on} 0 * {_each('count', moved)})"
    expressions = (
        *(_each("max", _select(scope, SIGNAL_MOVED, Matcher("method", method))) for method in _METHODS),
        _each("max", _select(scope, SIGNAL_PSI_NOISE)),
        _each("sum", _select(scope, SIGNAL_INCREASE)),
        f"1000 * {_each('min', f'min_over_time(timestamp({moved})[1d:5m])')}",
    )
    return Panel(
        key="moved-signals",
        title="Signals that moved, furthest first",
        description=f"At most {_ROWS}; a value is there for each arm that is beyond its limits over the last "
        "hour. The signal leads to its course below.",
        unit=NO_UNIT,
        queries=tuple(PromQuery(f"{text} and {on} {worst}", instant=True) for text in expressions),
        view=Table(_moved_columns(scope), sort_by="psi"),
        decimals=3,
        empty=NOT_MOVED,
    )


_METHODS = ("psi", *(arm.method for arm in ARMS))


def _moved_columns(scope: BoardScope) -> tuple[Column, ...]:
    row = {name: field(name.capitalize()) for name in ("tenant", "model", "version", "kind")}
    this = board_link("drift", "This signal below", *scope.clusters, **row, signal=VALUE)
    model = model_link(*scope.clusters)
    return (
        Column("signal", "Signal", link=this),
        Column("kind", "Kind"),
        Column(MODEL_NAME, "Model", link=model),
        Column(MODEL_VERSION, "Version"),
        Column(TENANT_ID, "Tenant"),
        Column("Value #A", "psi"),
        *(Column(f"Value #{ref_id}", arm.title, arm.unit) for arm, ref_id in zip(ARMS, "BCD", strict=True)),
        Column("Value #E", "Noise of psi"),
        Column("Value #F", "Rows 1h", COUNT, decimals=0),
        Column("Value #G", "First in a day", "dateTimeFromNow"),
    )


def state_now(scope: BoardScope) -> Panel:
    return Panel(
        key="signal-state-now",
        title="State",
        description="Whether the signal is as in its own past over the last hour, and whether that is known.",
        unit=NO_UNIT,
        queries=(PromQuery(_state(scope), instant=True),),
        view=Stat(_STATE_STEPS, filled=True, texts=_STATE_TEXTS),
        empty=NO_SIGNAL,
    )


def psi_now(scope: BoardScope, thresholds: PsiThresholds) -> Panel:
    return Panel(
        key="psi-now",
        title="psi above noise",
        description="psi over the last hour against training, less what chance alone explains.",
        unit=NO_UNIT,
        queries=(PromQuery(f"max({excess_psi(scope, WINDOW)})", "psi above noise"),),
        view=Stat(limit_steps(warning=thresholds.warning, bad=thresholds.critical), trend=True),
        decimals=3,
        empty=TOO_FEW,
    )


def noise_now(scope: BoardScope) -> Panel:
    return Panel(
        key="noise-now",
        title="Noise of psi",
        description="The psi that chance alone explains with so many rows and bins over the last hour.",
        unit=NO_UNIT,
        queries=(PromQuery(_worst(scope, SIGNAL_PSI_NOISE), "noise"),),
        view=Stat(trend=True),
        decimals=3,
        empty=TOO_FEW,
    )


def rows_now(scope: BoardScope) -> Panel:
    """Rows as a share of those that a drift value of the model needs."""
    return Panel(
        key="rows-now",
        title="Rows of needed",
        description="Rows of the last hour as a share of those that a drift value of this model needs.",
        unit=RATIO,
        queries=(PromQuery(f"sum({_select(scope, SIGNAL_INCREASE)}) / {_needed(scope)}", "rows"),),
        view=Stat((Step("yellow"), Step(GOOD, 1.0)), trend=True),
        decimals=0,
        empty=NO_SIGNAL,
    )


def state_over_time(scope: BoardScope) -> Panel:
    by_arm = _strip(f"count by (method) ({_select(scope, SIGNAL_MOVED)})")
    return Panel(
        key="signal-state",
        title="Moved since when, and by which arm",
        description="The state of this signal, and a red strip for each arm while it is beyond its limits.",
        unit=NO_UNIT,
        queries=(PromQuery(_state(scope), "state"), PromQuery(by_arm, legend("method"))),
        view=StateTimeline(_STATE_STEPS, _STATE_TEXTS),
        empty=NO_SIGNAL,
    )


def moved_of_model(scope: BoardScope) -> Panel:
    """``scope`` has no signal: all of a model and version."""
    strips = aggregate("count", _select(scope, SIGNAL_MOVED), SIGNAL)
    return Panel(
        key="moved-of-model",
        title="All signals of this version that moved",
        description=f"A strip for each signal while it is not as in its own past; at most {_STRIPS} at once.",
        unit=COUNT,
        queries=(PromQuery(f"topk({_STRIPS}, {strips})", legend(*SIGNAL)),),
        view=StateTimeline((Step(BAD),)),
        empty="No signal of this version moved in this time range",
    )


def psi_and_limits(scope: BoardScope, thresholds: PsiThresholds) -> Panel:
    """psi with its noise; thresholds of the registry hold above noise, so that noise is added to them."""
    noise = _worst(scope, SIGNAL_PSI_NOISE)
    limits = (
        PromQuery(f"(max({scope.select(series.name)}) or vector({value:g})) + {noise}", name, style="limit")
        for series, name, value in (
            (DRIFT_PSI_WARNING, "warning", thresholds.warning),
            (DRIFT_PSI_CRITICAL, "critical", thresholds.critical),
        )
    )
    return Panel(
        key="psi-and-limits",
        title="psi, its noise and its limits",
        description="psi over 1h against training; dashed the limit of its own past and the registry's.",
        unit=NO_UNIT,
        queries=(
            PromQuery(_worst(scope, SIGNAL_PSI), "psi"),
            PromQuery(noise, "noise", style="dotted"),
            PromQuery(_worst(scope, SIGNAL_PSI_LIMIT), "own past", style="limit"),
            *limits,
        ),
        view=TimeSeries(),
        decimals=3,
        empty=TOO_FEW,
    )


def rows_over_time(scope: BoardScope) -> Panel:
    return Panel(
        key="rows-over-time",
        title="Rows in 1h",
        description="Observations of this signal in the last hour; dashed how many a drift value needs.",
        unit=COUNT,
        queries=(
            PromQuery(f"sum({_select(scope, SIGNAL_INCREASE)})", "rows"),
            PromQuery(_needed(scope), "needed", style="limit"),
        ),
        view=TimeSeries(),
        decimals=0,
        empty=NO_SIGNAL,
    )


def arm_and_limits(scope: BoardScope, arm: Arm) -> Panel:
    limits = ((arm.low, "own past low"), (arm.high, "own past high"))
    return Panel(
        key=arm.method.replace("_", "-"),
        title=arm.title,
        description=f"{arm.meaning} Over 1h; dashed the limits of its own past.",
        unit=arm.unit,
        queries=(
            PromQuery(_worst(scope, arm.series), arm.title.lower()),
            *(PromQuery(_worst(scope, series), name, style="limit") for series, name in limits),
        ),
        view=TimeSeries(minimum=None, maximum=1.0 if arm.unit == RATIO else None),
        decimals=2,
        empty="Not reported here: too few rows, or not a numeric signal",
    )


def distribution() -> Panel:
    """The shares of the bins of the selected signal."""
    parameters = ("model-name", "model-version", "tenant-id", "kind", "signal")
    variables = ("model", "version", "tenant", "kind", "signal")
    given = tuple((name, BoardVariable(v)) for name, v in zip(parameters, variables, strict=True))
    fields = (Field("label", "label"), Field("series", "series"), Field("value", "value", "number"))
    return Panel(
        key="distribution",
        title="Live against training",
        description="The share of each bin in the last hour, beside its share in training (reference).",
        unit=RATIO,
        queries=(
            ApiQuery(
                "table", "distribution", (*given, ("window", WINDOW)), "rows", fields, "drift/distribution"
            ),
        ),
        view=BarChart("label", "series", "value", (("reference", REFERENCE), ("live", "blue"))),
        empty="Not reported here: the signal has no baseline, or no row in the last hour",
    )


def _state(scope: BoardScope) -> str:
    """One number: moved before all else, then whether it warms up; without psi there were too few rows."""
    moved = _strip(f"count({_select(scope, SIGNAL_MOVED)})")
    known = f"max({_select(scope, SIGNAL_WARMING_UP)})"
    return f"{moved} or {known} or 0 * count({_select(scope, SIGNAL_INCREASE)}) + {_HAS_TOO_FEW}"


def _strip(count: str) -> str:
    """The state of a signal that moved, where ``count`` is there; it is above 1 with several clusters."""
    return f"{_HAS_MOVED} * clamp_max({count}, 1)"


def _needed(scope: BoardScope) -> str:
    """Rows that a drift value of the model needs, as one series without labels."""
    return f"(max({scope.select(MIN_OBSERVATIONS.name)}) or vector({DEFAULT_MIN_OBSERVATIONS}))"


def _select(scope: BoardScope, series: WindowedSeries, *matchers: Matcher) -> str:
    return scope.select(series.over(WINDOW).name, *matchers)


def _worst(scope: BoardScope, series: WindowedSeries) -> str:
    return f"max({_select(scope, series)})"


def _each(operation: str, expression: str) -> str:
    return aggregate(operation, expression, _EACH)
