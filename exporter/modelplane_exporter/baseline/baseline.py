"""The training baseline of a model: per signal its bins, their shares, and its moments.

A baseline is frozen data and one JSON file. Reading it needs nothing but Python; fitting it and observing
signals against it need NumPy (extra ``signals``).
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelplane_exporter.baseline.model import (
    BaselineError,
    CategoricalSignal,
    NumericSignal,
    Signal,
    check_signal,
    is_text,
)
from modelplane_schema.files import replace_file

if TYPE_CHECKING:
    from modelplane_exporter.baseline.fitting import Chunk, Key

FORMAT = "modelplane-baseline/1"

_SALT = re.compile("([0-9a-fA-F]{2}){0,64}")


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
            if not is_text(value) and not (field == "model_version" and value is None):
                raise BaselineError(f"{field} must be a non-empty text (got {value!r})")
        if not self.signals:
            raise BaselineError("signals must name at least one signal")
        for index, signal in enumerate(self.signals):
            check_signal(signal, f"signals[{index}]")
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
        """64 hex digits that differ when the signals do, whoever fitted them and when."""
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
        model: Any = None,
        business: Any = None,
        activations: Any = None,
        names: Sequence[str] | None = None,
        categorical: Iterable[str] = (),
        hashed: Iterable[str] = (),
        salt: str | None = None,
    ) -> Baseline:
        """Fit a baseline to training data. Needs NumPy.

        Each of ``features``, ``prediction``, ``business`` and ``activations`` is a mapping of names to
        columns, a pandas or polars frame, a table of Arrow, a structured array, a list of records (mappings,
        dataclasses, pydantic models, named tuples), or a 2-D array of shape (rows, signals); ``names`` names
        the columns of a features array.

        A 1-D ``prediction`` is one signal called "prediction". It is what the model returned, not the true
        labels, which differ wherever the model errs. ``model`` makes it: an object with a method ``predict``,
        or a function of the features such as the method that the service calls.

        Numbers and dates are numeric, texts and truth values categorical, and so are predictions of at most
        20 whole numbers. ``categorical`` names numeric signals to take as categories, ``hashed`` those whose
        values must not be readable. BaselineError for other data.
        """
        from modelplane_exporter.baseline.fitting import fit

        if model is not None:
            from modelplane_exporter.baseline.model_outputs import predictions_of

            if prediction is not None or features is None:
                raise BaselineError("model goes with features and instead of prediction: it makes it of them")
            prediction = predictions_of(model, features)
        groups = {"input": features, "output": prediction, "business": business, "activation": activations}
        fitted, salt = fit(groups, names=names, categorical=categorical, hashed=hashed, salt=salt)
        return cls(model_name, model_version, fitted, _now(), salt)

    @classmethod
    def fit_chunks(
        cls,
        model_name: str,
        chunks: Callable[[], Iterable[Chunk]],
        signals: Sequence[Key],
        *,
        model_version: str | None = None,
        hashed: Collection[Key] = (),
        salt: str | None = None,
        left_out: Callable[[Key], None] | None = None,
    ) -> Baseline:
        """Fit a baseline to ``signals`` that come in chunks, from files larger than memory. Needs NumPy.

        ``chunks`` is called twice and gives the same each time. ``hashed`` names categorical signals whose
        categories must not be readable. ``left_out`` gets each signal that has no value in any row, which
        then is not in the baseline. BaselineError for data that no baseline can be fitted to; without
        ``left_out`` a numeric signal without values is an error.
        """
        from modelplane_exporter.baseline.fitting import fit_chunks

        fitted, salt = fit_chunks(chunks, signals, hashed=hashed, salt=salt, left_out=left_out)
        return cls(model_name, model_version, fitted, _now(), salt)

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
        replace_file(Path(path), self.to_json().encode())

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


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _signal_to_json(signal: Signal) -> dict[str, Any]:
    kind = "numeric" if isinstance(signal, NumericSignal) else "categorical"
    content = {"type": kind, **dataclasses.asdict(signal)}
    # A file written before there was this key, and its fingerprint, stay valid.
    return {key: value for key, value in content.items() if key != "is_time" or value}


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
    if set(fields) | {"is_time"} & expected != expected:
        raise BaselineError(f"{place} must have exactly the keys type, {', '.join(sorted(expected))}")
    for name, value in fields.items():
        if isinstance(value, list):
            fields[name] = tuple(value)
    return signal_type(**fields)


def _object(content: Any, place: str) -> Mapping[str, Any]:
    if not isinstance(content, dict):
        raise BaselineError(f"{place} must be a JSON object")
    return content
