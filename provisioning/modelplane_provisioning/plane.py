"""A running plane as commands see it: its addresses, and how to ask its parts over HTTP."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import requests

from modelplane_schema.errors import UserError
from modelplane_schema.files import replace_file

STATE_FILE = "plane.json"
_TIMEOUT_SECONDS = 15


class PlaneError(UserError, RuntimeError):
    """A part of the plane cannot be asked; the message names it and what to do."""


@dataclass(frozen=True, slots=True)
class Plane:
    """Base URLs without a trailing slash; ``registry`` and ``credentials`` are absolute paths.

    ``logs`` maps the name of a part that ``modelplane up`` started to its log file.
    """

    prometheus_url: str
    alertmanager_url: str
    backend_url: str
    grafana_url: str | None
    registry: str
    credentials: str
    scrape_interval_seconds: int
    logs: Mapping[str, str]

    def save(self, directory: Path) -> None:
        """Write the plane's description below ``directory``."""
        content = json.dumps(asdict(self), indent=2) + "\n"
        replace_file(directory / STATE_FILE, content.encode())

    @classmethod
    def load(cls, directory: Path) -> Plane:
        """The plane that ``modelplane up`` described below ``directory``; PlaneError when there is none."""
        path = directory / STATE_FILE
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise PlaneError(
                f"no plane runs from {directory}: start one with `modelplane up` or `modelplane demo`, "
                "or name its folder with --data"
            ) from None
        except (OSError, ValueError, TypeError) as error:
            raise PlaneError(
                f"{path}: is not a plane's description: {error}; start the plane again"
            ) from error

    def token(self, holder_file: str) -> str:
        """The token in a file below the plane's credentials."""
        path = Path(self.credentials) / holder_file
        try:
            return path.read_text(encoding="ascii").strip()
        except OSError as error:
            raise PlaneError(f"{path}: cannot be read: {error.strerror}") from error


class Connection:
    """HTTP to one part; requests ignore proxies, because a plane lies inside the organisation's network."""

    def __init__(
        self, name: str, url: str, token: str | None = None, timeout_seconds: float = _TIMEOUT_SECONDS
    ) -> None:
        self.name = name
        self.url = url
        self._timeout_seconds = timeout_seconds
        self._session = requests.Session()
        self._session.trust_env = False
        if token is not None:
            self._session.headers["Authorization"] = f"Bearer {token}"

    def get(self, path: str, params: Mapping[str, Any] | None = None, auth: Any = None) -> Any:
        """The decoded JSON of a GET; PlaneError when there is no answer, a status from 400 on, or no JSON."""
        return self._decoded(self._request("GET", path, params=params, auth=auth))

    def post(self, path: str, body: Any) -> None:
        """POST ``body`` as JSON; PlaneError as for ``get``."""
        self._request("POST", path, json=body)

    def _request(self, method: str, path: str, **options: Any) -> requests.Response:
        try:
            response = self._session.request(
                method, self.url + path, timeout=self._timeout_seconds, allow_redirects=False, **options
            )
        except requests.RequestException as error:
            reason = type(error).__name__
            raise PlaneError(
                f"{self.name} does not answer at {self.url} ({reason}); is it running?"
            ) from error
        if response.status_code >= 400:
            raise PlaneError(
                f"{self.name} answered {path} with status {response.status_code}: {response.text[:300]}"
            )
        return response

    def _decoded(self, response: requests.Response) -> Any:
        try:
            return response.json()
        except ValueError as error:
            raise PlaneError(f"{self.name} did not answer with JSON: {response.text[:100]!r}") from error


def prometheus_query(prometheus: Connection, expression: str) -> list[dict[str, Any]]:
    """The vector of an instant query; each item has ``metric`` and ``value``."""
    answer = prometheus.get("/api/v1/query", {"query": expression})
    result: list[dict[str, Any]] = answer["data"]["result"]
    return result
