"""The training baseline of a model: per signal its bins, their shares, and its moments.

A baseline is frozen data and one JSON file. Reading it needs nothing but Python; fitting it and observing
signals against it need NumPy (extra ``signals``).
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
import os
import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelplane_schema.metrics import MISSING_BIN, OTHER_BIN, SIGNAL_KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence

FORMAT = "modelplane-baseline/1"
MOST_BINS = 10
MOST_CATEGORIES = 20

_SALT = re.compile("([0-9a-fA-F]{2}){0,64}")
_SURROGATE = re.compile("[\ud800-\udfff]")


class BaselineError(ValueError):
    """A baseline cannot be used; the text names the file or field and what is allowed."""


@dataclass(frozen=True, slots=True)
class NumericSignal:
    """A numeric signal in training data.

    ``edges`` are the inner edges of its bins, ascending: bin i holds ``edges[i-1] <= x < edges[i]``, the
    outer bins are open. ``ratios`` has the share of each bin and last that of missing values; ``centers`` the
    mean of each bin, None where it is empty. ``observations`` counts missing values too, ``mean`` and
    ``stddev`` (population) do not know them.
    """

    kind: str
    name: str
    edges: tuple[float, ...]
    centers: tuple[float | None, ...]
    ratios: tuple[float, ...]
    mean: float
    stddev: float
    observations: int

    @property
    def bins(self) -> tuple[str, ...]:
        """Values of the label ``bin``, in the order of ``ratios``."""
        return (*(f"{index:02d}" for index in range(len(self.edges) + 1)), MISSING_BIN)

    @property
    def upper_bounds(self) -> tuple[float, ...]:
        """The upper edge of each bin but the missing one; that of the last is infinite."""
        return (*self.edges, math.inf)

    @property
    def has_deviation(self) -> bool:
        """Whether a deviation from the mean can be told in standard deviations."""
        return self.stddev > 0


@dataclass(frozen=True, slots=True)
class CategoricalSignal:
    """A categorical signal in training data.

    ``categories`` are its most frequent values as texts; ``ratios`` has the share of each, then of all
    others, last of missing values. With ``hashed`` the categories are digests of the values.
    """

    kind: str
    name: str
    categories: tuple[str, ...]
    ratios: tuple[float, ...]
    observations: int
    hashed: bool = False

    @property
    def bins(self) -> tuple[str, ...]:
        """Values of the label ``bin``, in the order of ``ratios``."""
        return (*self.categories, OTHER_BIN, MISSING_BIN)


Signal = NumericSignal | CategoricalSignal
_TYPES: Mapping[str, type[Signal]] = {"numeric": NumericSignal, "categorical": CategoricalSignal}


@dataclass(frozen=True)
class Baseline:
    """What a model's signals looked like in training. BaselineError when the parts do not fit together.

    ``model_version`` is None when the baseline holds for every version of the model. ``created`` is a time
    as RFC 3339. ``salt`` (hexadecimal) goes into the digests of hashed categories.
    """

    model_name: str
    model_version: str | None
    signals: tuple[Signal, ...]
    created: str
    salt: str = ""

    def __post_init__(self) -> None:
        for field in ("model_name", "model_version", "created"):
            value = getattr(self, field)
            if not _is_text(value) and not (field == "model_version" and value is None):
                raise BaselineError(f"{field} must be a non-empty text (got {value!r})")
        if not self.signals:
            raise BaselineError("signals must name at least one signal")
        for index, signal in enumerate(self.signals):
            _check(signal, f"signals[{index}]")
        names = Counter((signal.kind, signal.name) for signal in self.signals)
        (key, count), *_ = names.most_common(1)
        if count > 1:
            raise BaselineError(f"signals: {key[0]} {key[1]!r} occurs {count} times")
        hashed = any(isinstance(signal, CategoricalSignal) and signal.hashed for signal in self.signals)
        if not isinstance(self.salt, str) or not _SALT.fullmatch(self.salt) or (hashed and not self.salt):
            raise BaselineError("salt must be up to 128 hexadecimal digits, at least 2 with a hashed signal")

    def __hash__(self) -> int:
        return hash(self.fingerprint)  # quick, so that a baseline can be the key of caches

    @functools.cached_property
    def fingerprint(self) -> str:
        """64 hex digits that tell the signals apart, whoever fitted them and when."""
        content = [_signal_to_json(signal) for signal in self.signals]
        return hashlib.sha256(json.dumps([FORMAT, content, self.salt], sort_keys=True).encode()).hexdigest()

    @property
    def label(self) -> str:
        """The value of the label ``baseline``."""
        return self.fingerprint[:8]

    def of_kind(self, kind: str) -> tuple[Signal, ...]:
        """The signals of one kind, in their order."""
        return tuple(signal for signal in self.signals if signal.kind == kind)

    @classmethod
    def fit(
        cls,
        model_name: str,
        features: Any = None,
        *,
        model_version: str | None = None,
        prediction: Any = None,
        business: Any = None,
        activations: Any = None,
        names: Sequence[str] | None = None,
        categorical: Iterable[str] = (),
        hashed: Iterable[str] = (),
        salt: str | None = None,
    ) -> Baseline:
        """Fit a baseline to training data. Needs NumPy.

        Each of ``features``, ``prediction``, ``business`` and ``activations`` is a mapping of names to
        columns, a pandas or polars frame, or a 2-D array of shape (rows, signals); ``names`` names the
        columns of a features array. A 1-D ``prediction`` is one signal called "prediction". Numbers and dates
        are numeric, texts and truth values categorical; ``categorical`` names numeric signals to take as
        categories, ``hashed`` those whose values must not be readable. BaselineError for other data.
        """
        from modelplane_exporter.fitting import fit

        groups = {"input": features, "output": prediction, "business": business, "activation": activations}
        return fit(
            model_name,
            groups,
            model_version=model_version,
            names=names,
            categorical=categorical,
            hashed=hashed,
            salt=salt,
        )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Baseline:
        """Read a baseline file. BaselineError names the file, the place in it and what is allowed."""
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BaselineError(f"{path}: cannot be read: {error}") from error
        try:
            return cls.from_json(text)
        except BaselineError as error:
            raise BaselineError(f"{path}: {error}") from error

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file, at once or not at all; OSError when that fails."""
        target = Path(path)
        part = target.with_name(f"{target.name}.{os.getpid()}.part")
        try:
            part.write_text(self.to_json(), encoding="utf-8")
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)

    def to_json(self) -> str:
        """The text of the file."""
        content = {
            "format": FORMAT,
            "fingerprint": self.fingerprint,
            "created": self.created,
            "model_name": self.model_name,
            "model_version": self.model_version,
            "salt": self.salt,
            "signals": [_signal_to_json(signal) for signal in self.signals],
        }
        return json.dumps(content, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Baseline:
        """The baseline in the text of a file; BaselineError names the place and what is allowed."""
        content = _object(_parsed(text), "the file")
        if content.get("format") != FORMAT:
            raise BaselineError(f"format must be {FORMAT!r} (got {content.get('format')!r})")
        signals = content.get("signals")
        if not isinstance(signals, list):
            raise BaselineError("signals must be a list")
        baseline = cls(
            content.get("model_name", ""),
            content.get("model_version"),
            tuple(_signal_from_json(signal, f"signals[{i}]") for i, signal in enumerate(signals)),
            content.get("created", ""),
            content.get("salt", ""),
        )
        if content.get("fingerprint") != baseline.fingerprint:
            raise BaselineError(
                "fingerprint does not match the signals: the file was changed after it was written; "
                "fit it again"
            )
        return baseline


def _signal_to_json(signal: Signal) -> dict[str, Any]:
    kind = "numeric" if isinstance(signal, NumericSignal) else "categorical"
    return {"type": kind, **dataclasses.asdict(signal)}


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError: also a number of thousands of digits
        raise BaselineError(f"not JSON: {error}") from error


def _signal_from_json(content: Any, place: str) -> Signal:
    fields = dict(_object(content, place))
    signal_type = _TYPES.get(str(fields.pop("type", "")))
    if signal_type is None:
        raise BaselineError(f"{place}.type must be one of {', '.join(_TYPES)}")
    expected = {field.name for field in dataclasses.fields(signal_type)}
    if set(fields) != expected:
        raise BaselineError(f"{place} must have exactly the keys type, {', '.join(sorted(expected))}")
    for name, value in fields.items():
        if isinstance(value, list):
            fields[name] = tuple(value)
    return signal_type(**fields)


def _check(signal: Signal, place: str) -> None:
    """BaselineError unless the fields have their types and lengths."""
    place = f"{place} ({signal.name!r})"
    if signal.kind not in SIGNAL_KINDS:
        raise BaselineError(f"{place}: kind must be one of {', '.join(SIGNAL_KINDS)} (got {signal.kind!r})")
    if not _is_text(signal.name):
        raise BaselineError(f"{place}: name must be a non-empty text")
    if type(signal.observations) is not int or not 1 <= signal.observations < 2**53:
        raise BaselineError(f"{place}: observations must be a whole number from 1 on")
    if isinstance(signal, NumericSignal):
        _check_numeric(signal, place)
    else:
        _check_categorical(signal, place)
    ratios = signal.ratios
    if not _are_numbers(ratios) or len(ratios) != len(signal.bins):
        raise BaselineError(f"{place}: ratios must have {len(signal.bins)} numbers, one for each bin")
    if min(ratios) < 0 or max(ratios) > 1 or abs(math.fsum(ratios) - 1) > 1e-9:
        raise BaselineError(f"{place}: ratios must be shares that add up to 1")


def _check_numeric(signal: NumericSignal, place: str) -> None:
    edges, centers = signal.edges, signal.centers
    if not _are_numbers(edges) or len(edges) >= MOST_BINS or list(edges) != sorted(set(edges)):
        raise BaselineError(f"{place}: edges must be up to {MOST_BINS - 1} ascending numbers")
    known = tuple(center for center in centers if center is not None) if type(centers) is tuple else None
    if not _are_numbers(known) or len(centers) != len(edges) + 1:
        raise BaselineError(f"{place}: centers must have {len(edges) + 1} numbers or nulls")
    if not _are_numbers((signal.mean, signal.stddev)) or signal.stddev < 0:
        raise BaselineError(f"{place}: mean and stddev must be numbers, stddev not negative")


def _check_categorical(signal: CategoricalSignal, place: str) -> None:
    categories = signal.categories
    are_texts = type(categories) is tuple and all(value == "" or _is_text(value) for value in categories)
    if not are_texts or len(set(signal.bins)) < len(signal.bins) or len(categories) > MOST_CATEGORIES:
        raise BaselineError(
            f"{place}: categories must be up to {MOST_CATEGORIES} distinct texts other than "
            f"{OTHER_BIN} and {MISSING_BIN}"
        )
    if type(signal.hashed) is not bool:
        raise BaselineError(f"{place}: hashed must be true or false")


def _are_numbers(values: Any) -> bool:
    """Whether ``values`` is a tuple of numbers that are finite as floats."""
    largest = sys.float_info.max
    return type(values) is tuple and all(
        type(value) in (float, int) and -largest <= value <= largest for value in values
    )


def _is_text(value: Any) -> bool:
    """Whether ``value`` can be the value of a label: not empty, and without surrogates it fits in UTF-8."""
    return isinstance(value, str) and bool(value) and not _SURROGATE.search(value)


def _object(content: Any, place: str) -> Mapping[str, Any]:
    if not isinstance(content, dict):
        raise BaselineError(f"{place} must be a JSON object")
    return content
