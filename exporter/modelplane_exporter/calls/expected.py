"""How a call that raised has ended: failed, rejected by an exception that is expected, or cancelled."""

from __future__ import annotations

from collections.abc import Callable

from modelplane_exporter.measurement.identity_state import FAILED, WAS_CANCELLED, WAS_REJECTED
from modelplane_exporter.measurement.observation import Observation
from modelplane_exporter.rate_limited_log import log_failure

IsExpected = Callable[[Exception], bool]
Expected = type[Exception] | tuple[type[Exception], ...] | IsExpected


def is_expected(expected: object) -> IsExpected | None:
    """What says whether an exception is expected, None when none is; ValueError for anything else."""
    if isinstance(expected, type):
        expected = (expected,)
    if isinstance(expected, list | tuple | set | frozenset):
        types = tuple(expected)
        if not all(isinstance(kind, type) and issubclass(kind, Exception) for kind in types):
            raise ValueError(f"expected must hold types of Exception only (got {expected!r})")
        return (lambda error: isinstance(error, types)) if types else None
    if callable(expected):
        return expected
    raise ValueError(
        "expected must be a type of Exception, a tuple of types, or a function of an exception "
        f"(got {expected!r})"
    )


def outcome_of(error: BaseException, is_expected: IsExpected | None) -> Observation:
    """How the call ended that raised ``error``; an ``is_expected`` that raises itself leaves it a failure."""
    if not isinstance(error, Exception):
        return WAS_CANCELLED
    if is_expected is not None:
        try:
            if is_expected(error):
                return WAS_REJECTED
        except Exception as failure:  # noqa: BLE001 - it is the team's function
            log_failure("the function `expected` failed", failure)
    return FAILED
