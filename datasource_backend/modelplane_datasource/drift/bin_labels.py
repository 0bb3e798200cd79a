"""Labels of bins: texts for people, which no program takes for numbers as it takes ``00``. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from modelplane_schema.metrics import MISSING_BIN, OTHER_BIN

_SPECIAL = {MISSING_BIN: "missing", OTHER_BIN: "other"}
_OPERATORS = ("<= ", "> ", "= ")
_DIGITS = (6, 17)  # of bounds: as few as tell them apart


def bin_labels(bins: Sequence[str], bounds: Mapping[str, float], is_numeric: bool) -> dict[str, str]:
    """The label of each of the ``bins`` of one signal, which are all different.

    ``bounds`` are the upper bounds of the bins of a numeric signal in their order, the last one infinite. A
    bin whose bound is not known is ``bin 03``.
    """
    labels = _numeric_labels(bounds) if is_numeric else {name: _category_label(name) for name in bins}
    return {name: _SPECIAL.get(name) or labels.get(name, f"bin {name}") for name in bins}


def _numeric_labels(bounds: Mapping[str, float]) -> dict[str, str]:
    finite = [bound for bound in bounds.values() if math.isfinite(bound)]
    digits = next(
        (digits for digits in _DIGITS if len({f"{bound:.{digits}g}" for bound in finite}) == len(finite)),
        _DIGITS[-1],
    )
    last = f"> {max(finite):.{digits}g}" if finite else "any number"
    return {
        name: f"<= {bound:.{digits}g}" if math.isfinite(bound) else last for name, bound in bounds.items()
    }


def _category_label(name: str) -> str:
    """A category as it is, unless it reads like a number or like the label of another bin."""
    is_ambiguous = name in _SPECIAL.values() or name.startswith(_OPERATORS) or _is_number(name)
    return f"= {name}" if is_ambiguous else name


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
