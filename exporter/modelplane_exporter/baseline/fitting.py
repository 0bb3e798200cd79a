"""Fitting a baseline to training data, in memory or read in chunks from files larger than memory."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from modelplane_exporter.baseline.fit_categorical import CategoricalFit, Counts
from modelplane_exporter.baseline.fit_columns import SignalColumns, columns_of
from modelplane_exporter.baseline.fit_numeric import Numbers, NumericFit, Times
from modelplane_exporter.baseline.model import BaselineError, Signal

Key = tuple[str, str]
"""Kind and name of a signal."""
Chunk = Mapping[Key, Numbers | Times | Counts]
"""Some rows of signals: numbers or times (not finite: missing), or counts by category (None: missing)."""

# For the samples of all numeric signals together; each value takes twice its 8 bytes and 8 of its key.
_SAMPLE_BYTES = 64 << 20
_BYTES_OF_A_VALUE = 32
_LEAST_SAMPLE = 1000

_SALT = re.compile(r"([0-9a-fA-F]{2}){8,64}")


class _SignalFit(Protocol):
    @property
    def is_empty(self) -> bool: ...

    def survey(self, values: Any, /) -> None: ...

    def settle(self) -> None: ...

    def count(self, values: Any, /) -> None: ...

    def signal(self) -> Signal: ...


def fit(
    groups: Mapping[str, Any],
    *,
    names: Sequence[str] | None = None,
    categorical: Iterable[str] = (),
    hashed: Iterable[str] = (),
    salt: str | None = None,
) -> tuple[tuple[Signal, ...], str]:
    """Signals fitted to data in memory, and their salt; ``groups`` maps kinds of signals to data or None.

    See ``Baseline.fit``. BaselineError names the field and what is allowed.
    """
    hide = _names_in(hashed, "hashed")
    as_categories = _names_in(categorical, "categorical")
    read = [
        columns_of(kind, data, names if kind == "input" else None, as_categories | hide)
        for kind, data in groups.items()
        if data is not None
    ]
    keys = [(group.kind, name) for group in read for name in group.columns]
    for field, wanted in (("categorical", as_categories), ("hashed", hide)):
        _refuse_unknown(field, wanted, keys)
    hashed_keys = [key for key in keys if key[1] in hide]
    return fit_chunks(lambda: _all_chunks(read), keys, hashed=hashed_keys, salt=salt)


def fit_chunks(
    chunks: Callable[[], Iterable[Chunk]],
    signals: Sequence[Key],
    *,
    hashed: Collection[Key] = (),
    salt: str | None = None,
    left_out: Callable[[Key], None] | None = None,
) -> tuple[tuple[Signal, ...], str]:
    """``signals`` fitted to data in chunks, and their salt; see ``Baseline.fit_chunks``."""
    if not signals:
        raise BaselineError("there must be at least one of features, prediction, business and activations")
    salt = _valid_salt(salt) if hashed else ""
    sample = max(_LEAST_SAMPLE, _SAMPLE_BYTES // _BYTES_OF_A_VALUE // len(signals))
    fits = _surveyed(chunks(), sample, salt, hashed)
    if absent := [name for kind, name in signals if (kind, name) not in fits]:
        raise BaselineError(f"{absent[0]!r} must have at least one row")
    if left_out is not None:
        fits = _without_empty(fits, left_out)
    for fit_of_signal in fits.values():
        fit_of_signal.settle()
    for chunk in chunks():
        for key, values in chunk.items():
            if key in fits:
                fits[key].count(values)
    return tuple(fits[key].signal() for key in signals if key in fits), salt


def _surveyed(
    chunks: Iterable[Chunk], sample: int, salt: str, hashed: Collection[Key]
) -> dict[Key, _SignalFit]:
    """A fit for each signal after the first pass."""
    fits: dict[Key, _SignalFit] = {}
    for chunk in chunks:
        for key, values in chunk.items():
            if key not in fits:
                fits[key] = _new_fit(key, values, sample, salt if key in hashed else "")
            _refuse_mixture(key, fits[key], values)
            fits[key].survey(values)
    return fits


def _without_empty(fits: dict[Key, _SignalFit], left_out: Callable[[Key], None]) -> dict[Key, _SignalFit]:
    for key, fitted in fits.items():
        if fitted.is_empty:
            left_out(key)
    filled = {key: fitted for key, fitted in fits.items() if not fitted.is_empty}
    if not filled:
        raise BaselineError("no signal has a value in any row")
    return filled


def _all_chunks(groups: Iterable[SignalColumns]) -> Iterator[Chunk]:
    for group in groups:
        yield from group.chunks()


def _new_fit(key: Key, values: Numbers | Times | Counts, sample: int, salt: str) -> _SignalFit:
    kind, name = key
    if isinstance(values, Mapping):
        return CategoricalFit(kind, name, salt)
    return NumericFit(kind, name, sample)


def _refuse_mixture(key: Key, fitted: _SignalFit, values: Numbers | Times | Counts) -> None:
    if isinstance(fitted, CategoricalFit) != isinstance(values, Mapping):
        raise BaselineError(f"{key[0]} {key[1]!r}: holds numbers in one part of the data, texts in another")


def _names_in(names: Iterable[str], field: str) -> frozenset[str]:
    if isinstance(names, str):
        raise BaselineError(f"{field} must be several names, not one text (got {names!r})")
    return frozenset(names)


def _refuse_unknown(field: str, names: Collection[str], keys: Iterable[Key]) -> None:
    known = [name for _, name in keys]
    for name in sorted(set(names) - set(known)):
        some = ", ".join(map(repr, known[:10])) + (", ..." if len(known) > 10 else "")
        raise BaselineError(f"{field}: there is no column {name!r}; there are {some}")


def _valid_salt(salt: str | None) -> str:
    if salt is None:
        return secrets.token_hex(16)
    if not isinstance(salt, str) or not _SALT.fullmatch(salt):
        raise BaselineError("salt must be 16 to 128 hexadecimal digits, an even number of them")
    return salt.lower()
