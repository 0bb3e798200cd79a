"""The WSGI layer around the application: what every answer carries, and what is told about it.

Counting and logging wait until the answer has left, so that nobody waits for them.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from flask import Flask, request
from werkzeug.wsgi import ClosingIterator, get_path_info

from modelplane_datasource.observability.logs import log_answer, name_request
from modelplane_datasource.observability.query_warnings import forget_notices
from modelplane_datasource.observability.telemetry import AnsweredRequest, Telemetry
from modelplane_datasource.tenancy.caller import current_caller

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

REQUEST_ID_HEADER = "X-Request-Id"
# They keep a browser from doing anything with an answer but reading it.
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",  # answers depend on who asks
}
_ROUTE = "modelplane.route"  # where the template of a request's path is kept after the request


def surround(app: Flask, telemetry: Telemetry) -> None:
    """Put the layer around ``app``."""

    @app.before_request
    def keep_route() -> None:
        request.environ[_ROUTE] = request.url_rule.rule if request.url_rule else None

    app.wsgi_app = _Middleware(app.wsgi_app, telemetry)  # type: ignore[method-assign]  # Flask's manual does


class _Middleware:
    """Begins each request, secures its answer, counts and logs it."""

    def __init__(self, application: WSGIApplication, telemetry: Telemetry) -> None:
        self._application = application
        self._telemetry = telemetry

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer as the application does, with more headers."""
        started = time.perf_counter()
        request_id = name_request(environ.get("HTTP_X_REQUEST_ID", ""))
        forget_notices()
        statuses: list[str] = []

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            statuses.append(status)
            return start_response(status, _completed(headers, request_id), exc_info)

        body = self._application(environ, start)
        seconds = time.perf_counter() - started
        return ClosingIterator(body, lambda: self._tell(environ, statuses[-1], seconds))

    def _tell(self, environ: WSGIEnvironment, status: str, seconds: float) -> None:
        answered = AnsweredRequest(
            environ["REQUEST_METHOD"],
            get_path_info(environ),
            environ.get(_ROUTE),
            status[:3],
            seconds,
            current_caller().name,
        )
        self._telemetry.count_answer(answered)
        log_answer(answered)


def _completed(headers: list[tuple[str, str]], request_id: str) -> list[tuple[str, str]]:
    own = {name.lower() for name, _ in headers}
    added = [item for item in SECURITY_HEADERS.items() if item[0].lower() not in own]
    return [*headers, *added, (REQUEST_ID_HEADER, request_id)]
