"""Alertmanager's notifications without Flask, which would take most of the time of a delivery.

Only what Alertmanager sends when all is well is answered here: a POST without parameters, whose token allows
it. Everything else is left to the view of the same route.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPStatus
from io import BytesIO
from typing import TYPE_CHECKING

import orjson
from flask import Response

from modelplane_datasource.alerts.store import StoreError
from modelplane_datasource.api.alerts import receive_notification
from modelplane_datasource.context import AppContext
from modelplane_datasource.errors import ApiError
from modelplane_datasource.tenancy.caller import set_caller
from modelplane_datasource.tenancy.tokens import Gatekeeper
from modelplane_datasource.web.authentication import permitted_caller
from modelplane_datasource.web.middleware import note_route
from modelplane_datasource.web.refusals import REFUSED

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

PATH = "/api/v1/alerts"


class WebhookLayer:
    """Answers notifications, and passes other requests on."""

    def __init__(
        self,
        application: WSGIApplication,
        context: AppContext,
        gatekeeper: Gatekeeper | None,
        on_store_error: Callable[[Exception], Response],
    ) -> None:
        self._application = application
        self._context = context
        self._gatekeeper = gatekeeper
        self._on_store_error = on_store_error

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Respond as the application does."""
        if not self._is_notification(environ):
            return self._application(environ, start_response)
        length = int(environ["CONTENT_LENGTH"])
        body = environ["wsgi.input"].read(length)
        environ["wsgi.input"] = BytesIO(body)
        if len(body) != length:
            return self._application(environ, start_response)
        note_route(environ, PATH)
        try:
            answer, status = receive_notification(self._context, body)
        except StoreError as error:
            return self._on_store_error(error)(environ, start_response)
        except Exception:  # noqa: BLE001 - the view meets it too, and its error is answered as all are
            return self._application(environ, start_response)
        text = orjson.dumps(answer)
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(text)))]
        start_response(f"{status} {HTTPStatus(status).phrase}", headers)
        return [text]

    def _is_notification(self, environ: WSGIEnvironment) -> bool:
        if environ["REQUEST_METHOD"] != "POST" or environ["PATH_INFO"] != PATH or environ.get(REFUSED):
            return False
        length = environ.get("CONTENT_LENGTH", "")
        if environ.get("QUERY_STRING") or not (
            length.isdecimal() and int(length) <= self._context.settings.max_body_bytes
        ):
            return False
        return self._is_permitted(environ)

    def _is_permitted(self, environ: WSGIEnvironment) -> bool:
        authorization, identity = environ.get("HTTP_AUTHORIZATION", ""), environ.get("HTTP_X_GRAFANA_ID")
        try:
            caller = permitted_caller(self._gatekeeper, "POST", PATH, authorization, identity)
        except ApiError:
            return False
        set_caller(caller)
        return True
