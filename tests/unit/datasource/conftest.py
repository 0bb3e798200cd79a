"""An application in front of a Prometheus that answers what a test tells it to."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from datasource_support.fake_prometheus import NOW, FakePrometheus, serving
from modelplane_datasource.alerts.store import AlertStore
from modelplane_datasource.app import close_app, create_app
from modelplane_datasource.settings import Settings


@pytest.fixture
def upstream() -> Iterator[FakePrometheus]:
    with serving() as prometheus:
        yield prometheus


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with its tables. Migrating one takes half of the time in which an application is made."""
    path = tmp_path_factory.mktemp("database") / "modelplane.db"
    AlertStore(f"sqlite:///{path}", 10).close()
    return path


@pytest.fixture
def settings(upstream: FakePrometheus, empty_database: Path, tmp_path: Path) -> Settings:
    shutil.copy(empty_database, tmp_path)
    return Settings(
        prometheus_url=upstream.url,
        prometheus_timeout_seconds=60,
        database_url=f"sqlite:///{tmp_path}/modelplane.db",
    )


class ReadingClient(FlaskClient):
    """Reads each answer to its end, as a server does: it is counted and logged only then."""

    def open(self, *args: Any, **kwargs: Any) -> Any:
        return super().open(*args, buffered=True, **kwargs)


@pytest.fixture
def make_client() -> Iterator[Callable[[Settings], FlaskClient]]:
    apps = []

    def make(settings: Settings) -> FlaskClient:
        apps.append(create_app(settings, clock=lambda: NOW))
        apps[-1].test_client_class = ReadingClient
        return apps[-1].test_client()

    yield make
    for app in apps:
        close_app(app)


@pytest.fixture
def client(settings: Settings, make_client: Callable[[Settings], FlaskClient]) -> FlaskClient:
    return make_client(settings)
