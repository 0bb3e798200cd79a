"""Measures of models that answer in tokens: how many, how fast, and what a million of them costs."""

from __future__ import annotations

from dataclasses import replace

from modelplane_dashboards.kit.board import Panel, PromQuery
from modelplane_dashboards.kit.colours import TOKEN_COLOURS
from modelplane_dashboards.kit.links import tenant_link
from modelplane_dashboards.kit.measure import Measure
from modelplane_dashboards.kit.scope import BoardScope, Labels, largest, legend
from modelplane_dashboards.kit.views import Column, Heatmap, Stat, Table, TimeSeries
from modelplane_dashboards.measures import calls
from modelplane_dashboards.measures.cost import NO_PRICE
from modelplane_schema import level_expressions as levels
from modelplane_schema import metrics
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
from modelplane_schema.promql import Matcher, aggregate, one_of, ratio, total
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


def _tokens(scope: BoardScope, by: Labels, *kinds: Matcher) -> str:
    return levels.summed("tokens", scope.select, scope.labels, by, *kinds)


def _cached(scope: BoardScope, by: Labels) -> str:
    return ratio(_tokens(scope, by, Matcher(_KIND, CACHED_INPUT)), _tokens(scope, by, _INPUT))


def _quantile(metric: Metric, q: float, scope: BoardScope, by: Labels) -> str:
    return levels.quantile(q, metric, scope.select, scope.labels, by)


TOKENS_IN = Measure(
    "tokens-in",
    "Tokens in",
    "Input tokens per second, cached ones included.",
    rate_unit(TOKENS),
    lambda scope, by: _tokens(scope, by, _INPUT),
    empty=NO_TOKENS,
)
TOKENS_OUT = Measure(
    "tokens-out",
    "Tokens out",
    "Output tokens per second, those of reasoning included.",
    rate_unit(TOKENS),
    lambda scope, by: _tokens(scope, by, _OUTPUT),
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
        queries=(PromQuery(_tokens(scope, (_KIND,)), legend(_KIND)),),
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
    buckets = levels.summed("first_token_buckets", scope.select, scope.labels, ("le",))
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
    return _cost_with_idle(
        scope, (MODEL_VERSION, _KIND), Matcher(_KIND, "all", "!="), "Cost of a million by kind"
    )


def cost_per_million_of_all_kinds(scope: BoardScope) -> Panel:
    return _cost_with_idle(scope, (MODEL_VERSION,), _ALL_KINDS, "Cost of a million, all kinds")


def _cost_with_idle(scope: BoardScope, by: Labels, kinds: Matcher, title: str) -> Panel:
    """What devices cost in all, of each version, for idle time belongs to nobody's calls."""
    grouped = (*by, _CURRENCY)
    series = scope.select(TOKEN_COST_ALLOCATED.name, kinds)
    return Panel(
        key=f"cost-per-million-by-{'-'.join(by)}".replace("_", "-"),
        title=title,
        description="Over the last hour, idle time of devices included; of several clusters the dearest.",
        unit=NO_UNIT,
        queries=(PromQuery(aggregate("max", series, grouped), legend(*grouped)),),
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
    every = total(scope.select(TOKEN_RATE.name), by)
    texts = [total(scope.select(TOKEN_RATE.name, kinds), by) for kinds in (_INPUT, _OUTPUT)]
    cached = total(scope.select(TOKEN_RATE.name, Matcher(_KIND, CACHED_INPUT)), by)
    return Panel(
        key="tenants",
        title="Tenants by tokens of the last hour",
        description=f"The {_TENANTS} tenants with most tokens. The name leads to the tenant's board.",
        unit=rate_unit(TOKENS),
        queries=tuple(
            PromQuery(largest(text, every, by, _TENANTS), instant=True)
            for text in (*texts, ratio(cached, texts[0]))
        ),
        view=Table(
            (
                Column(
                    TENANT_ID,
                    "Tenant",
                    link=tenant_link(*scope.clusters),
                ),
                TOKENS_IN.column("A"),
                TOKENS_OUT.column("B"),
                CACHED_SHARE.column("C"),
            ),
            sort_by=TOKENS_OUT.title,
        ),
        empty=NO_TOKENS,
    )
