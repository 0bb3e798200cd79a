"""LLM: how many tokens, how fast, and what does a million of them cost?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from modelplane_dashboards.kit.board import Board, PromQuery, Row, Section, Variable
from modelplane_dashboards.kit.context import BoardContext
from modelplane_dashboards.kit.menu import LabelValues
from modelplane_dashboards.kit.scope import BoardScope, several, single
from modelplane_dashboards.kit.variables import variables
from modelplane_dashboards.measures import alerts, calls, tokens
from modelplane_schema.level_expressions import level_series
from modelplane_schema.metrics import (
    MODEL_NAME,
    MODEL_VERSION,
    TIME_PER_OUTPUT_TOKEN,
    TIME_TO_FIRST_TOKEN,
)
from modelplane_schema.recorded import MAX_IN_FLIGHT
from modelplane_schema.uids import template_uid

_BY_VERSION = (MODEL_VERSION,)


def llm(context: BoardContext) -> Board:
    """The board of one model that reports tokens, over all its tenants."""
    scope = context.scope(single("model"), several("version"))
    return Board(
        kind="llm",
        uid=template_uid("llm"),
        title="LLM",
        question="How many tokens, how fast, and what does a million of them cost?",
        advice="Slow first tokens and many streams in flight: it is full. Few: look at the tokens in.",
        variables=tuple(_variables(scope)),
        annotations=(alerts.version_marks(scope),),
        sections=(
            Section("now", "Now", _now(context, scope)),
            Section("tokens", "Tokens", _tokens(scope)),
            Section("speed", "Speed of streams", _speed(scope)),
            Section("cost", "Cost", _cost(scope)),
        ),
        examples=(("model", context.example_model),),
    )


def _variables(scope: BoardScope) -> Iterator[Variable]:
    """The usual ones, but of models those alone that report tokens."""
    tokens_of = level_series("tokens", (MODEL_NAME,)).name
    menu = LabelValues(MODEL_NAME, BoardScope((), scope.clusters).select(tokens_of))
    for variable in variables(scope):
        yield replace(variable, menu=menu) if variable.name == "model" else variable


def _now(context: BoardContext, scope: BoardScope) -> tuple[Row, ...]:
    errors = replace(calls.error_ratio(context.limits), empty=tokens.NO_TOKENS)
    speed = (tokens.TOKENS_IN, tokens.TOKENS_OUT, tokens.FIRST_TOKEN, tokens.PER_TOKEN)
    load = (
        tokens.STREAMS.stat(scope),
        errors.stat(scope),
        tokens.CACHED_SHARE.stat(scope),
        tokens.cost_per_million_now(scope),
    )
    return Row(tuple(measure.stat(scope) for measure in speed), height=5), Row(load, height=5)


def _tokens(scope: BoardScope) -> tuple[Row, ...]:
    return (
        Row(
            (
                tokens.tokens_by_kind(scope),
                tokens.TOKENS_OUT.graph(scope, _BY_VERSION, "Tokens out by version"),
                tokens.CACHED_SHARE.graph(scope, _BY_VERSION, "Cached share of input"),
            )
        ),
        Row((tokens.tenants(scope),)),
    )


def _speed(scope: BoardScope) -> tuple[Row, ...]:
    capacity = PromQuery(f"max({scope.select(MAX_IN_FLIGHT.name)})", "capacity", style="limit")
    first = tokens.time_by_version(scope, tokens.FIRST_TOKEN, TIME_TO_FIRST_TOKEN, "Time to first token")
    each = tokens.time_by_version(scope, tokens.PER_TOKEN, TIME_PER_OUTPUT_TOKEN, "Time per output token")
    streams = tokens.STREAMS.graph(scope, _BY_VERSION, "In flight against capacity", capacity, stacked=True)
    return (
        Row((first, tokens.first_token_heatmap(scope))),
        Row((each, streams)),
    )


def _cost(scope: BoardScope) -> tuple[Row, ...]:
    return (
        Row(
            (
                tokens.cost_per_million_by_kind(scope),
                tokens.cost_per_million_of_all_kinds(scope),
                tokens.saved_by_cache(scope),
            )
        ),
    )
