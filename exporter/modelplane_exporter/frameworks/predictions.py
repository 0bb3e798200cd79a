"""What a call predicts, in the form in which the baseline's signal "prediction" has it.

A baseline holds classes (categorical) or numbers. Where the model returns the other kind nothing could be
compared, which is said when the model is wrapped.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, Literal

from modelplane_exporter.baseline import Baseline, CategoricalSignal, NumericSignal, Signal
from modelplane_exporter.baseline.texts import category_key, number_in
from modelplane_exporter.rate_limited_log import rate_limited

PREDICTION = "prediction"
_REMEDY = (
    "fit it to what the model returns, not to labels: Baseline.fit(..., model=model), "
    "or modelplane baseline fit --predictions COLUMN"
)

# Classes by name or index; whole numbers that are classes; the probability of the second of two classes; a
# number.
Form = Literal["classes", "class numbers", "score", "numbers", "none"]


class Predictions:
    """Predictions of one wrapped model.

    ``winner`` maps scores of shape (rows, classes) to the index of each row's likeliest class, on the host.
    ``classes`` name them, None when that is not known: then, if ``by_index``, they are told by their indexes.
    ``regresses`` says that the model returns no classes.
    """

    def __init__(
        self,
        winner: Callable[[Any], Any],
        baseline: Baseline | None,
        classes: Sequence[object] | None,
        *,
        by_index: bool,
        regresses: bool,
    ) -> None:
        self._winner = winner
        self._classes = classes
        outputs = () if baseline is None else baseline.of_kind("output")
        self._signal: Signal | None = next((signal for signal in outputs if signal.name == PREDICTION), None)
        self._form = _form(self._signal, classes)
        if self._signal is not None:
            difference = _difference(self._signal, self._form, classes, by_index, regresses)
            if difference:
                _warn(difference)

    @property
    def wanted(self) -> bool:
        """Whether the baseline has a signal for predictions."""
        return self._signal is not None

    def of_scores(self, values: Any, scores: Any, are_probabilities: bool) -> Any:
        """What scores of shape (rows, classes) predict; ``values`` is the result that they are."""
        if self._form == "none":
            return None
        if self._form == "numbers":
            column = column_of(values)
            if column is None:
                _warn("the model returns several scores for each row, where the baseline has one number")
            return column
        if self._form == "score":
            has_both = are_probabilities and scores.shape[1] == 2
            return scores[:, 1] if has_both else column_of(values)
        index = self._winner(scores)
        if self._classes is None:
            return index
        return [self._classes[i] for i in index.tolist()]

    def of_values(self, values: Any) -> Any:
        """What a result without scores predicts."""
        return None if self._form in ("none", "score") else column_of(values)


def column_of(values: Any) -> Any:
    """Values as (rows,); None when there are several for each row."""
    shape = shape_of(values)
    if len(shape) == 2 and shape[1] == 1 and not isinstance(values, list):
        return values[:, 0]
    return values if len(shape) < 2 else None


def shape_of(value: Any) -> tuple[Any, ...]:
    """The shape of an array, frame or nested list; () of anything else."""
    if isinstance(value, list | tuple):
        return (len(value), *shape_of(value[0])) if value else ()
    shape = getattr(value, "shape", ())
    return () if callable(shape) else tuple(shape)


def _form(signal: Signal | None, classes: Sequence[object] | None) -> Form:
    if signal is None:
        return "none"
    if isinstance(signal, CategoricalSignal):
        return "classes"
    if classes is None:
        return "numbers"
    centers = [center for center in signal.centers if center is not None]
    # Probabilities of the second of two classes, and not 0 and 1 alone.
    if len(classes) == 2 and all(0 <= center <= 1 for center in centers) and not {0, 1}.issuperset(centers):
        return "score"
    numbers = [number_in(text) for text in _texts(classes)]
    are_within = all(
        None not in numbers and min(numbers) <= center <= max(numbers)  # type: ignore[type-var,operator]
        for center in centers
    )
    return "class numbers" if are_within else "none"


def _difference(
    signal: Signal, form: Form, classes: Sequence[object] | None, by_index: bool, regresses: bool
) -> str | None:
    """In which way the baseline's prediction and what the model returns differ in kind."""
    if isinstance(signal, NumericSignal):
        return f"the model returns the classes {_some(classes)}, the baseline has numbers" * (form == "none")
    known = _keys(signal.categories)
    if regresses:
        return f"the model returns numbers, the baseline has the classes {_some(signal.categories)}"
    if signal.hashed:
        return None
    if classes is not None and known.isdisjoint(_keys(_texts(classes))):
        return f"the model returns the classes {_some(classes)}, the baseline has {_some(signal.categories)}"
    if classes is None and by_index and not any(map(str.isdecimal, known)):
        return f"the model returns indexes, for want of classes=, the baseline has {_some(signal.categories)}"
    return None


def _texts(classes: Sequence[object]) -> list[str]:
    from modelplane_exporter.baseline.values import category

    return [text for text in map(category, classes) if text is not None]


def _keys(categories: Sequence[str]) -> set[str]:
    """Categories as what their spellings have in common; truth values as 0 and 1, which they may be, too."""
    digits = {"true": "1", "false": "0"}
    return {digits.get(key, key) for key in map(category_key, categories)}


def _some(classes: Sequence[object] | None) -> str:
    names = [str(name) for name in classes or ()]
    return ", ".join(map(repr, names[:5])) + (", ..." if len(names) > 5 else "")


def _warn(difference: str) -> None:
    rate_limited.log(
        logging.WARNING, difference, "signal prediction is not comparable: %s; %s", difference, _REMEDY
    )
