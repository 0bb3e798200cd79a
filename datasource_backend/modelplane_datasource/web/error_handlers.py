"""Every error as JSON: ``{"message": sentence, "error": short word, "details": object}``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from modelplane_datasource.errors import ApiError
from modelplane_datasource.tenancy.caller import current_tenants
from modelplane_datasource.web.responses import json_response
from modelplane_datasource.web.status_lines import status_line

ErrorFormat = Callable[[ApiError], Response]


def is_below(path: str, prefix: str) -> bool:
    """Whether a path is ``prefix`` or lies below it."""
    return path == prefix or path.startswith(f"{prefix}/")


def error_response(error: ApiError) -> Response:
    """The JSON answer for an error: what the caller may read of it."""
    message, details = error.shown_to(current_tenants())
    body = {"message": message, "error": error.error, "details": details}
    response = json_response(body, error.status, error.headers)
    response.status = status_line(error.status, message)
    return response


def register_error_handlers(app: Flask, formats: Mapping[str, ErrorFormat] = MappingProxyType({})) -> None:
    """Answer every error of ``app`` as JSON; a stack trace goes to the log only.

    ``formats`` are those of other protocols, by the path that theirs lie below.
    """

    @app.errorhandler(ApiError)
    def api_error(error: ApiError) -> Response:
        for prefix, error_format in formats.items():
            if is_below(request.path, prefix):
                return error_format(error)
        return error_response(error)

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Response:
        status = error.code or 500
        word = re.sub(r"[^a-z]+", "_", error.name.lower())
        headers = {name: value for name, value in error.get_headers() if name == "Allow"}
        return api_error(ApiError(status, word, error.description or error.name, headers=headers))

    @app.errorhandler(RequestEntityTooLarge)
    def too_large(_error: RequestEntityTooLarge) -> Response:
        limit = app.config["MAX_CONTENT_LENGTH"]
        message = f"The body is too large; allowed: at most {limit} bytes."
        return api_error(ApiError(413, "body_too_large", message, {"max_bytes": limit}))

    @app.errorhandler(Exception)
    def unexpected(error: Exception) -> Response:
        app.logger.error("request failed unexpectedly", exc_info=error)
        message = "The server failed unexpectedly; its log has the reason."
        return api_error(ApiError(500, "internal_error", message))
