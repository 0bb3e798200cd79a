"""Errors that a caller gets to read."""

from __future__ import annotations

from collections.abc import Mapping


class ApiError(Exception):
    """An answer other than success; ``error`` is a short machine word.

    ``message`` and ``details`` are for every caller: they name nothing of a tenant but what its caller named.
    What may name more is for operators, who may see all tenants, and is read through ``shown_to`` alone:
    ``operator_message`` stands for ``message``, ``operator_details`` are added to ``details``.
    """

    def __init__(
        self,
        status: int,
        error: str,
        message: str,
        details: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        operator_message: str | None = None,
        operator_details: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.error = error
        self.message = message
        self.details = dict(details or {})
        self.headers = dict(headers or {})
        self._operator_message = message if operator_message is None else operator_message
        self._operator_details = dict(operator_details or {})

    def shown_to(self, tenants: tuple[str, ...] | None) -> tuple[str, dict[str, object]]:
        """Message and details for who may see ``tenants``, None for all of them."""
        if tenants is None:
            return self._operator_message, {**self.details, **self._operator_details}
        return self.message, self.details

    def within(self, place: str, details: Mapping[str, object]) -> ApiError:
        """The same error of a part of a request, which ``place`` and ``details`` name."""
        return ApiError(
            self.status,
            self.error,
            f"{place}: {self.message}",
            {**self.details, **details},
            self.headers,
            operator_message=f"{place}: {self._operator_message}",
            operator_details=self._operator_details,
        )


def invalid(field: str, problem: str, allowed: str, operator_problem: str | None = None) -> ApiError:
    """400 that names the field and what is allowed; operators read ``operator_problem`` as the problem."""
    return ApiError(
        400,
        "invalid_parameter",
        f"{field} {problem}; allowed: {allowed}.",
        {"parameter": field, "allowed": allowed},
        operator_message=f"{field} {operator_problem or problem}; allowed: {allowed}.",
    )
