"""A running plane as commands see it: its addresses, and how to ask its parts over HTTP."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests

from modelplane_provisioning.clients.decoding import decoded_json
from modelplane_provisioning.clients.plane_errors import PlaneError, WrongAddressError, no_answer, refused
from modelplane_provisioning.secret_files import read_password
from modelplane_schema.files import replace_file

if TYPE_CHECKING:
    from modelplane_provisioning.bundle.credentials import Secret

STATE_FILE = "plane.json"
_TIMEOUT_SECONDS = 15


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

    def token(self, secret: Secret) -> str:
        """The secret in a file below the plane's credentials; SecretFileError."""
        return read_password(Path(self.credentials) / secret.path)


class Connection:
    """HTTP to one part; requests ignore proxies, because a plane lies inside the organisation's network.

    ``url`` has no slash at its end. ``ca_file`` holds the authorities that sign its certificate, where these
    are not well known; ``headers`` are sent with each request.
    """

    def __init__(
        self,
        name: str,
        url: str,
        token: str | None = None,
        timeout_seconds: float = _TIMEOUT_SECONDS,
        ca_file: Path | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.url = url
        self._timeout_seconds = timeout_seconds
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers.update(headers or {})
        if ca_file is not None:
            self._session.verify = str(ca_file)
        if token is not None:
            self._session.headers["Authorization"] = f"Bearer {token}"

    def below(self, path: str, auth: Any = None) -> Connection:
        """A connection to what lies below ``path``, with the same token, or with the login ``auth``."""
        connection = copy(self)
        connection.url = self.url + path
        if auth is not None:
            connection._session = copy(self._session)
            connection._session.auth = auth
        return connection

    def get(self, path: str, params: Mapping[str, Any] | None = None, auth: Any = None) -> Any:
        """The decoded JSON of a GET; PlaneError when there is no answer, a status from 300 on, or no JSON."""
        return self._decoded(self._request("GET", path, params=params, auth=auth))

    def post(self, path: str, body: Any) -> None:
        """POST ``body`` as JSON; PlaneError as for ``get``."""
        self._request("POST", path, json=body)

    def post_query(self, path: str, body: Any, auth: Any = None) -> Any:
        """The decoded JSON of a POST that changes nothing; PlaneError as for ``get``."""
        return self._decoded(self._request("POST", path, json=body, auth=auth))

    def text(self, path: str) -> str:
        """What a GET of ``path`` answers, as it is; PlaneError as for ``get``."""
        return self._request("GET", path).text

    def check(self, path: str) -> None:
        """PlaneError unless a GET of ``path`` is answered with a status below 300."""
        self._request("GET", path)

    def _request(self, method: str, path: str, **options: Any) -> requests.Response:
        try:
            response = self._session.request(
                method, self.url + path, timeout=self._timeout_seconds, allow_redirects=False, **options
            )
        except (requests.RequestException, ValueError) as error:  # ValueError for a Location that is no URL
            raise no_answer(self.name, self.url, error) from error
        refusal = refused(self.name, path.partition("?")[0], response)
        if refusal is not None:
            raise refusal
        return response

    def _decoded(self, response: requests.Response) -> Any:
        try:
            return decoded_json(response)
        except ValueError as error:
            text = (
                f"{self.name} did not answer with JSON at {self.url}: {response.text[:100]!r}; "
                "is that its address, and not that of a page in front of it?"
            )
            raise WrongAddressError(self.name, text) from error


@contextlib.contextmanager
def understood(connection: Connection) -> Iterator[None]:
    """PlaneError where JSON that it answers has not the form that is read in the block."""
    try:
        yield
    except (LookupError, TypeError, AttributeError) as error:
        text = (
            f"{connection.name} did not answer as one does at {connection.url}; is that its address, and not "
            "that of something else?"
        )
        raise WrongAddressError(connection.name, text) from error


def prometheus_query(prometheus: Connection, expression: str) -> list[dict[str, Any]]:
    """The vector of an instant query; each item has ``metric`` and ``value``. PlaneError."""
    answer = prometheus.get("/api/v1/query", {"query": expression})
    with understood(prometheus):
        result: list[dict[str, Any]] = answer["data"]["result"]
    return result
