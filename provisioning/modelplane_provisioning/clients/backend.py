"""The backend's API for commands that read and change alerts: a local plane's, or one named by its URL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from modelplane_provisioning.bundle.credentials import OPERATOR
from modelplane_provisioning.clients.decoding import decoded_json
from modelplane_provisioning.clients.plane import Plane
from modelplane_provisioning.secret_files import read_token
from modelplane_schema.errors import UserError

_TIMEOUT_SECONDS = 30


class BackendError(UserError, RuntimeError):
    """The backend gave no answer, or refused; the message says what to do."""


@dataclass(frozen=True, slots=True)
class BackendClient:
    """``url`` is the backend's; an empty ``token`` is not sent."""

    url: str
    token: str

    @classmethod
    def find(cls, data: Path, url: str | None, token_file: Path | None) -> BackendClient:
        """The backend at ``url``, else that of the plane below ``data``; PlaneError, SecretFileError."""
        if url is None:
            plane = Plane.load(data)
            token = plane.token(OPERATOR.secret) if token_file is None else read_token(token_file)
            return cls(plane.backend_url, token)
        return cls.at(url, token_file)

    @classmethod
    def at(cls, url: str, token_file: Path | None) -> BackendClient:
        """The backend at ``url``; SecretFileError."""
        return cls(url.rstrip("/"), "" if token_file is None else read_token(token_file))

    def get(self, path: str, query: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to a GET; BackendError."""
        return self._answer("GET", path, query, None)

    def post(
        self, path: str, body: Mapping[str, Any], query: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """The answer to a POST of JSON; BackendError."""
        return self._answer("POST", path, query or {}, body)

    def _answer(
        self, method: str, path: str, query: Mapping[str, Any], body: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        try:
            with requests.Session() as session:
                session.trust_env = False  # a token is for the backend, and no proxy of the environment
                response = session.request(
                    method, f"{self.url}{path}", params=query, json=body, headers=headers,
                    timeout=_TIMEOUT_SECONDS, allow_redirects=False,
                )  # fmt: skip
        except (requests.RequestException, ValueError) as error:  # ValueError for a Location that is no URL
            raise BackendError(
                f"{self.url} gives no answer ({type(error).__name__}): is the backend running there? "
                "`modelplane status` says so of a local plane; --url names another"
            ) from error
        return _decoded(self.url, response)


def _decoded(url: str, response: requests.Response) -> dict[str, Any]:
    try:
        content = decoded_json(response)
    except ValueError:
        content = None
    if isinstance(content, dict) and response.status_code == requests.codes.ok:
        return content
    message = content.get("message") if isinstance(content, dict) else None
    if not isinstance(message, str):
        raise BackendError(f"{url} answered {response.status_code}, and not as the backend does: check --url")
    raise BackendError(f"{message}{_advice(response.status_code)}")


def _advice(status: int) -> str:
    """What to do next where the message does not say it."""
    if status == requests.codes.unauthorized:
        return " Name the file that holds it with --token-file."
    if status == requests.codes.forbidden:
        return " Another token may: name its file with --token-file."
    return ""
