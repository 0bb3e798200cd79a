"""What a token file may hold, and what is said of one that is not valid."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from modelplane_datasource.settings import ConfigurationError
from modelplane_datasource.tenancy.tokens import hash_token, load_tokens

ISSUER = "http://grafana.example.org/"
TOKEN: dict[str, Any] = {"name": "operator", "role": "admin", "sha256": hash_token("admin-token")}


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"role": "tenant"}, r"tokens\[0\]: .*tenants are needed"),
        ({"role": "admin", "tenants": ["a"]}, r"tokens\[0\]: .*for no other"),
        ({"role": "reader", "tenants": []}, r"tokens\[0\]: .*at least one tenant"),
        ({"role": "tenant", "tenants": [""]}, r"tokens\[0\].tenants\[0\]: "),
        ({"role": "grafana"}, "needs the section grafana"),
        ({"role": "reader", "without_identity": ["a"]}, r"tokens\[0\]: .*for the role grafana"),
    ],
)
def test_tenants_and_roles_must_go_together(tmp_path: Path, change: dict[str, Any], place: str) -> None:
    path = tmp_path / "t.json"
    path.write_text(json.dumps({"tokens": [{**TOKEN, **change}]}))
    with pytest.raises(ConfigurationError, match=place):
        load_tokens(path)


@pytest.mark.parametrize(
    "grafana",
    [
        {"issuer": "grafana", "organisations": {"1": "all"}},
        {"issuer": ISSUER, "organisations": {}},
        {"issuer": ISSUER, "organisations": {"one": "all"}},
        {"issuer": ISSUER, "organisations": {"1": "some"}},
        {"issuer": ISSUER, "organisations": {"1": []}},
        {"issuer": ISSUER, "organisations": {"1": "all"}, "key": "x"},
        {"issuer": "http://somebody@grafana/", "organisations": {"1": "all"}},
        {"issuer": ISSUER},
        {"issuer": ISSUER, "roles": {"1": {"Owner": "all"}}},
        {"issuer": ISSUER, "users": {"1": {"ada": "all"}}},
        {"issuer": ISSUER, "users": {"1": {"user:": "all"}}},
        {"issuer": ISSUER, "users": {"org:1": {"user:1": "all"}}},
    ],
)
def test_a_bad_section_grafana_is_a_clear_error(tmp_path: Path, grafana: dict[str, Any]) -> None:
    path = tmp_path / "t.json"
    path.write_text(json.dumps({"tokens": [TOKEN], "grafana": grafana}))
    with pytest.raises(ConfigurationError, match=r"t\.json: grafana"):
        load_tokens(path)
