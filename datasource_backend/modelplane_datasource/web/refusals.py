"""Requests that are refused because too many of their kind wait already, or because they waited too long."""

from __future__ import annotations

from flask import request

from modelplane_datasource.errors import ApiError
from modelplane_datasource.tenancy.caller import NOBODY, set_caller

REFUSED = "modelplane.refused"  # key of the environment of a request that is to be refused
RETRY_AFTER = {"Retry-After": "1"}


def refuse_overload() -> None:
    """503 for a request that the server marked; it belongs before the request is looked at."""
    if request.environ.get(REFUSED):
        set_caller(NOBODY)  # its token is not looked at
        raise ApiError(503, "overloaded", "Too many requests wait; try again.", headers=RETRY_AFTER)
