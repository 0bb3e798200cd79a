"""Declared values: a model's YAML file says where confidence, items, tokens, signals and events are.

Every expression is JMESPath on ``{"result": what the function returned, "arguments": {name: value}}``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelplane_exporter.baseline import CategoricalSignal
from modelplane_exporter.declared import file
from modelplane_exporter.declared.expressions import Expression
from modelplane_exporter.declared.file import DeclaredError, Event
from modelplane_exporter.declared.reader import CONFIDENCE_MISSING, ValueReader, binder_of, whole_number
from modelplane_schema.metrics import TOKEN_KINDS

if TYPE_CHECKING:
    from modelplane_exporter.baseline import Baseline
    from modelplane_exporter.calls.call import Call


@dataclass(frozen=True, slots=True)
class Declared:
    """Where a model's values are; ``load`` reads it from a file.

    ``prediction`` maps signals of the baseline to expressions, ``values`` business values, ``tokens`` kinds
    of tokens.
    """

    source: str
    confidence: Expression | None = None
    items: Expression | None = None
    tokens: Mapping[str, Expression] = field(default_factory=dict)
    features: Expression | None = None
    prediction: Mapping[str, Expression] = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    values: Mapping[str, Expression] = field(default_factory=dict)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Declared:
        """Read a file. DeclaredError names it, the place in it and what is allowed."""
        return cls.parse(file.text_of(Path(path)), str(path))

    @classmethod
    def parse(cls, text: str, source: str = "declared values") -> Declared:
        """What the text of a file declares; ``source`` names it in errors."""
        document = file.document_of(text, source)
        try:
            content = file.content_of(document)
            return cls(
                source,
                confidence=file.optional_expression(content, "confidence"),
                items=file.optional_expression(content, "items"),
                tokens=file.expressions(content.get("tokens", {}), "tokens", TOKEN_KINDS),
                features=file.optional_expression(content, "features"),
                prediction=file.prediction(content.get("prediction", {})),
                events=file.events_of(content.get("events", [])),
                values=file.expressions(content.get("values", {}), "values"),
            )
        except ValueError as error:
            raise DeclaredError(f"{source}: {error}") from error

    @property
    def event_names(self) -> tuple[str, ...]:
        """The events that may be counted."""
        return tuple(event.name for event in self.events)

    def values_that_add_up(self, baseline: Baseline | None) -> tuple[str, ...]:
        """Names of business values, without those that are categories in the baseline."""
        signals = () if baseline is None else baseline.of_kind("business")
        categories = {signal.name for signal in signals if isinstance(signal, CategoricalSignal)}
        return tuple(name for name in self.values if name not in categories)

    def check(self, baseline: Baseline | None) -> None:
        """DeclaredError unless ``baseline`` has the features and predictions that are declared."""
        if self.features is not None and not (baseline and baseline.of_kind("input")):
            raise DeclaredError(f"{self.source}: features needs a baseline with signals of kind input")
        names = [signal.name for signal in baseline.of_kind("output")] if baseline else []
        for name in self.prediction:
            if name not in names:
                raise DeclaredError(
                    f"{self.source}: prediction: {name!r} must be a signal of kind output in the baseline; "
                    f"allowed: {', '.join(names) or 'none, because there is no such signal'}"
                )

    def observe(self, call: Call, arguments: Mapping[str, Any], result: Any) -> None:
        """Hand to ``call`` what is declared. A value that is missing or of the wrong type is counted.

        Confidence that is not declared is where the exporter expects it in every result.
        """
        if self.confidence is None:
            call.result(result)
        reader = ValueReader(call, {"result": result, "arguments": arguments})
        reader.hand(call.confidence, self.confidence, missing=CONFIDENCE_MISSING)
        reader.hand(call.items, self.items, whole_number)
        tokens = reader.read_all(self.tokens, whole_number)
        if tokens:
            call.tokens(**tokens)
        reader.hand(call.features, self.features)
        for name, value in reader.read_all(self.prediction).items():
            call.prediction(value, name)
        values = reader.read_all(self.values)
        if values:
            call.business(values)
        for event in self.events:
            times = reader.read(event.expression, event.times)
            if times:
                call.event(event.name, times)

    binder = staticmethod(binder_of)
