"""Who calls, in tests that make no request."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from modelplane_datasource.tenancy.caller import ANYONE, NOBODY, Caller, set_caller


def called_by(*tenants: str) -> contextlib.AbstractContextManager[None]:
    """Within it the caller may see ``tenants``, afterwards nothing."""
    return _calling(Caller("somebody", "tenant", tenants))


def called_by_operator() -> contextlib.AbstractContextManager[None]:
    """Within it the caller may see everything."""
    return _calling(ANYONE)


@contextlib.contextmanager
def _calling(caller: Caller) -> Iterator[None]:
    set_caller(caller)
    try:
        yield
    finally:
        set_caller(NOBODY)
