"""PromQL of what tokens cost, which recording rules evaluate.

The cost of a device is that of the last hour, at the prices of now. It is shared over kinds of tokens by
``TOKEN_WEIGHTS``; token prices are added. By usage each identity pays for its own device seconds. By
allocation the users of a device pay its whole price, as if it had been there all the hour. That tells what
others use, so it has no tenants: a tenant's own queries must not find it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from modelplane_schema import metrics
from modelplane_schema.metrics import (
    CACHED_INPUT,
    DEVICE_SECONDS,
    INPUT,
    MODEL_NAME,
    TOKEN_KINDS,
    TOKEN_WEIGHTS,
    TOKENS,
)
from modelplane_schema.promql import CLUSTER_LABELS, SELECTOR, Matcher, one_of, rate, ratio, selector, total
from modelplane_schema.recorded import (
    CACHED_INPUT_RATIO,
    CACHED_INPUT_SAVING,
    COST,
    DEVICE_COST,
    DEVICE_COST_ALLOCATED,
    DEVICE_PRICE,
    TOKEN_COST,
    TOKEN_COST_ALLOCATED,
    TOKEN_PRICE,
    TOKEN_RATE,
    UNPRICED_DEVICE_SECONDS,
)
from modelplane_schema.recorded_types import RecordedSeries

ALL_KINDS = "all"
_MILLION = "1e6"
_CURRENCY = "currency"
IDENTITY = (CLUSTER_LABELS, *metrics.IDENTITY)
VERSION_IDENTITY = (CLUSTER_LABELS, *metrics.VERSION_IDENTITY)
_DEVICE = (CLUSTER_LABELS, "device", "device_type")

Labels = tuple[str, ...]


class Rule(NamedTuple):
    """A recording rule, and the labels that it sets."""

    series: RecordedSeries
    expression: str
    labels: dict[str, str]


def token_cost_rules() -> Iterator[Rule]:
    """The rules, in the order in which they are to be evaluated."""
    window = TOKEN_RATE.window
    seconds = rate(selector(DEVICE_SECONDS.name, (SELECTOR,)), window)
    tokens = rate(selector(TOKENS.name, (SELECTOR,)), window)
    yield Rule(TOKEN_RATE, total(tokens, (CLUSTER_LABELS, *TOKEN_RATE.labels)), {})
    yield Rule(DEVICE_COST, _priced(total(seconds, (*IDENTITY, "device_type")), IDENTITY), {})
    yield Rule(DEVICE_COST_ALLOCATED, _priced(_shares(seconds), VERSION_IDENTITY), {})
    yield Rule(COST, _cost(), {})
    unpriced = f"{seconds} unless on (device_type) {DEVICE_PRICE.name}"
    yield Rule(UNPRICED_DEVICE_SECONDS, f"{total(unpriced, IDENTITY)} > 0", {})
    for series, by, cost in (
        (TOKEN_COST, IDENTITY, DEVICE_COST),
        (TOKEN_COST_ALLOCATED, VERSION_IDENTITY, DEVICE_COST_ALLOCATED),
    ):
        for kind in (*TOKEN_KINDS, ALL_KINDS):
            yield Rule(series, _cost_per_million(kind, cost.name, by), {"kind": kind})
    yield Rule(CACHED_INPUT_SAVING, _saving(), {})
    cached, input_ = (total(_tokens(*kinds), IDENTITY) for kinds in ((CACHED_INPUT,), (INPUT, CACHED_INPUT)))
    yield Rule(CACHED_INPUT_RATIO, ratio(cached, input_), {})


def _tokens(*kinds: str) -> str:
    return selector(TOKEN_RATE.name, (one_of("kind", kinds),) if kinds else ())


def _token_price(kind: str) -> str:
    return selector(TOKEN_PRICE.name, (Matcher("kind", kind),))


def _on(labels: Labels, copied: str = "") -> str:
    return f"on ({', '.join(labels)}) group_left ({copied})"


def _priced(seconds: str, by: Labels) -> str:
    """Money per second of device seconds per second."""
    cost = f"{seconds} * {_on(('device_type',), _CURRENCY)} {DEVICE_PRICE.name}"
    return f"{total(cost, (*by, _CURRENCY))} / 3600"


def _shares(seconds: str) -> str:
    """The share of each version in a device; what is charged above its time is charged."""
    everything = f"clamp_max({total(seconds, _DEVICE)} > 0, 1)"
    return f"{total(seconds, (*VERSION_IDENTITY, *_DEVICE))} / {_on(_DEVICE)} {everything}"


def _weighted(by: Labels) -> str:
    """Tokens per second in tokens of weight 1."""
    weights = sorted({weight for weight in TOKEN_WEIGHTS.values() if weight})
    parts = (
        f"{weight:g} * {_tokens(*(kind for kind in TOKEN_KINDS if TOKEN_WEIGHTS[kind] == weight))}"
        for weight in weights
    )
    return f"({total(' or '.join(parts), by)} > 0)"


def _both(device: str, prices: str, by: Labels) -> str:
    """What devices and token prices cost together; one may be absent. None if a device has no price."""
    parts = (
        f'label_replace({expression}, "part", "{part}", "", "")'
        for part, expression in (("device", device), ("price", prices))
    )
    unpriced = total(UNPRICED_DEVICE_SECONDS.name, by)
    return f"{total(' or '.join(parts), (*by, _CURRENCY))} unless on ({', '.join(by)}) {unpriced}"


def _cost_per_million(kind: str, device_cost: str, by: Labels) -> str:
    if kind == ALL_KINDS:
        tokens = f"({total(_tokens(), by)} > 0)"
        paid = f"{_tokens()} * {_on((MODEL_NAME, 'kind'), _CURRENCY)} {TOKEN_PRICE.name}"
        price = f"{total(paid, (*by, _CURRENCY))} / {_on(by)} {tokens}"
        return _both(f"{_MILLION} * {device_cost} / {_on(by)} {tokens}", price, by)
    tokens = f"{total(_tokens(kind), by)} > 0"
    weight = f"{_MILLION} * {TOKEN_WEIGHTS[kind]:g}"
    device = f"({weight} * {device_cost} / {_on(by)} {_weighted(by)} and on ({', '.join(by)}) {tokens})"
    return _both(device, f"(({tokens}) * 0 + {_on((MODEL_NAME,), _CURRENCY)} {_token_price(kind)})", by)


def _cost() -> str:
    """Money per second of devices and tokens; a device without a price adds nothing, and has an alert."""
    paid = f"{_tokens()} * {_on((MODEL_NAME, 'kind'), _CURRENCY)} {TOKEN_PRICE.name} / {_MILLION}"
    parts = (
        f'label_replace({expression}, "part", "{part}", "", "")'
        for part, expression in (("device", DEVICE_COST.name), ("price", f"({paid})"))
    )
    return total(" or ".join(parts), (*IDENTITY, _CURRENCY))


def _saving() -> str:
    """Money per second that cached input would cost more as input."""
    cached = total(_tokens(CACHED_INPUT), IDENTITY)
    weight = TOKEN_WEIGHTS[INPUT] - TOKEN_WEIGHTS[CACHED_INPUT]
    rate_of_cost = f"({weight:g} * {DEVICE_COST.name} / {_on(IDENTITY)} {_weighted(IDENTITY)})"
    difference = f"({_token_price(INPUT)} - on ({MODEL_NAME}, {_CURRENCY}) {_token_price(CACHED_INPUT)})"
    prices = f"({cached} * {_on((MODEL_NAME,), _CURRENCY)} {difference} / {_MILLION})"
    return _both(f"({rate_of_cost} * {_on(IDENTITY)} {cached})", prices, IDENTITY)
