"""Measures of models that answer in tokens: how many, how fast, and what a million of them costs."""

from __future__ import annotations

from dataclasses import replace

from modelplane_dashboards.kit.board import Panel, PromQuery
from modelplane_dashboards.kit.colours import TOKEN_COLOURS
from modelplane_dashboards.kit.links import VALUE, board_link
from modelplane_dashboards.kit.measure import Measure
from modelplane_dashboards.kit.scope import BoardScope, Labels, largest, legend
from modelplane_dashboards.kit.views import Column, Heatmap, Stat, Table, TimeSeries
from modelplane_dashboards.measures import calls
from modelplane_dashboards.measures.calls import WINDOW
from modelplane_dashboards.measures.cost import NO_PRICE
from modelplane_dashboards.measures.growth import growth
from modelplane_schema import metrics
from modelplane_schema.expressions import quantile
from modelplane_schema.grafana_units import NO_UNIT, RATIO, rate_unit, unit_of
from modelplane_schema.metrics import (
    CACHED_INPUT,
    INPUT,
    MODEL_VERSION,
    TENANT_ID,
    TIME_PER_OUTPUT_TOKEN,
    TIME_TO_FIRST_TOKEN,
    TOKENS,
    Metric,
)
from modelplane_schema.promql import Matcher, one_of, ratio, total
from modelplane_schema.recorded import (
    CACHED_INPUT_SAVING,
    TOKEN_COST,
    TOKEN_COST_ALLOCATED,
    TOKEN_RATE,
)
from modelplane_schema.recorded_types import RecordedSeries

NO_TOKENS = "Not reported here: the model reports no tokens"
NO_STREAM = "Not reported here: no call of the model streams"
_P50, _P95 = 0.5, 0.95
_HOUR = 3600
_TENANTS = 100
_KIND, _CURRENCY = "kind", "currency"
_INPUT = one_of(_KIND, (INPUT, CACHED_INPUT))
_OUTPUT = one_of(_KIND, (kind for kind in metrics.TOKEN_KINDS if kind not in (INPUT, CACHED_INPUT)))
_ALL_KINDS = Matcher(_KIND, "all")


def _cached(scope: BoardScope, by: Labels) -> str:
    cached = growth(scope, TOKENS.name, by, Matcher(_KIND, CACHED_INPUT))
    return ratio(cached, growth(scope, TOKENS.name, by, _INPUT))


def _quantile(metric: Metric, q: float, scope: BoardScope, by: Labels) -> str:
    return quantile(q, metric, scope.select, WINDOW, ("le", *by))


TOKENS_IN = Measure(
    "tokens-in",
    "Tokens in",
    "Input tokens per second, cached ones included.",
    rate_unit(TOKENS),
    lambda scope, by: growth(scope, TOKENS.name, by, _INPUT),
    empty=NO_TOKENS,
)
TOKENS_OUT = Measure(
    "tokens-out",
    "Tokens out",
    "Output tokens per second, those of reasoning included.",
    rate_unit(TOKENS),
    lambda scope, by: growth(scope, TOKENS.name, by, _OUTPUT),
    empty=NO_TOKENS,
)
FIRST_TOKEN = Measure(
    "first-token",
    "First token p95",
    "95 of 100 streams gave their first token at least this soon after the call began.",
    unit_of(TIME_TO_FIRST_TOKEN),
    lambda scope, by: _quantile(TIME_TO_FIRST_TOKEN, _P95, scope, by),
    empty=NO_STREAM,
)
PER_TOKEN = Measure(
    "per-token",
    "Per token p95",
    "In 95 of 100 streams the mean time between output tokens was at most this.",
    unit_of(TIME_PER_OUTPUT_TOKEN),
    lambda scope, by: _quantile(TIME_PER_OUTPUT_TOKEN, _P95, scope, by),
    empty=NO_STREAM,
)
CACHED_SHARE = Measure(
    "cached-input",
    "Cached input",
    "Share of input tokens that came from a cache.",
    RATIO,
    _cached,
    empty=NO_TOKENS,
)
STREAMS = replace(
    calls.IN_FLIGHT,
    description="Calls that are being answered now, over all replicas; a stream is one until its end.",
    empty=NO_TOKENS,
)


def tokens_by_kind(scope: BoardScope) -> Panel:
    return Panel(
        key="tokens-by-kind",
        title="Tokens by kind",
        description="Tokens per second; the kinds add up to all tokens. No line means no data.",
        unit=rate_unit(TOKENS),
        queries=(PromQuery(growth(scope, TOKENS.name, (_KIND,)), legend(_KIND)),),
        view=TimeSeries(stacked=True, colours=tuple(TOKEN_COLOURS.items())),
        empty=NO_TOKENS,
    )


def time_by_version(scope: BoardScope, measure: Measure, metric: Metric, title: str) -> Panel:
    """p95 of a measure of streams solid, its median dotted."""
    by = (MODEL_VERSION,)
    median = PromQuery(_quantile(metric, _P50, scope, by), f"p50 {legend(*by)}", style="dotted")
    return Panel(
        key=f"{measure.key}-by-version",
        title=title,
        description=f"{metric.help} p95 solid, median dotted. No line means that nothing streamed.",
        unit=measure.unit,
        queries=(PromQuery(_quantile(metric, _P95, scope, by), f"p95 {legend(*by)}"), median),
        view=TimeSeries(),
        empty=measure.empty,
    )


def first_token_heatmap(scope: BoardScope) -> Panel:
    buckets = growth(scope, f"{TIME_TO_FIRST_TOKEN.name}_bucket", ("le",))
    return Panel(
        key="first-token-heatmap",
        title="First tokens by time",
        description="Streams per second by the time to their first token. Two bands are two kinds of calls.",
        unit=unit_of(TIME_TO_FIRST_TOKEN),
        queries=(PromQuery(buckets, legend("le")),),
        view=Heatmap(),
        empty=NO_STREAM,
    )


def cost_per_million(scope: BoardScope, series: RecordedSeries, by: Labels, *kinds: Matcher) -> str:
    """The cost of a million tokens in each currency, over what differs in labels besides ``by``.

    It is the mean of what is recorded, weighted by tokens per second of the same hour: what all of them cost
    by how many there were.
    """
    identity = tuple(label for label in series.labels if label not in (_KIND, _CURRENCY))
    each = (*scope.clusters, *identity, *(() if kinds else (_KIND,)))
    cost = scope.select(series.name, *(kinds or (Matcher(_KIND, "all", "!="),)))
    tokens = f"on ({', '.join(each)}) group_left () {total(scope.select(TOKEN_RATE.name), each)}"
    grouped = (*by, _CURRENCY)
    return ratio(total(f"{cost} * {tokens}", grouped), total(f"0 * {cost} + {tokens}", grouped))


def cost_per_million_now(scope: BoardScope) -> Panel:
    return Panel(
        key="cost-per-million-now",
        title="Cost per million",
        description="What a million tokens of all kinds cost over the last hour, without idle time.",
        unit=NO_UNIT,
        queries=(
            PromQuery(cost_per_million(scope, TOKEN_COST, (), _ALL_KINDS), legend(_CURRENCY), instant=True),
        ),
        view=Stat(shows_name=True),
        decimals=2,
        empty=NO_PRICE,
    )


def cost_per_million_by_kind(scope: BoardScope) -> Panel:
    return Panel(
        key="cost-per-million-by-kind",
        title="Cost of a million tokens",
        description="By kind, over the last hour: device seconds and token prices, without idle time.",
        unit=NO_UNIT,
        queries=(PromQuery(cost_per_million(scope, TOKEN_COST, (_KIND,)), legend(_KIND, _CURRENCY)),),
        view=TimeSeries(),
        decimals=2,
        empty=NO_PRICE,
    )


def cost_per_million_with_idle(scope: BoardScope) -> Panel:
    """What devices cost in all, by version, for idle time belongs to nobody's calls."""
    by = (MODEL_VERSION,)
    with_idle = cost_per_million(scope, TOKEN_COST_ALLOCATED, by, _ALL_KINDS)
    return Panel(
        key="cost-per-million-with-idle",
        title="All kinds, with idle time",
        description="A million tokens of all kinds of each version, when its devices are paid all the hour.",
        unit=NO_UNIT,
        queries=(PromQuery(with_idle, legend(*by, _CURRENCY)),),
        view=TimeSeries(),
        decimals=2,
        empty=NO_PRICE,
    )


def saved_by_cache(scope: BoardScope) -> Panel:
    saving = f"{_HOUR} * {total(scope.select(CACHED_INPUT_SAVING.name), (_CURRENCY,))}"
    return Panel(
        key="saved-by-cache",
        title="Saved by cached input",
        description="Money per hour that cached input would have cost more as input, over the last hour.",
        unit=NO_UNIT,
        queries=(PromQuery(saving, legend(_CURRENCY)),),
        view=TimeSeries(),
        decimals=2,
        empty=NO_PRICE,
    )


def tenants(scope: BoardScope) -> Panel:
    by = (TENANT_ID,)
    ranking = growth(scope, TOKENS.name, by)
    measures = (TOKENS_IN, TOKENS_OUT, CACHED_SHARE, FIRST_TOKEN)
    texts = (measure.expression(scope, by) for measure in measures)
    return Panel(
        key="tenants",
        title="Tenants by tokens",
        description=f"The {_TENANTS} tenants with most tokens now. The name leads to the tenant's board.",
        unit=rate_unit(TOKENS),
        queries=tuple(PromQuery(largest(text, ranking, by, _TENANTS), instant=True) for text in texts),
        view=Table(
            (
                Column(
                    TENANT_ID,
                    "Tenant",
                    link=board_link("tenant", "Board of this tenant", *scope.clusters, tenant=VALUE),
                ),
                *(measure.column(ref_id) for measure, ref_id in zip(measures, "ABCD", strict=True)),
            ),
            sort_by=TOKENS_OUT.title,
        ),
        empty=NO_TOKENS,
    )
