"""Every error as JSON: ``{"message": sentence, "error": short word, "details": object}``."""

from __future__ import annotations

import re

from flask import Flask, Response
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from modelplane_datasource.errors import ApiError
from modelplane_datasource.tenancy.caller import current_tenants
from modelplane_datasource.web.responses import json_response
from modelplane_datasource.web.status_lines import status_line


def error_response(error: ApiError) -> Response:
    """The JSON answer for an error: what the caller may read of it."""
    message, details = error.shown_to(current_tenants())
    body = {"message": message, "error": error.error, "details": details}
    response = json_response(body, error.status, error.headers)
    response.status = status_line(error.status, message)
    return response


def register_error_handlers(app: Flask) -> None:
    """Answer every error of ``app`` as JSON; a stack trace goes to the log only."""

    @app.errorhandler(ApiError)
    def api_error(error: ApiError) -> Response:
        return error_response(error)

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Response:
        status = error.code or 500
        word = re.sub(r"[^a-z]+", "_", error.name.lower())
        headers = {name: value for name, value in error.get_headers() if name == "Allow"}
        return error_response(ApiError(status, word, error.description or error.name, headers=headers))

    @app.errorhandler(RequestEntityTooLarge)
    def too_large(_error: RequestEntityTooLarge) -> Response:
        limit = app.config["MAX_CONTENT_LENGTH"]
        message = f"The body is too large; allowed: at most {limit} bytes."
        return error_response(ApiError(413, "body_too_large", message, {"max_bytes": limit}))

    @app.errorhandler(Exception)
    def unexpected(error: Exception) -> Response:
        app.logger.error("request failed unexpectedly", exc_info=error)
        message = "The server failed unexpectedly; its log has the reason."
        return error_response(ApiError(500, "internal_error", message))
