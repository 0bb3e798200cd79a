"""Alertmanager's API of silences, version 2.

Its document is api/v2/openapi.yaml of https://github.com/prometheus/alertmanager.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import requests
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from modelplane_datasource.alerts.silences import Silence
from modelplane_datasource.errors import ApiError
from modelplane_datasource.timeline.times import format_rfc3339_exact, parse_rfc3339
from modelplane_schema.promql import Matcher, MatchOp

T = TypeVar("T")
_LOG = logging.getLogger(__name__)

UNSET, UNREACHABLE = "alertmanager_not_configured", "alertmanager_unreachable"
TIMEOUT, INVALID, REFUSED = "alertmanager_timeout", "alertmanager_invalid", "silence_refused"
_STATUS = {UNSET: 503, UNREACHABLE: 503, TIMEOUT: 504, INVALID: 502, REFUSED: 400}
_SECONDS = 5.0
_MOST_BYTES = 32 * 1024 * 1024
_LONGEST_REASON = 300  # characters
_OPERATORS: dict[tuple[bool, bool], MatchOp] = {
    (False, True): "=", (False, False): "!=", (True, True): "=~", (True, False): "!~",
}  # fmt: skip
_FLAGS = {operator: flags for flags, operator in _OPERATORS.items()}


class AlertmanagerError(ApiError):
    """Alertmanager did not do what was asked of it; ``error`` is the kind. Operators read where and why."""

    def __init__(self, kind: str, message: str, reason: str = "") -> None:
        super().__init__(
            _STATUS[kind], kind, message, operator_message=f"{message} {reason}" if reason else message
        )


class _Answer(NamedTuple):
    status: int
    body: bytes


class _Matcher(BaseModel):
    name: str
    value: str
    is_regex: bool = Field(alias="isRegex")
    is_equal: bool = Field(True, alias="isEqual")


class _Silence(BaseModel):
    id: str = Field(min_length=1, max_length=64)
    matchers: list[_Matcher]
    starts_at: str = Field(alias="startsAt")
    ends_at: str = Field(alias="endsAt")
    created_by: str = Field("", alias="createdBy")
    comment: str = ""


class _Created(BaseModel):
    silence_id: str = Field(alias="silenceID", min_length=1, max_length=64)


_SILENCE, _SILENCES, _CREATED = TypeAdapter(_Silence), TypeAdapter(list[_Silence]), TypeAdapter(_Created)


class Alertmanagers:
    """The members of one cluster, which tell each other of silences: the first that answers is enough."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls = tuple(url.rstrip("/") for url in urls)

    def silences(self) -> tuple[Silence, ...]:
        """All that it knows, ended ones too; AlertmanagerError."""

        def read(url: str) -> tuple[Silence, ...]:
            bodies = _decoded(_SILENCES, _call(url, "GET", "/silences"))
            return tuple(_silence(body) for body in bodies)

        return self._first(read)

    def silence(self, number: str) -> Silence | None:
        """The one with an id, None when there is none; AlertmanagerError."""

        def read(url: str) -> Silence | None:
            answer = _call(url, "GET", f"/silence/{number}", allowed=(HTTPStatus.NOT_FOUND,))
            return None if answer.status == HTTPStatus.NOT_FOUND else _silence(_decoded(_SILENCE, answer))

        return self._first(read)

    def create(self, matchers: Sequence[Matcher], starts_at: int, ends_at: int, by: str, comment: str) -> str:
        """The id of a new silence; times in milliseconds. AlertmanagerError.

        One member is asked, one that answers: a second that is asked as well could make a second silence.
        """
        wanted = {
            "matchers": [_matcher_body(matcher) for matcher in matchers],
            "startsAt": format_rfc3339_exact(starts_at),
            "endsAt": format_rfc3339_exact(ends_at),
            "createdBy": by,
            "comment": comment,
        }
        url = self._answering()
        answer = _call(url, "POST", "/silences", wanted, allowed=(HTTPStatus.BAD_REQUEST,))
        if answer.status == HTTPStatus.BAD_REQUEST:
            message = "Alertmanager refuses the silence: a matcher must have a valid regular expression, "
            raise AlertmanagerError(
                REFUSED, f"{message}and one of them must not fit the empty text.", _reason(answer.body)
            )
        return _decoded(_CREATED, answer).silence_id

    def expire(self, number: str) -> None:
        """End a silence that lasts; AlertmanagerError. One that is not there is no error."""
        _call(self._answering(), "DELETE", f"/silence/{number}", allowed=(HTTPStatus.NOT_FOUND,))

    def _answering(self) -> str:
        """The URL of the first member that answers."""

        def answers(url: str) -> str:
            _call(url, "GET", "/status")
            return url

        return self._first(answers)

    def _first(self, ask: Callable[[str], T]) -> T:
        """What the first member gives that gives anything."""
        failure = AlertmanagerError(
            UNSET,
            "No Alertmanager is configured: set alertmanager_urls of the backend "
            "(MODELPLANE_DATASOURCE_ALERTMANAGER_URLS) to where it is.",
        )
        for url in self._urls:
            try:
                return ask(url)
            except AlertmanagerError as error:
                failure = error
                _LOG.warning("silences: %s: %s", urlsplit(url).netloc.rpartition("@")[2], error)
        raise failure


def _call(
    url: str, method: str, path: str, body: dict[str, Any] | None = None, allowed: Sequence[int] = ()
) -> _Answer:
    """The answer of one Alertmanager: 200, or a status that is ``allowed``. AlertmanagerError."""
    try:
        answer = _exchange(f"{url}/api/v2{path}", method, body)
    except requests.RequestException as error:
        raise _failure(error) from error
    if answer.status == HTTPStatus.OK or answer.status in allowed:
        return answer
    status, reason = answer.status, _reason(answer.body)
    if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        raise AlertmanagerError(UNREACHABLE, "Alertmanager is not available now; try again.", reason)
    message = f"Alertmanager answered with status {status}: is that what alertmanager_urls names?"
    raise AlertmanagerError(INVALID, message, reason)


def _failure(error: requests.RequestException) -> AlertmanagerError:
    # While a body is read, requests makes a time-out an error of the connection.
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return AlertmanagerError(TIMEOUT, f"Alertmanager did not answer within {_SECONDS:g} s; try again.")
    if isinstance(error, requests.ConnectionError):
        return AlertmanagerError(UNREACHABLE, "Alertmanager cannot be reached; try again.")
    return AlertmanagerError(INVALID, "Alertmanager's answer broke off or is too large.")


def _exchange(address: str, method: str, body: dict[str, Any] | None) -> _Answer:
    """One request and its answer, however slowly it comes. requests.RequestException."""
    deadline = time.monotonic() + _SECONDS
    with requests.Session() as session:
        session.trust_env = False  # Alertmanager lies near, whatever the environment says
        options: dict[str, Any] = {"timeout": _SECONDS, "stream": True, "allow_redirects": False}
        with session.request(method, address, json=body, **options) as response:
            content = bytearray()
            for chunk in response.iter_content(64 * 1024):
                content += chunk
                if time.monotonic() > deadline:
                    raise requests.Timeout
                if len(content) > _MOST_BYTES:
                    raise requests.RequestException("too large")
            return _Answer(response.status_code, bytes(content))


def _decoded(adapter: TypeAdapter[T], answer: _Answer) -> T:
    try:
        return adapter.validate_json(answer.body)
    except ValidationError as error:
        message = "Alertmanager's answer is none of its API: is that what alertmanager_urls names?"
        raise AlertmanagerError(INVALID, message) from error


def _silence(body: _Silence) -> Silence:
    matchers = (
        Matcher(matcher.name, matcher.value, _OPERATORS[matcher.is_regex, matcher.is_equal])
        for matcher in body.matchers
    )
    try:
        starts_at, ends_at = parse_rfc3339(body.starts_at), parse_rfc3339(body.ends_at)
    except ValueError as error:
        raise AlertmanagerError(INVALID, "Alertmanager's answer has a time that is none.") from error
    return Silence(body.id, tuple(matchers), starts_at, ends_at, body.created_by, body.comment)


def _matcher_body(matcher: Matcher) -> dict[str, Any]:
    is_regex, is_equal = _FLAGS[matcher.op]
    return {"name": matcher.label, "value": matcher.value, "isRegex": is_regex, "isEqual": is_equal}


def _reason(body: bytes) -> str:
    """What Alertmanager says, which operators read."""
    return f"It says: {' '.join(body.decode('utf-8', 'replace').split())[:_LONGEST_REASON]}"
