"""Grafana's HTTP API as one identity in one organisation; what is no answer of Grafana's is one sentence."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import urljoin, urlsplit

import requests

from modelplane_provisioning.clients.decoding import decoded_json
from modelplane_schema.errors import UserError
from modelplane_schema.uids import OPERATORS

_TIMEOUT_SECONDS = 30
_OLDEST = (11, 6)
_FAILS = 500  # from here on it is not the request that is wrong
_VERSION = re.compile(r"(\d+)\.(\d+)")
ORGANISATION_HEADER = "X-Grafana-Org-Id"


class GrafanaError(UserError, RuntimeError):
    """Grafana gave no answer, or refused; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Login:
    """Who asks: ``name`` is for sentences, ``authorization`` the header, which none of them shows."""

    name: str
    authorization: str = field(repr=False)

    @classmethod
    def of_token(cls, token: str, name: str = "the token of --token-file") -> Login:
        """A service account."""
        return cls(name, f"Bearer {token}")

    @classmethod
    def of_user(cls, user: str, password: str) -> Login:
        """A person, such as Grafana's server admin."""
        encoded = base64.b64encode(f"{user}:{password}".encode()).decode()
        return cls(f"the user {user}", f"Basic {encoded}")


@dataclass(frozen=True, slots=True)
class Answer:
    """What Grafana answered; ``content`` is decoded JSON, None for an empty body."""

    status: int
    content: Any = None

    @property
    def is_success(self) -> bool:
        return self.status < HTTPStatus.MULTIPLE_CHOICES

    @property
    def reason(self) -> str:
        """Grafana's message with the status, for a sentence."""
        message = self.content.get("message") if isinstance(self.content, dict) else None
        return f"{self.status}: {message or 'without a reason'}"


class Organisation(Protocol):
    """One organisation of a Grafana, which need not exist yet."""

    @property
    def number(self) -> str:
        """Its number; empty while it does not exist."""

    @property
    def login(self) -> Login:
        """Who asks."""

    def request(
        self, method: str, path: str, body: Any = None, params: Mapping[str, Any] | None = None
    ) -> Answer:
        """Grafana's answer, whatever its status but 401; GrafanaError for what is none."""


@dataclass(frozen=True, slots=True)
class AbsentOrganisation:
    """An organisation that is yet to be made: nothing is there."""

    login: Login
    number: str = ""

    def request(
        self, method: str, path: str, body: Any = None, params: Mapping[str, Any] | None = None
    ) -> Answer:
        """404."""
        return Answer(requests.codes.not_found)


class GrafanaClient:
    """``url`` is Grafana's root without a slash at its end; ``number`` that of the organisation.

    Without a number Grafana takes the one of the login: that of a token, or the last one of a person.
    Proxies of the environment are ignored and redirects not followed: a login is for Grafana alone.
    """

    def __init__(self, url: str, login: Login, number: str = OPERATORS) -> None:
        self.url = url
        self.login = login
        self.number = number
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or True
        self._session.headers["Authorization"] = login.authorization
        if number:  # or a token of another organisation is not noticed
            self._session.headers[ORGANISATION_HEADER] = number

    def of(self, number: str) -> GrafanaClient:
        """The same identity in another organisation."""
        return GrafanaClient(self.url, self.login, number)

    def request(
        self, method: str, path: str, body: Any = None, params: Mapping[str, Any] | None = None
    ) -> Answer:
        """Grafana's answer, whatever its status but 401; GrafanaError for what is none."""
        try:
            response = self._session.request(
                method, self.url + path, json=body, params=params, timeout=_TIMEOUT_SECONDS,
                allow_redirects=False,
            )  # fmt: skip
        except (requests.RequestException, ValueError) as error:  # ValueError for a Location that is no URL
            raise self._no_answer(error) from error
        answer = Answer(response.status_code, self._content(response))
        if answer.status == requests.codes.unauthorized:
            raise GrafanaError(f"Grafana does not accept {self.login.name} ({answer.reason}){self._advice()}")
        return answer

    def attempt(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Whatever comes back for a path that is sent as it is written; text where it is no JSON.

        GrafanaError when nothing comes back at all.
        """
        request = requests.Request(method, self.url, json=body, headers=dict(headers or {}))
        prepared = self._session.prepare_request(request)
        prepared.url = self.url + path  # requests would resolve dots and decode what is encoded
        try:
            response = self._session.send(prepared, timeout=_TIMEOUT_SECONDS, allow_redirects=False)
        except (requests.RequestException, ValueError) as error:  # ValueError for a Location that is no URL
            raise self._no_answer(error) from error
        try:
            return Answer(response.status_code, decoded_json(response))
        except ValueError:
            return Answer(response.status_code, response.text)

    def version(self) -> str:
        """Grafana's version, empty where it is hidden; GrafanaError when it is too old."""
        answer = expected(self.request("GET", "/api/health"), self.login, "ask for Grafana's health")
        if not isinstance(answer, dict) or "database" not in answer:
            raise GrafanaError(f"{self.url} answers, but not as Grafana does: check --grafana")
        text = str(answer.get("version") or "")
        version = _VERSION.match(text)
        if version and (int(version[1]), int(version[2])) < _OLDEST:
            oldest = ".".join(map(str, _OLDEST))
            raise GrafanaError(
                f"{self.url} is Grafana {text}; modelplane needs {oldest} or newer: upgrade it"
            )
        return text

    def _no_answer(self, error: Exception) -> GrafanaError:
        if isinstance(error, requests.exceptions.SSLError):
            return GrafanaError(
                f"{self.url} has a certificate that is not trusted here: name the file of its authority in "
                "REQUESTS_CA_BUNDLE, or the host for which it was made in --grafana"
            )
        return GrafanaError(f"{self.url} gives no answer ({type(error).__name__}): is Grafana running there?")

    def _content(self, response: requests.Response) -> Any:
        if response.is_redirect:
            target = urlsplit(urljoin(response.url, response.headers["Location"]))
            raise GrafanaError(
                f"{self.url} sends to {target.scheme}://{target.netloc}{target.path}, as to a login: name "
                "Grafana's own address with --grafana; a proxy in front must let tokens pass"
            )
        if not response.content:
            return None
        try:
            return decoded_json(response)
        except ValueError:
            raise GrafanaError(
                f"{self.url} answered {response.status_code} with something that is not Grafana's: check "
                "--grafana; a proxy in front must let tokens pass"
            ) from None

    def _advice(self) -> str:
        if self.number not in ("", OPERATORS):
            return f"; it must be a member of the organisation with the number {self.number}: add it as Admin"
        if self.login.authorization.startswith("Basic "):
            return "; check --admin-user and --admin-password-file, and that basic authentication is on"
        return "; make a new token for a service account of this organisation"


@contextmanager
def odd_answers(grafana: GrafanaClient) -> Iterator[None]:
    """GrafanaError for an answer of ``grafana`` in the block that lacks what Grafana's have."""
    try:
        yield
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise GrafanaError(
            f"{grafana.url} gave an answer that is not of Grafana's form ({type(error).__name__}: {error}): "
            "check --grafana and any proxy in front of it"
        ) from error


def expected(answer: Answer, login: Login, doing: str, *allowed: int) -> Any:
    """The content of a success or of a status that is ``allowed``; GrafanaError for what is refused."""
    if answer.is_success or answer.status in allowed:
        return answer.content
    if answer.status == requests.codes.forbidden:
        raise GrafanaError(
            f"{login.name} may not {doing} ({answer.reason}); give it that right, or use another token"
        )
    advice = {
        requests.codes.precondition_failed: "; somebody else changed it meanwhile: run it again",
        requests.codes.conflict: "; somebody else changed it meanwhile: run it again",
        requests.codes.too_many_requests: "; it, or a proxy in front, limits requests: run it again later",
    }
    failing = "; its log says why: run it again once it works" if answer.status >= _FAILS else ""
    raise GrafanaError(f"Grafana refuses to {doing} ({answer.reason}){advice.get(answer.status, failing)}")


def rows_of(content: Any, what: str) -> list[Any]:
    """The content of an answer that is a list of ``what``; GrafanaError for any other."""
    if not isinstance(content, list):
        raise GrafanaError(f"Grafana answers for its {what}, but not with a list: check --grafana")
    return content
