"""The WSGI layer around the application: what every response carries, and how it is counted and logged.

Counting and logging wait until the response has left, so that nobody waits for them.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from flask import request
from werkzeug.wsgi import ClosingIterator, get_path_info

from modelplane_datasource.observability.logs import log_request, name_request
from modelplane_datasource.observability.telemetry import CompletedRequest, Telemetry
from modelplane_datasource.tenancy.caller import current_caller
from modelplane_datasource.tenancy.notices import forget_notices

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

REQUEST_ID_HEADER = "X-Request-Id"
# They keep a browser from doing anything with a response but reading it.
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",  # responses depend on who asks
}
_ROUTE = "modelplane.route"  # key of the template of a request's path


def remember_route() -> None:
    """Keep the template of a request's path for its log; it belongs before the request."""
    if request.url_rule:
        note_route(request.environ, request.url_rule.rule)


def note_route(environ: WSGIEnvironment, rule: str) -> None:
    """``rule`` is the template of the path of the request with this environment."""
    environ[_ROUTE] = rule


class RequestLayer:
    """Begins each request, secures its response, counts and logs it."""

    def __init__(self, application: WSGIApplication, telemetry: Telemetry) -> None:
        self._application = application
        self._telemetry = telemetry

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Respond as the application does, with more headers."""
        started = time.perf_counter()
        request_id = name_request(environ.get("HTTP_X_REQUEST_ID", ""))
        forget_notices()
        statuses: list[str] = []

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            statuses.append(status)
            return start_response(status, _completed(headers, request_id), exc_info)

        body = self._application(environ, start)
        seconds = time.perf_counter() - started
        return ClosingIterator(body, lambda: self._record(environ, statuses[-1], seconds))

    def _record(self, environ: WSGIEnvironment, status: str, seconds: float) -> None:
        completed = CompletedRequest(
            environ["REQUEST_METHOD"],
            get_path_info(environ),
            environ.get(_ROUTE),
            status[:3],
            seconds,
            current_caller().described,
        )
        self._telemetry.count(completed)
        log_request(completed)


def _completed(headers: list[tuple[str, str]], request_id: str) -> list[tuple[str, str]]:
    present = {name.lower() for name, _ in headers}
    added = [item for item in SECURITY_HEADERS.items() if item[0].lower() not in present]
    return [*headers, *added, (REQUEST_ID_HEADER, request_id)]
