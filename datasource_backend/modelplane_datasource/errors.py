"""Errors that a caller gets to read."""

from __future__ import annotations

from collections.abc import Mapping


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


def invalid(field: str, problem: str, allowed: str) -> ApiError:
    """400 that names the field and what is allowed."""
    return ApiError(
        400,
        "invalid_parameter",
        f"{field} {problem}; allowed: {allowed}.",
        {"parameter": field, "allowed": allowed},
    )
