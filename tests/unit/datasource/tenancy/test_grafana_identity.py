"""Grafana's signed identities: who is believed, and whose data they see."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from flask.testing import FlaskClient

from datasource_support.fake_prometheus import FakePrometheus
from datasource_support.grafana_identities import (
    GRAFANA,
    GRAFANA_OR_TOKEN,
    ISSUER,
    KEY_ID,
    SERVICE_ACCOUNT_CLAIMS,
    USER_CLAIMS,
    Keys,
    bearer,
    identified,
)
from modelplane_datasource.errors import ApiError
from modelplane_datasource.tenancy import signing_keys
from modelplane_datasource.tenancy.caller import Caller, User
from modelplane_datasource.tenancy.signing_keys import KeysUnavailableError, SigningKeys
from modelplane_datasource.tenancy.tokens import Gatekeeper

USER = User("user:3", "w", "Viewer", may_write=False)
SERVICE_ACCOUNT = User("service-account:4", "service-account:4", "Viewer", may_write=False)


@pytest.mark.parametrize(
    ("claims", "user", "tenants"),
    [
        (USER_CLAIMS, USER, ("user-A",)),
        (SERVICE_ACCOUNT_CLAIMS, SERVICE_ACCOUNT, None),
        ({**USER_CLAIMS, "aud": ["org:2"]}, USER, ("user-A",)),
        ({**SERVICE_ACCOUNT_CLAIMS, "aud": ["org:1"]}, SERVICE_ACCOUNT, None),
    ],
    ids=["user", "service account", "user, audience in a list", "service account, audience in a list"],
)
def test_grafanas_identity_says_whose_data_may_be_seen(
    gatekeeper: Gatekeeper, keys: Keys, claims: dict[str, Any], user: User, tenants: tuple[str, ...] | None
) -> None:
    for _ in range(3):
        caller = gatekeeper.caller(bearer(GRAFANA), keys.identity(**claims))
        assert caller == Caller("grafana", "grafana", tenants, user)
    assert keys.fetched == 1


@pytest.mark.parametrize(
    ("claims", "tenants"),
    [
        ({"role": "Editor"}, ("user-A",)),
        ({"role": "Admin"}, ("user-A", "user-B")),
        ({"role": "Admin", "sub": "user:7"}, ("user-C",)),
        ({"role": None}, ("user-A",)),
        ({"aud": "org:4", "role": "Editor"}, ("user-B",)),
        ({"aud": "org:5", "sub": "service-account:4"}, None),
        ({"aud": "org:1", "sub": "user:7"}, None),
    ],
)
def test_a_user_outweighs_a_role_and_a_role_an_organisation(
    gatekeeper: Gatekeeper, keys: Keys, claims: dict[str, Any], tenants: tuple[str, ...] | None
) -> None:
    caller = gatekeeper.caller(bearer(GRAFANA), keys.identity(**claims))
    assert caller is not None
    assert caller.tenants == tenants


def test_one_token_shows_each_user_their_own_tenants_in_turn(protected: FlaskClient, keys: Keys) -> None:
    """Identities are swapped from request to request: nothing of the one before is kept."""
    for claims, allowed in (
        ({}, ["user-A"]), ({"sub": "user:7"}, ["user-C"]),
        ({"role": "Admin"}, ["user-A", "user-B"]), ({}, ["user-A"]),
    ):  # fmt: skip
        response = protected.get(
            "/api/v1/metrics/latency?tenant-id=nobody&model-name=m",
            headers=identified(GRAFANA, keys.identity(**claims)),
        )
        assert response.status_code == 403
        assert response.json is not None
        assert response.json["details"]["allowed"] == allowed


def other_key() -> Any:
    return ec.generate_private_key(ec.SECP256R1())


def signed_with_the_public_key(keys: Keys) -> str:
    """HS256 with the published key as the secret, as some verifiers accept it."""
    public = keys.private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    _, content, _ = keys.identity().split(".")
    signer = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    encode = jwt.utils.base64url_encode
    head = encode(f'{{"alg":"HS256","kid":"{KEY_ID}","typ":"jwt"}}'.encode()).decode()
    return f"{head}.{content}." + encode(signer.sign(f"{head}.{content}".encode(), public)).decode()


def with_another_payload(keys: Keys) -> str:
    """The signature of one identity below the claims of another."""
    header, _, signature = keys.identity().split(".")
    return f"{header}.{keys.identity(aud='org:1').split('.')[1]}.{signature}"


BAD_IDENTITIES: dict[str, Callable[[Keys], str | None]] = {
    "none": lambda keys: None,
    "empty": lambda keys: "",
    "no token": lambda keys: "abc",
    "huge": lambda keys: keys.identity(email="x" * 10_000),
    "signed by another key": lambda keys: keys.identity(other_key()),
    "signed by another key of its own id": lambda keys: keys.identity(other_key(), kid="id-2026-12-es256"),
    "without the id of a key": lambda keys: keys.identity(kid=None),
    "HS256 with the public key": signed_with_the_public_key,
    "swapped claims": with_another_payload,
    "expired": lambda keys: keys.identity(exp=time.time() - 60),
    "without expiry": lambda keys: keys.identity(exp=None),
    "not valid yet": lambda keys: keys.identity(nbf=time.time() + 60),
    "issued in the future": lambda keys: keys.identity(iat=time.time() + 60),
    "another issuer": lambda keys: keys.identity(iss="http://evil.example.org/"),
    "the issuer without its slash": lambda keys: keys.identity(iss=ISSUER.rstrip("/")),
    "without issuer": lambda keys: keys.identity(iss=None),
    "without subject": lambda keys: keys.identity(sub=None),
    "unknown organisation": lambda keys: keys.identity(aud="org:3"),
    "an organisation of which only editors see something": lambda keys: keys.identity(aud="org:4"),
    "an organisation of which only somebody else does": lambda keys: keys.identity(aud="org:5"),
    "another audience": lambda keys: keys.identity(aud="another-service"),
    "two organisations": lambda keys: keys.identity(aud=["org:2", "org:1"]),
    "two organisations in a text": lambda keys: keys.identity(aud="org:2 org:1"),
    "no organisation in the list": lambda keys: keys.identity(aud=[]),
    "without organisation": lambda keys: keys.identity(aud=None),
    "empty organisation": lambda keys: keys.identity(aud=""),
    "organisation as number": lambda keys: keys.identity(aud=1),
    "organisation without its prefix": lambda keys: keys.identity(aud="1"),
    "shared secret": lambda keys: keys.identity("x" * 32, "HS256"),
    "unsigned": lambda keys: keys.identity("", "none"),
    "unsigned and without the id of a key": lambda keys: keys.identity("", "none", None),
}


def test_a_bad_identity_is_refused_with_a_sentence(
    protected: FlaskClient, keys: Keys, caplog: pytest.LogCaptureFixture
) -> None:
    for name, make in BAD_IDENTITIES.items():
        identity = make(keys)
        with caplog.at_level(logging.DEBUG):
            response = protected.get("/api/v1/metrics", headers=identified(GRAFANA, identity))
        assert response.status_code == 403, name
        assert response.json is not None
        assert response.json["error"] == "identity", name
        assert " " in response.json["message"]
        assert response.json["message"].endswith("."), name
        for secret in (GRAFANA, identity):
            assert not secret or secret not in caplog.text + response.text, name


def test_a_bad_identity_does_not_fall_back_to_what_the_token_sees(protected: FlaskClient, keys: Keys) -> None:
    assert protected.get("/api/v1/metrics", headers=identified(GRAFANA_OR_TOKEN, None)).status_code == 200
    for name in BAD_IDENTITIES.keys() - {"none", "empty"}:
        headers = identified(GRAFANA_OR_TOKEN, BAD_IDENTITIES[name](keys))
        assert protected.get("/api/v1/metrics", headers=headers).status_code == 403, name


def test_without_an_identity_the_token_sees_its_own_tenants(gatekeeper: Gatekeeper, keys: Keys) -> None:
    assert gatekeeper.caller(bearer(GRAFANA_OR_TOKEN), None) == Caller(
        "boards-or-user", "grafana", ("user-B",)
    )
    caller = gatekeeper.caller(bearer(GRAFANA_OR_TOKEN), keys.identity())
    assert caller == Caller("boards-or-user", "grafana", ("user-A",), USER)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, None),
        (404, None),
        (302, None),
        (200, b"<!DOCTYPE html><title>Grafana</title>"),
        (200, b""),
        (200, b"[]"),
        (200, b'{"keys": []}'),
        (200, b'{"keys": 1}'),
        (200, b"\xff\xfe"),
    ],
)
def test_without_grafanas_keys_nobody_is_let_in(
    gatekeeper: Gatekeeper, keys: Keys, status: int, body: bytes | None
) -> None:
    keys.status, keys.body = status, body
    with pytest.raises(ApiError, match="Grafana's keys cannot be fetched; try again") as refused:
        gatekeeper.caller(bearer(GRAFANA), keys.identity())
    assert refused.value.status == 503


def test_an_address_of_keys_where_nothing_listens_is_no_failure_of_the_backend(keys: Keys) -> None:
    with pytest.raises(KeysUnavailableError):
        SigningKeys("http://127.0.0.1:9/keys").find(KEY_ID)


def test_a_slow_grafana_holds_up_few_and_is_asked_by_one(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signing_keys, "TIMEOUT_SECONDS", 0.2)
    keys.answers.clear()
    found = SigningKeys(keys.url)
    failures = []

    def ask() -> None:
        try:
            found.find(KEY_ID)
        except KeysUnavailableError as error:
            failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(failures), keys.fetched) == (8, 1)


def test_keys_are_fetched_again_for_a_new_id_but_not_for_every_made_up_one(keys: Keys) -> None:
    now = [0.0]
    found = SigningKeys(keys.url, lambda: now[0])
    assert found.find(KEY_ID) is not None
    for number in range(20):
        assert found.find(f"made-up-{number}") is None
    assert keys.fetched == 1
    now[0] += 11
    assert found.find("made-up") is None
    assert keys.fetched == 2
    keys.status = 500
    now[0] += 11
    with pytest.raises(KeysUnavailableError):
        found.find("made-up")
    assert found.find(KEY_ID) is not None, "what was fetched before stays valid"
    now[0] += 3600
    with pytest.raises(KeysUnavailableError):
        found.find(KEY_ID)


def test_a_replaced_key_is_not_believed_for_longer_than_an_hour(keys: Keys) -> None:
    now = [0.0]
    found = SigningKeys(keys.url, lambda: now[0])
    assert found.find(KEY_ID) is not None
    keys.body = keys.published().replace(KEY_ID.encode(), b"id-2026-12-es256")
    now[0] += 3601
    assert found.find(KEY_ID) is None
    assert found.find("id-2026-12-es256") is not None


def test_an_identity_without_the_token_is_nobody(protected: FlaskClient, keys: Keys) -> None:
    headers = {"X-Grafana-Id": keys.identity(aud="org:1")}
    assert protected.get("/api/v1/metrics", headers=headers).status_code == 401


def test_a_core_prometheus_data_source_keeps_two_organisations_apart(
    protected: FlaskClient, keys: Keys, upstream: FakePrometheus
) -> None:
    """Grafana's own Prometheus data source on /prometheus: its token, and the identity of who looks."""
    upstream.reply = lambda path, form: (
        200,
        {},
        b'{"status":"success","data":{"resultType":"vector","result":[]}}',
    )

    def ask(query: str, claims: dict[str, Any]) -> int:
        headers = identified(GRAFANA, keys.identity(**claims))
        return protected.post("/prometheus/api/v1/query", data={"query": query}, headers=headers).status_code

    assert ask("up", SERVICE_ACCOUNT_CLAIMS) == 200
    assert upstream.calls[-1][1]["query"] == "up"
    assert ask("sum(model_active_inference_requests)", USER_CLAIMS) == 200
    assert (
        upstream.calls[-1][1]["query"]
        == 'sum({__name__="model_active_inference_requests",tenant_id="user-A"})'
    )
    sent = len(upstream.calls)
    assert ask('model_active_inference_requests{tenant_id="user-B"}', USER_CLAIMS) == 403
    assert len(upstream.calls) == sent
