"""The tenants' Prometheus API alone, over a client that answers what a test tells it to."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest
from flask import Flask
from flask.testing import FlaskClient

from datasource_support.fake_client import FakeCaller, FakeClient
from modelplane_datasource.api.prometheus import ERROR_FORMATS, prometheus_blueprint, refuse_unknown_calls
from modelplane_datasource.context import AppContext
from modelplane_datasource.settings import Settings
from modelplane_datasource.web.error_handlers import register_error_handlers


@pytest.fixture
def prometheus() -> FakeClient:
    return FakeClient()


@pytest.fixture
def caller() -> FakeCaller:
    return FakeCaller()


@pytest.fixture
def app(prometheus: FakeClient, caller: FakeCaller) -> Flask:
    made = Flask(__name__, static_folder=None)
    made.config["MAX_CONTENT_LENGTH"] = 10_000
    made.url_map.strict_slashes = False
    made.url_map.merge_slashes = False
    register_error_handlers(made, ERROR_FORMATS)
    plane = cast(AppContext, SimpleNamespace(prometheus=prometheus, settings=Settings()))
    made.before_request(caller.begin_request)
    made.before_request(refuse_unknown_calls)
    made.register_blueprint(prometheus_blueprint(plane))
    return made


@pytest.fixture
def web(app: Flask) -> FlaskClient:
    return app.test_client()
