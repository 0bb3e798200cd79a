"""Cross-origin resource sharing, by the Fetch standard: pages of the listed origins may read answers.

Tokens travel in the header Authorization, so that no page gets anything by cookies of its reader.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from modelplane_datasource.tenancy.caller import NOBODY, set_caller

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_READABLE = "Retry-After, X-Request-Id, X-Warnings"
_PREFLIGHT = [
    ("Access-Control-Allow-Methods", "GET, HEAD, POST"),
    ("Access-Control-Allow-Headers", "Authorization, Content-Type, X-Request-Id"),
    ("Access-Control-Max-Age", "600"),
    ("Content-Length", "0"),
]
_BY_ORIGIN = ("Vary", "Origin")


class CorsLayer:
    """Answers what browsers ask before a request, and lets pages of ``origins`` read all responses."""

    def __init__(self, application: WSGIApplication, origins: Iterable[str]) -> None:
        self._application = application
        self._origins = frozenset(origins)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Respond as the application does, with more headers."""
        origin = environ.get("HTTP_ORIGIN")
        added = [_BY_ORIGIN]
        if origin in self._origins:
            added += [("Access-Control-Allow-Origin", origin), ("Access-Control-Expose-Headers", _READABLE)]
            if environ["REQUEST_METHOD"] == "OPTIONS" and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ:
                set_caller(NOBODY)  # browsers send no token with it
                start_response("204 No Content", [*added, *_PREFLIGHT])
                return []

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            return start_response(status, [*headers, *added], exc_info)

        return self._application(environ, start)
