"""What one call of a framework's object says of a model: pure functions of its input and its result.

The framework's own arrays do the computing, where they are. Only one value for each row moves to the host.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from modelplane_exporter.baseline import Baseline
from modelplane_exporter.baseline.records import record
from modelplane_exporter.frameworks.predictions import Predictions, shape_of

Output = Literal["probabilities", "logits"]
OUTPUTS = ("probabilities", "logits")
# What stands for the confidence of a row whose probabilities do not sum to 1, and by how much they may
# differ: bfloat16 has 8 bits, and a quantised model 256 steps for each class.
AMBIGUOUS = -1.0
SUM_TOLERANCE = 0.02


class Reading(NamedTuple):
    """What a call says of the model; None is what it does not say.

    ``items`` counts rows, ``confidence`` and ``prediction`` have shape (rows,), ``features`` is what
    ``Call.features`` takes. ``is_ambiguous`` says that there are probabilities, but of several labels or
    outputs, so that no single one of a row is its confidence.
    """

    items: int | None = None
    confidence: Any = None
    prediction: Any = None
    features: Any = None
    is_ambiguous: bool = False


class Arrays(NamedTuple):
    """How a framework computes with its arrays.

    ``confidence`` and ``winner`` map scores of shape (rows, classes), and what the scores are, to an array of
    shape (rows,), as the functions of these names do. ``to_host`` moves such an array to the host.
    """

    is_array: Callable[[Any], bool]
    confidence: Callable[[Any, Output], Any]
    winner: Callable[[Any, Output], Any]
    to_host: Callable[[Any], Any]


def confidence(xp: Any, scores: Any, output: Output) -> Any:
    """The probability of each row's likeliest class, by the functions of ``xp`` (NumPy's or alike).

    A single column p is the probability of the second of two classes: max(p, 1 - p). Probabilities of a row
    that do not sum to 1 give ``AMBIGUOUS``. Logits go through softmax, those of a single column through the
    logistic function. No exponent is above 0: none overflows.
    """
    if scores.shape[1] == 1:
        column = scores[:, 0]
        if output == "probabilities":
            return xp.maximum(column, 1 - column)
        return 1 / (1 + xp.exp(-xp.abs(column)))
    highest = xp.amax(scores, axis=1)
    if output == "probabilities":
        return xp.where(xp.abs(xp.sum(scores, axis=1) - 1) > SUM_TOLERANCE, AMBIGUOUS, highest)
    return 1 / xp.sum(xp.exp(scores - highest[:, None]), axis=1)


def winner(xp: Any, scores: Any, output: Output) -> Any:
    """The index of each row's likeliest class; of a single column 0 or 1."""
    if scores.shape[1] == 1:
        return xp.where(scores[:, 0] > (0.5 if output == "probabilities" else 0.0), 1, 0)
    return xp.argmax(scores, axis=1)


class Reader:
    """Reads calls.

    ``output`` says what the scores in a result are, None that there are none. ``classes`` name the classes in
    the order of the scores. ``baseline`` says whether features and predictions are wanted; where its
    predictions are of another kind than the model's, a warning is logged. ``labelled`` says that the classes
    come with the result, ``regresses`` that the model returns numbers and no classes. ValueError for an
    ``output`` that does not exist.
    """

    def __init__(
        self,
        arrays: Arrays,
        output: Output | None = None,
        classes: Sequence[object] | None = None,
        baseline: Baseline | None = None,
        *,
        labelled: bool = False,
        regresses: bool = False,
    ) -> None:
        if output is not None and output not in OUTPUTS:
            raise ValueError(f"output must be None or one of {', '.join(OUTPUTS)} (got {output!r})")
        if isinstance(classes, str):
            raise ValueError(f"classes must be a sequence of names (got the text {classes!r})")
        self._arrays = arrays
        self._output = output
        self._predictions = Predictions(
            lambda scores: arrays.to_host(arrays.winner(scores, output or "probabilities")),
            baseline,
            None if classes is None else tuple(classes),
            by_index=output is not None and not labelled,
            regresses=regresses,
        )
        inputs = () if baseline is None else baseline.of_kind("input")
        self._inputs = frozenset(signal.name for signal in inputs)

    @property
    def predicts(self) -> bool:
        """Whether the baseline has a signal for predictions."""
        return self._predictions.wanted

    def read(self, given: Any, result: Any) -> Reading:
        """What a call says; ``given`` is its input, ``result`` an array or something that holds arrays."""
        features = self._features(given)
        rows = 1 if features is not None and self._is_row(given) else rows_of(given)
        values = self._values(result)
        scores = _matrix(values, rows) if self._output else None
        if self._output is None or scores is None:
            items = rows_of(values) if rows is None else rows
            return Reading(items, None, self._predictions.of_values(values), features)
        # Of an output without rows, with one axis or none, the scores say how many there are.
        items = rows if rows is not None and len(values.shape) == 2 else int(scores.shape[0])
        confidence = self._arrays.to_host(self._arrays.confidence(scores, self._output))
        if bool((confidence == AMBIGUOUS).any()):
            return Reading(items, None, None, features, is_ambiguous=True)
        predicted = self._predictions.of_scores(values, scores, self._output == "probabilities")
        return Reading(items, confidence, predicted, features)

    def _values(self, result: Any) -> Any:
        """The array in a result: that named as the output, else the first; labels may be a plain list."""
        if self._arrays.is_array(result):
            return result
        if isinstance(result, Mapping):
            return self._first([result.get(self._output), *result.values()])
        if isinstance(result, list | tuple):
            array = self._first(result)
            return result if array is None and type(result) is list else array
        return self._first([getattr(result, self._output or "", None)])

    def _first(self, values: Sequence[Any]) -> Any:
        return next((value for value in values if self._arrays.is_array(value)), None)

    def _features(self, given: Any) -> Any:
        """The input when it is tabular."""
        if not self._inputs or given is None:
            return None
        if isinstance(given, Mapping):
            return None if self._inputs.isdisjoint(given) else given
        if hasattr(given, "columns"):
            return given
        names = _names_in(given)
        if names is not None and not self._inputs.isdisjoint(names):
            return given
        shape, width = shape_of(given), len(self._inputs)
        is_column = width == 1 and len(shape) == 1
        return given if is_column or (len(shape) in (1, 2) and shape[-1] == width) else None

    def _is_row(self, given: Any) -> bool:
        """Whether features are one row: an array of one axis for several signals, or scalars by name."""
        if isinstance(given, Mapping):
            return not any(shape_of(value) or isinstance(value, list | tuple) for value in given.values())
        row = record(given)
        if row is not None and not self._inputs.isdisjoint(row):
            return True
        return _names_in(given) is None and len(shape_of(given)) == 1 and len(self._inputs) > 1


def first_input(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """The first argument that holds data: an array, frame, mapping, list or tuple; None when none does.

    Generators and data sets are no data: reading them would use them up.
    """
    return next((value for value in (*args, *kwargs.values()) if _holds_data(value)), None)


def rows_of(value: Any) -> int | None:
    """The number of rows in an input or a result; None when that is not known.

    A list is a batch. A tuple or mapping holds several inputs, of which the first counts.
    """
    if isinstance(value, list):
        return len(value)
    if isinstance(value, tuple):
        return rows_of(value[0]) if value else None
    shape = shape_of(value)
    if shape:
        return int(shape[0])
    return rows_of(tuple(value.values())) if isinstance(value, Mapping) else None


def _holds_data(value: Any) -> bool:
    # The shape first: to ask whether an array is a Mapping takes as long as the rest of reading it.
    return bool(shape_of(value)) or isinstance(value, list | tuple | Mapping) or record(value) is not None


def _names_in(given: Any) -> Iterable[str] | None:
    """The names in a record, in the first of a list of records, or in a structured array."""
    fields: tuple[str, ...] | None = getattr(getattr(given, "dtype", None), "names", None)
    if fields:
        return fields
    return record(given[0] if isinstance(given, list) and given else given)


def _matrix(values: Any, rows: int | None) -> Any:
    """Scores as (rows, classes); None for more axes. One axis is a column, unless ``rows`` differ."""
    if not hasattr(values, "shape"):
        return None
    axes = len(values.shape)
    if axes == 0:
        return values[None, None]
    if axes == 1:
        return values[:, None] if rows in (None, int(values.shape[0])) else values[None, :]
    return values if axes == 2 else None
