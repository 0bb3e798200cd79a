"""The parts of a plane as far as they were given: a local plane has all, URLs name some."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from modelplane_dashboards import ApiAccess
from modelplane_provisioning.bundle import credentials
from modelplane_provisioning.clients.plane import Connection, Plane
from modelplane_provisioning.clients.plane_errors import NoAnswerError, NoRouteError, WrongAddressError
from modelplane_schema.errors import UserError
from modelplane_schema.registry import Registry

_Part = TypeVar("_Part")


class NotGivenError(UserError, LookupError):
    """A check needs a part that was not given; ``option`` gives it."""

    def __init__(self, part: str, option: str) -> None:
        super().__init__(f"{part} was not given; name it with {option}")
        self.part = part
        self.option = option


@dataclass(frozen=True, slots=True)
class Grafana:
    """A Grafana and its organisation. ``login`` is used where the connection has no token."""

    connection: Connection
    login: tuple[str, str] | None = None
    organisation: int = 1

    @property
    def name(self) -> str:
        return self.connection.name

    @property
    def url(self) -> str:
        return self.connection.url

    @property
    def is_of_operators(self) -> bool:
        """Whether its data sources show everything, and not the data of some tenants."""
        return self.organisation == 1

    def get(self, path: str, params: dict[str, Any] | None = None) -> Any:
        """The decoded JSON of a GET; PlaneError."""
        return self.connection.get(path, params, auth=self.login)

    def post_query(self, path: str, body: Any) -> Any:
        """The decoded JSON of a POST that changes nothing; PlaneError."""
        return self.connection.post_query(path, body, auth=self.login)


@dataclass(frozen=True, slots=True)
class Parts:
    """What was given of a plane; a property of what was not raises NotGivenError.

    ``api`` says how its boards read the backend. A property of what is ``silent`` raises its error at once:
    each check would wait for it anew.
    """

    given_prometheus: Connection | None = None
    given_alertmanager: Connection | None = None
    given_backend: Connection | None = None
    given_grafana: Grafana | None = None
    given_registry: Registry | None = None
    scrape_interval_seconds: int = 15
    api: ApiAccess = "plugin"
    given_bundle: Path | None = None
    silent: Mapping[str, NoAnswerError] = field(default_factory=dict)

    @classmethod
    def of_plane(cls, plane: Plane, registry: Registry) -> Parts:
        """Connections to the parts of a local plane; PlaneError when a token cannot be read."""
        grafana = None
        if plane.grafana_url:
            login = ("admin", plane.token(credentials.GRAFANA_PASSWORD))
            grafana = Grafana(Connection("Grafana", plane.grafana_url), login)
        return cls(
            Connection("Prometheus", plane.prometheus_url),
            Connection("Alertmanager", plane.alertmanager_url),
            Connection("the backend", plane.backend_url, plane.token(credentials.OPERATOR.secret)),
            grafana,
            registry,
            plane.scrape_interval_seconds,
            given_bundle=Path(plane.credentials).parent,
        )

    def without(self, error: NoAnswerError) -> Parts:
        """These parts, of which one gave no answer."""
        return replace(self, silent={**self.silent, error.part: error})

    @property
    def prometheus(self) -> Connection:
        return self._given(self.given_prometheus, "Prometheus", "--prometheus")

    @property
    def alertmanager(self) -> Connection:
        return self._given(self.given_alertmanager, "Alertmanager", "--alertmanager")

    @property
    def backend(self) -> Connection:
        return self._given(self.given_backend, "the backend", "--backend")

    @property
    def grafana(self) -> Grafana:
        return self._given(self.given_grafana, "Grafana", "--grafana")

    @property
    def bundle(self) -> Path:
        return self._given(self.given_bundle, "the folder that Grafana mounts", "--bundle")

    @property
    def registry(self) -> Registry:
        return self._given(self.given_registry, "the registry", "--registry")

    def _given(self, part: _Part | None, name: str, option: str) -> _Part:
        if part is None:
            raise NotGivenError(name, option)
        if name in self.silent:
            raise self.silent[name]
        return part


def required(connection: Connection | Grafana, path: str, params: dict[str, Any] | None = None) -> Any:
    """The decoded JSON of a route that the part must have; WrongAddressError without it, PlaneError."""
    try:
        return connection.get(path, params)
    except NoRouteError as error:
        text = (
            f"{connection.name} has no {path} at {connection.url}: is that the root of its API? "
            "A prefix in front of it belongs to the address, such as Mimir's /prometheus"
        )
        raise WrongAddressError(connection.name, text) from error
