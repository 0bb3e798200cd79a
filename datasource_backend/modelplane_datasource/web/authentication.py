"""Which role may call which route; everything else is refused before its view runs."""

from __future__ import annotations

from collections.abc import Callable

from flask import request

from modelplane_datasource.errors import ApiError
from modelplane_datasource.tenancy.caller import ANYONE, NOBODY, Caller, Role, set_caller
from modelplane_datasource.tenancy.tokens import (
    Gatekeeper,
)

OPEN_PATHS = ("/healthz", "/readyz", "/runbooks")
WRITER_CALLS = (("POST", "/api/v1/alerts"),)
# What is not listed here is for the role admin alone.
TENANT_PATHS = ("/api/v1/", "/grafana", "/prometheus/", "/openapi.json")
READ_METHODS = ("GET", "HEAD", "OPTIONS")
# Protocols in which a query may be a POST, and nothing can be changed.
QUERY_PATHS = ("/grafana/", "/prometheus/api/v1/", "/api/v1/gate")
GRAFANA_PATH = "/grafana"
_CALLED_BY_GRAFANA = (GRAFANA_PATH, "/prometheus")
IDENTITY_HEADER = "X-Grafana-Id"


def authorization(gatekeeper: Gatekeeper | None) -> Callable[[], None]:
    """What refuses a request whose token does not allow it, before its view; ``OPEN_PATHS`` need none."""

    def authorize() -> None:
        set_caller(ANYONE if gatekeeper is None else NOBODY)
        if request.path not in OPEN_PATHS:
            tokens = request.headers.get("Authorization", ""), request.headers.get(IDENTITY_HEADER)
            set_caller(permitted_caller(gatekeeper, request.method, request.path, *tokens))

    return authorize


def permitted_caller(
    gatekeeper: Gatekeeper | None, method: str, path: str, authorization: str, identity: str | None
) -> Caller:
    """Who calls, by the values of two headers; ApiError unless they may.

    Without a gatekeeper everyone may do everything.
    """
    if gatekeeper is None:
        return ANYONE
    writes = _writes(method, path)
    caller = gatekeeper.caller(authorization, identity, writes=writes)
    if caller is None:
        raise _unauthenticated(path)
    if not _may_call(caller.role, method, path):
        raise ApiError(403, "forbidden", f"The role {caller.role} may not do this.", {"role": caller.role})
    if writes:
        _check_user(caller)
    return caller


def _writes(method: str, path: str) -> bool:
    return method not in READ_METHODS and not path.startswith(QUERY_PATHS)


def _may_call(role: Role, method: str, path: str) -> bool:
    if role == "admin":
        return True
    if (method, path.rstrip("/")) in WRITER_CALLS:
        return role == "writer"
    if role == "reader" and _writes(method, path):
        return False
    return role != "writer" and path.startswith(TENANT_PATHS)


def _check_user(caller: Caller) -> None:
    """ApiError 403 for whoever may change nothing in Grafana: any viewer can send any path there."""
    if caller.user is not None and not caller.user.may_write:
        message = f"The role {caller.user.role} of Grafana may change nothing; it takes Editor or Admin."
        raise ApiError(403, "forbidden", message, {"role": caller.user.role})
    if caller.user is None and caller.role == "grafana":
        raise ApiError(403, "identity", "Without Grafana's identity nothing can be changed with this token.")


def _unauthenticated(path: str) -> ApiError:
    message = "A valid token is needed: send the header Authorization: Bearer <token>."
    if any(path == prefix or path.startswith(f"{prefix}/") for prefix in _CALLED_BY_GRAFANA):
        # Grafana's proxy replaces a 401 by a text of its own, which would hide this message.
        return ApiError(403, "unauthenticated", message)
    return ApiError(401, "unauthenticated", message, headers={"WWW-Authenticate": "Bearer"})
