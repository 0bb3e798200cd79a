"""A call that records what declared values hand to it."""

from __future__ import annotations

import functools
import types
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, cast

from modelplane_exporter import Call
from modelplane_exporter.baseline import Baseline, CategoricalSignal, NumericSignal
from modelplane_exporter.declared import Declared
from modelplane_exporter.declared.expressions import Expression

HEAD = "apiVersion: modelplane/v1\n"
FULL = """
apiVersion: modelplane/v1
confidence: result.scores[0].probability
items: length(arguments.rows)
tokens:
  input: result.usage.prompt_tokens
  cached_input: result.usage.cached_tokens || `0`
  output: result.usage.completion_tokens
  reasoning: result.usage.reasoning_tokens
features: arguments.features
prediction: result.label
events:
  - {name: recommended, when: "result.items[0]"}
  - {name: added_to_basket, count: "length(result.added)"}
values:
  basket_value: result.basket.total
"""
ARGUMENTS: dict[str, Any] = {"rows": [1, 2, 3], "features": {"age": 41}}
RESULT: dict[str, Any] = {
    "scores": [{"probability": 0.83}],
    "usage": {"prompt_tokens": 7, "completion_tokens": 5, "reasoning_tokens": 2},
    "label": "cat",
    "items": ["shoe"],
    "added": ["a", "b"],
    "basket": {"total": 12.5},
}
BASELINE = Baseline(
    "shop",
    None,
    (
        NumericSignal("input", "age", (40.0,), (30.0, 50.0), (0.5, 0.5, 0.0), 40.0, 10.0, 100),
        CategoricalSignal("output", "prediction", ("cat", "dog"), (0.5, 0.5, 0.0, 0.0), 100),
        NumericSignal("business", "basket_value", (10.0,), (5.0, 20.0), (0.5, 0.5, 0.0), 12.0, 4.0, 100),
    ),
    "2026-01-01T00:00:00Z",
)


class RecordedCall:
    """Takes what a call takes, and remembers it."""

    def __init__(self) -> None:
        self.seen: dict[str, Any] = {}
        self.predictions: dict[str, Any] = {}
        self.events: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Callable[[Any], None]:
        if name not in ("confidence", "items", "features", "business", "result"):
            raise AttributeError(name)
        return functools.partial(self.seen.__setitem__, name)

    def tokens(self, **counts: int) -> None:
        self.seen["tokens"] = counts

    def prediction(self, values: Any, name: str = "prediction") -> None:
        self.predictions[name] = values

    def event(self, name: str, count: int = 1) -> None:
        self.events[name] += count

    def invalid(self, reason: str) -> None:
        self.reasons[reason] += 1


def observe(declared: Declared, call: RecordedCall, arguments: Mapping[str, object], result: object) -> None:
    declared.observe(cast(Call, call), arguments, result)


def observed(
    text: str, result: object = None, arguments: Mapping[str, object] = types.MappingProxyType({})
) -> RecordedCall:
    call = RecordedCall()
    observe(Declared.parse(HEAD + text), call, arguments, result)
    return call


def read(expression: str, result: object = None, **arguments: object) -> Any:
    return Expression.parse(expression).read({"result": result, "arguments": arguments})
