"""What boards over many models or tenants draw, recorded at each level so that no panel reads every series.

The level of calls is computed from what is scraped, and the levels above it are sums of that level. Buckets
are not recorded at the level of calls, which would store as many series again as are scraped: a board of one
tenant and model reads the scraped ones. Each level also has the labels of the cluster.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from modelplane_schema.metrics import (
    ACTIVE,
    BUSINESS_EVENTS,
    BUSINESS_VALUE_COUNT,
    BUSINESS_VALUE_NEGATIVE_SUM,
    BUSINESS_VALUE_SUM,
    CONFIDENCE,
    DEVICE_SECONDS,
    FEEDBACK,
    INVALID_OBSERVATIONS,
    LATENCY,
    MODEL_NAME,
    MODEL_VERSION,
    REQUESTS,
    SERIES_OVERFLOW,
    TENANT_ID,
    TIME_PER_OUTPUT_TOKEN,
    TIME_TO_FIRST_TOKEN,
    TOKENS,
    Unit,
)
from modelplane_schema.promql import CLUSTER_LABELS, SELECTOR, rate, selector, total
from modelplane_schema.recorded_types import RecordedSeries

Labels = tuple[str, ...]
CALLS = "calls"
DEVICE = "device"
# The labels of each level, from the finest to the coarsest; a fleet has those of the cluster alone.
LEVELS: dict[str, Labels] = {
    CALLS: (TENANT_ID, MODEL_NAME, MODEL_VERSION),
    DEVICE: (MODEL_NAME, "device"),
    "version": (MODEL_NAME, MODEL_VERSION),
    "tenant": (TENANT_ID,),
    "fleet": (),
}
# What has neither buckets nor a device is recorded at the level of calls and at all sums of it.
_SUMS = ("version", "tenant", "fleet")
_WINDOW = "5m"


@dataclass(frozen=True, slots=True)
class Quantity:
    """Something that can be added up: its name, the labels that stay at every level, and what is scraped.

    ``levels`` are those at which it is recorded, the finest first; ``window`` is empty for a gauge.
    """

    name: str
    labels: Labels
    scraped: str
    unit: Unit
    help: str
    levels: tuple[str, ...] = (CALLS, *_SUMS)
    window: str = _WINDOW

    def at(self, level: str) -> RecordedSeries:
        """The series that is recorded at a level."""
        prefix = "" if level == CALLS else f"{level}_"
        operation = f"rate{self.window}" if self.window else "sum"
        return RecordedSeries(
            f"modelplane:{prefix}{self.name}:{operation}", self.unit, (*LEVELS[level], *self.labels),
            self.help.format(of=_OF[level]), self.window, per_second=bool(self.window),
        )  # fmt: skip


_OF = {
    CALLS: "each tenant and version",
    DEVICE: "each model on each device",
    "version": "each version",
    "tenant": "each tenant",
    "fleet": "all models",
}
_BUCKET, _SUM, _COUNT = (f"{CONFIDENCE.name}_{part}" for part in ("bucket", "sum", "count"))
QUANTITIES = (
    Quantity("calls", ("outcome",), REQUESTS.name, "count", "Finished calls of {of} by outcome."),
    Quantity(
        "latency_buckets", ("le",), f"{LATENCY.name}_bucket", "count", "Buckets of latency of {of}.", _SUMS
    ),
    Quantity("confidence_buckets", ("le",), _BUCKET, "count", "Buckets of confidence of {of}.", _SUMS),
    Quantity("confidence_sum", (), _SUM, "number", "Sum of confidence of {of}."),
    Quantity("confidence_count", (), _COUNT, "count", "Predictions with a confidence of {of}."),
    Quantity(
        "device_seconds", ("device_type",), DEVICE_SECONDS.name, "number", "Device seconds of {of}.",
        (CALLS, DEVICE, *_SUMS),
    ),
    Quantity("active", (), ACTIVE.name, "count", "Calls in flight of {of}.", window=""),
    Quantity(
        "invalid_observations", ("reason",), INVALID_OBSERVATIONS.name, "count",
        "Values that broke the data contract, of {of}.", ("version",),
    ),
    Quantity("tokens", ("kind",), TOKENS.name, "count", "Tokens of {of} by kind.", ("version",)),
    Quantity(
        "first_token_buckets", ("le",), f"{TIME_TO_FIRST_TOKEN.name}_bucket", "count",
        "Buckets of the time to the first token of {of}.", ("version",),
    ),
    Quantity(
        "output_token_buckets", ("le",), f"{TIME_PER_OUTPUT_TOKEN.name}_bucket", "count",
        "Buckets of the time per output token of {of}.", ("version",),
    ),
    Quantity(
        "business_events", ("event",), BUSINESS_EVENTS.name, "count", "Business events of {of}.", ("version",)
    ),
    Quantity(
        "business_value_sum", ("value",), BUSINESS_VALUE_SUM.name, "number",
        "Sum of business values above 0 of {of}.", ("version",),
    ),
    Quantity(
        "business_value_negative_sum", ("value",), BUSINESS_VALUE_NEGATIVE_SUM.name, "number",
        "Sum of business values below 0 of {of}, without the sign.", ("version",),
    ),
    Quantity(
        "business_value_count", ("value",), BUSINESS_VALUE_COUNT.name, "count",
        "Business values of {of}.", ("version",),
    ),
    Quantity("feedback", ("verdict",), FEEDBACK.name, "count", "Judged predictions of {of}.", ("version",)),
    Quantity(
        "overflowed_calls", ("label",), SERIES_OVERFLOW.name, "count",
        "Calls counted under __overflow__, of {of}.", ("version",),
    ),
)  # fmt: skip


_HISTOGRAMS = tuple(
    metric.name for metric in (LATENCY, CONFIDENCE, TIME_TO_FIRST_TOKEN, TIME_PER_OUTPUT_TOKEN)
)


class LevelRule(NamedTuple):
    """A recording rule of a level; ``is_histogram`` marks series that a native histogram does not have."""

    level: str
    series: RecordedSeries
    expression: str
    is_histogram: bool


def level_rules() -> Iterator[LevelRule]:
    """The rules, in the order in which they are to be evaluated."""
    for level in LEVELS:
        for quantity in QUANTITIES:
            if level not in quantity.levels:
                continue
            is_histogram = quantity.scraped.startswith(_HISTOGRAMS)
            yield LevelRule(level, quantity.at(level), _expression(quantity, level), is_histogram)


def _expression(quantity: Quantity, level: str) -> str:
    by = (CLUSTER_LABELS, *LEVELS[level], *quantity.labels)
    finest = quantity.levels[0]
    if level != finest and set(LEVELS[level]) <= set(LEVELS[finest]):
        return total(quantity.at(finest).name, by)
    scraped = selector(quantity.scraped, (SELECTOR,))
    return total(rate(scraped, quantity.window) if quantity.window else scraped, by)


LEVEL_SERIES = tuple(rule.series for rule in level_rules())
