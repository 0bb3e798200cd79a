"""Which role may call which route; everything else is refused before its view runs."""

from __future__ import annotations

from collections.abc import Callable

from flask import request

from modelplane_datasource.errors import ApiError
from modelplane_datasource.tenancy.caller import ANYONE, NOBODY, Role, set_caller
from modelplane_datasource.tenancy.tokens import (
    Gatekeeper,
)

OPEN_PATHS = ("/healthz", "/readyz")
WRITER_CALLS = (("POST", "/api/v1/alerts"),)
# What is not listed here is for the role admin alone.
TENANT_PATHS = ("/api/v1/", "/grafana", "/prometheus/", "/openapi.json")
READ_METHODS = ("GET", "HEAD", "OPTIONS")
# Protocols in which a query may be a POST, and nothing can be changed.
QUERY_PATHS = ("/grafana/", "/prometheus/api/v1/")
GRAFANA_PATH = "/grafana"
_CALLED_BY_GRAFANA = (GRAFANA_PATH, "/prometheus")
IDENTITY_HEADER = "X-Grafana-Id"


def authorization(gatekeeper: Gatekeeper | None) -> Callable[[], None]:
    """What refuses a request whose token does not allow it, before its view; probes stay open.

    Without a gatekeeper everyone may do everything.
    """

    def authorize() -> None:
        set_caller(ANYONE if gatekeeper is None else NOBODY)
        if gatekeeper is None or request.path in OPEN_PATHS:
            return
        headers = request.headers
        caller = gatekeeper.caller(headers.get("Authorization", ""), headers.get(IDENTITY_HEADER))
        if caller is None:
            raise _unauthenticated()
        if not _may_call(caller.role, request.method, request.path):
            raise ApiError(
                403, "forbidden", f"The role {caller.role} may not do this.", {"role": caller.role}
            )
        set_caller(caller)

    return authorize


def _may_call(role: Role, method: str, path: str) -> bool:
    if role == "admin":
        return True
    if (method, path.rstrip("/")) in WRITER_CALLS:
        return role == "writer"
    if role == "reader" and method not in READ_METHODS and not path.startswith(QUERY_PATHS):
        return False
    return role != "writer" and path.startswith(TENANT_PATHS)


def _unauthenticated() -> ApiError:
    message = "A valid token is needed: send the header Authorization: Bearer <token>."
    if any(request.path == path or request.path.startswith(f"{path}/") for path in _CALLED_BY_GRAFANA):
        # Grafana's proxy replaces a 401 by a text of its own, which would hide this message.
        return ApiError(403, "unauthenticated", message)
    return ApiError(401, "unauthenticated", message, headers={"WWW-Authenticate": "Bearer"})
