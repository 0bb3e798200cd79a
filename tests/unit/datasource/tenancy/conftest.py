"""A backend with a token of every role, in front of which stands a Grafana that signs identities."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from datasource_support.grafana_identities import ISSUER, TOKENS, Keys, publishing
from modelplane_datasource.settings import Settings
from modelplane_datasource.tenancy.caller import ANYONE, set_caller
from modelplane_datasource.tenancy.tokens import Gatekeeper


@pytest.fixture
def keys() -> Iterator[Keys]:
    with publishing() as keys:
        yield keys


@pytest.fixture
def token_file(tmp_path: Path, keys: Keys) -> Path:
    path = tmp_path / "tokens.json"
    grafana = {
        "issuer": ISSUER,
        "keys_url": keys.url,
        "organisations": {"1": "all", "2": ["user-A"]},
        "roles": {"2": {"Admin": ["user-A", "user-B"]}, "4": {"Editor": ["user-B"]}},
        "users": {"2": {"user:7": ["user-C"]}, "5": {"service-account:4": "all"}},
    }
    path.write_text(json.dumps({"tokens": TOKENS, "grafana": grafana}))
    return path


@pytest.fixture
def protected(
    settings: Settings, make_client: Callable[[Settings], FlaskClient], token_file: Path
) -> FlaskClient:
    return make_client(dataclasses.replace(settings, token_file=token_file))


@pytest.fixture
def gatekeeper(token_file: Path) -> Gatekeeper:
    return Gatekeeper(token_file)


@pytest.fixture(autouse=True)
def _somebody_else_next() -> Iterator[None]:
    yield
    set_caller(ANYONE)
