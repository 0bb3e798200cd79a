"""Errors as JSON: ``{"message": sentence, "error": short word, "details": object}``."""

from __future__ import annotations

import re
from collections.abc import Mapping

from flask import Flask, Response
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from modelplane_datasource.web.responses import json_response


class ApiError(Exception):
    """An answer other than success; ``error`` is a short machine word."""

    def __init__(
        self,
        status: int,
        error: str,
        message: str,
        details: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.error = error
        self.message = message
        self.details = dict(details or {})
        self.headers = dict(headers or {})

    def response(self) -> Response:
        """The JSON answer for this error."""
        body = {"message": self.message, "error": self.error, "details": self.details}
        return json_response(body, self.status, self.headers)


def invalid(field: str, problem: str, allowed: str) -> ApiError:
    """400 that names the field and what is allowed."""
    return ApiError(
        400,
        "invalid_parameter",
        f"{field} {problem}; allowed: {allowed}.",
        {"parameter": field, "allowed": allowed},
    )


def register_error_handlers(app: Flask) -> None:
    """Answer every error of ``app`` as JSON; a stack trace goes to the log only."""

    @app.errorhandler(ApiError)
    def api_error(error: ApiError) -> Response:
        return error.response()

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Response:
        status = error.code or 500
        word = re.sub(r"[^a-z]+", "_", error.name.lower())
        headers = {name: value for name, value in error.get_headers() if name == "Allow"}
        return ApiError(status, word, error.description or error.name, headers=headers).response()

    @app.errorhandler(RequestEntityTooLarge)
    def too_large(_error: RequestEntityTooLarge) -> Response:
        limit = app.config["MAX_CONTENT_LENGTH"]
        message = f"The body is too large; allowed: at most {limit} bytes."
        return ApiError(413, "body_too_large", message, {"max_bytes": limit}).response()

    @app.errorhandler(Exception)
    def unexpected(error: Exception) -> Response:
        app.logger.error("request failed unexpectedly", exc_info=error)
        message = "The server failed unexpectedly; its log has the reason."
        return ApiError(500, "internal_error", message).response()
