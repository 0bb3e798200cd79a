"""Routes of silences: a tenant's own alone, whatever it asks for, and what Alertmanager answers."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator

from datasource_support.fake_alertmanager import FakeAlertmanager, serving_silences
from datasource_support.silence_requests import (
    ADMIN,
    BOTH,
    DAY,
    HOUR,
    MILLISECONDS,
    READER,
    SILENCE,
    TOKENS,
    TRICKS,
    WRITER,
    A,
    B,
    bearer,
    create,
    expire,
    listed,
    message,
)
from modelplane_datasource.alerts.episodes import Observation
from modelplane_datasource.alerts.store import AlertStore, StoreError
from modelplane_datasource.settings import Settings


@pytest.fixture
def alertmanager() -> Iterator[FakeAlertmanager]:
    with serving_silences() as alertmanager:
        yield alertmanager


@pytest.fixture
def client(
    settings: Settings,
    make_client: Callable[[Settings], FlaskClient],
    tmp_path: Path,
    alertmanager: FakeAlertmanager,
) -> FlaskClient:
    (tmp_path / "tokens.json").write_text(json.dumps({"tokens": TOKENS}))
    return make_client(
        dataclasses.replace(
            settings, token_file=tmp_path / "tokens.json", alertmanager_urls=(alertmanager.url,)
        )
    )


def test_a_tenant_silences_its_own_alerts_and_ends_that(
    client: FlaskClient, alertmanager: FakeAlertmanager
) -> None:
    created = create(client, A)
    assert created.status_code == 200
    row: Any = created.json
    assert row == {
        "id": row["id"], "status": "active", "tenant_id": "a",
        "matchers": [
            {"name": "alertname", "operator": "=", "value": "ModelDown"},
            {"name": "tenant_id", "operator": "=", "value": "a"},
        ],
        "starts_at": MILLISECONDS, "ends_at": MILLISECONDS + 2 * HOUR, "by": "Ada", "comment": "why",
        "expired_at": None, "expired_by": "", "expiry_note": "",
    }  # fmt: skip
    (sent,) = alertmanager.silences.values()
    assert sent["matchers"][1] == {"name": "tenant_id", "value": "a", "isRegex": False, "isEqual": True}
    assert (sent["startsAt"], sent["endsAt"]) == ("2023-10-27T10:00:00.000Z", "2023-10-27T12:00:00.000Z")
    assert listed(client, A) == [row]
    assert listed(client, B) == []
    ended: Any = expire(client, A, row["id"]).json
    told = {"status": "expired", "expired_at": MILLISECONDS, "expired_by": "Grace", "expiry_note": "done"}
    assert ended == {**row, **told, "ends_at": MILLISECONDS}
    assert listed(client, A) == []
    assert listed(client, A, "?status=expired") == [ended]
    assert expire(client, A, row["id"]).json == ended  # again changes nothing
    assert [call[0] for call in alertmanager.calls].count("DELETE") == 1


@pytest.mark.slow
@pytest.mark.parametrize("trick", TRICKS)
def test_no_matcher_gets_at_another_tenant(
    client: FlaskClient, alertmanager: FakeAlertmanager, trick: str
) -> None:
    response = create(client, A, matchers=[*TRICKS[trick]])
    assert response.status_code == 400, response.text
    assert alertmanager.calls == []
    with_more = create(client, A, matchers=[SILENCE["matchers"][0], *TRICKS[trick]])
    if trick in ("nothing else", "none"):
        assert with_more.json is not None
        assert with_more.json["tenant_id"] == "a"
    else:
        assert with_more.status_code == 400
        assert alertmanager.silences == {}


@pytest.mark.slow
@pytest.mark.parametrize("value", [".*", ".+", "", 'b"} or {tenant_id="b', "tenant_id=b", "\0", "é", "(?i)B"])
@pytest.mark.parametrize("operator", ["=", "!=", "=~", "!~"])
def test_whatever_else_is_matched_the_tenant_is_too(
    client: FlaskClient, alertmanager: FakeAlertmanager, operator: str, value: str
) -> None:
    matcher = {"name": "model_name", "operator": operator, "value": value}
    response = create(client, A, matchers=[matcher])
    assert response.status_code == 200, response.text
    (sent,) = alertmanager.silences.values()
    assert sent["matchers"] == [
        {"name": "model_name", "value": value, "isRegex": "~" in operator, "isEqual": "!" not in operator},
        {"name": "tenant_id", "value": "a", "isRegex": False, "isEqual": True},
    ]
    assert len(listed(client, A)) == 1


def test_a_token_of_several_tenants_names_one(client: FlaskClient) -> None:
    for query in ("", "?tenant-id=a&tenant-id=b", "?tenant-id={a,b}"):
        refused = create(client, BOTH, query)
        assert refused.status_code == 400
        assert "tenant-id must name the one tenant" in message(refused)
        assert "one of a, b" in message(refused)
    created: Any = create(client, BOTH, "?tenant-id=b").json
    assert created["tenant_id"] == "b"
    assert [silence["id"] for silence in listed(client, B)] == [created["id"]]
    assert listed(client, BOTH, "?tenant-id=a") == []
    other, absent = create(client, A, "?tenant-id=b"), create(client, A, "?tenant-id=nobody")
    assert (other.status_code, absent.status_code) == (403, 403)
    assert other.data == absent.data


def test_an_operator_silences_everybody_or_one(client: FlaskClient) -> None:
    everybody: Any = create(client, ADMIN).json
    assert everybody["tenant_id"] == ""
    confined: Any = create(client, ADMIN, "?tenant-id=a").json
    assert confined["tenant_id"] == "a"
    by_matcher: Any = create(client, ADMIN, matchers=[{"name": "tenant_id", "value": "b"}]).json
    assert by_matcher["tenant_id"] == "b"
    assert len(listed(client, ADMIN)) == 3
    assert listed(client, ADMIN, "?tenant-id=a") == listed(client, A) == [confined]
    assert listed(client, ADMIN, "?limit=1&status=pending") == []


FOREIGN: dict[str, list[tuple[str, str, str]]] = {
    "of everybody": [("alertname", "=", "x")],
    "of the other": [("tenant_id", "=", "b")],
    "by a regular expression": [("tenant_id", "=~", "a")],
    "of all but the other": [("tenant_id", "!=", "b")],
    "that names the other as well": [("tenant_id", "=", "a"), ("tenant_id", "!=", "b")],
    "of both, hence of nobody": [("tenant_id", "=", "a"), ("tenant_id", "=", "b")],
    "of a look-alike": [("t\u0435nant_id", "=", "a")],
    "of alerts without a tenant": [("tenant_id", "=", "")],
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", FOREIGN)
def test_a_silence_that_is_not_the_tenants_alone_is_as_if_it_were_not(
    client: FlaskClient, alertmanager: FakeAlertmanager, kind: str
) -> None:
    number = alertmanager.add(*FOREIGN[kind])
    assert listed(client, A) == []
    assert len(listed(client, ADMIN)) == 1
    refused = expire(client, A, number)
    absent = expire(client, A, "00000000-0000-0000-0000-000000000000")
    assert (refused.status_code, absent.status_code) == (404, 404)
    assert refused.data == absent.data
    assert ("DELETE", f"/api/v2/silence/{number}") not in alertmanager.calls
    assert expire(client, ADMIN, number).status_code == 200


@pytest.mark.slow
@pytest.mark.parametrize("number", ["x", "..%2Fstatus", "%2e%2e", "A0000000-0000-0000-0000-000000000000\n"])
def test_what_is_no_id_is_never_sent_to_alertmanager(
    client: FlaskClient, alertmanager: FakeAlertmanager, number: str
) -> None:
    assert expire(client, ADMIN, number).status_code == 404
    assert alertmanager.calls == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"by": ""}, "by"), ({"by": " "}, "by"), ({"comment": ""}, "comment"), ({"comment": None}, "comment"),
        ({"comment": "x" * 2001}, "comment"), ({"duration": 7200}, "duration"),
        ({"duration": "soon"}, "duration"), ({"duration": "0s"}, "duration"),
        ({"duration": "8d"}, "duration"), ({"duration": "1e9d"}, "duration"),
        ({"duration": "999999999999w"}, "duration"), ({"duration": "-1h"}, "duration"),
        ({"starts_at": MILLISECONDS + 7 * DAY}, "duration"), ({"starts_at": -1}, "starts_at"),
        ({"matchers": "alertname=x"}, "matchers"), ({"matchers": [{"name": "x"}]}, "matchers.0.value"),
        ({"matchers": [{"name": "x", "value": "y"}] * 21}, "matchers"), ({"id": "x"}, "id"),
    ],
)  # fmt: skip
def test_a_bad_silence_is_400(
    client: FlaskClient, alertmanager: FakeAlertmanager, changed: dict[str, Any], field: str
) -> None:
    response = create(client, A, **changed)
    assert response.status_code == 400, response.text
    assert response.json is not None
    assert response.json["details"]["parameter"] == field
    assert alertmanager.calls == []


def test_how_long_a_silence_may_be(client: FlaskClient) -> None:
    assert create(client, A, duration="7d").status_code == 200
    refused = create(client, A, duration="7.1d")
    assert "at most 7 days from now" in message(refused)
    assert create(client, ADMIN, duration="60d").status_code == 200
    later: Any = create(client, A, starts_at=MILLISECONDS + DAY, duration="1d").json
    assert (later["status"], later["ends_at"]) == ("pending", MILLISECONDS + 2 * DAY)
    ended: Any = expire(client, A, later["id"]).json
    assert (ended["starts_at"], ended["ends_at"]) == (MILLISECONDS, MILLISECONDS)


@pytest.mark.parametrize("token", [READER, WRITER])
def test_readers_and_writers_silence_nothing(client: FlaskClient, token: str) -> None:
    assert create(client, token).status_code == 403
    assert expire(client, token, "x").status_code == 403
    assert client.get("/api/v1/silences", headers=bearer(WRITER)).status_code == 403


ANSWERS: dict[str, tuple[int, bytes, int, str]] = {
    "html": (200, b"<html>", 502, "is that what alertmanager_urls names?"),
    "another API": (200, b'{"status":"success"}', 502, "is that what alertmanager_urls names?"),
    "a redirect": (302, b"", 502, "answered with status 302"),
    "not found": (410, b"canary", 502, "answered with status 410"),
    "a wall": (401, b"canary", 502, "answered with status 401"),
    "an error": (500, b"canary", 502, "answered with status 500"),
    "too many": (429, b"canary", 503, "not available now; try again"),
    "not ready": (503, b"canary", 503, "not available now; try again"),
    "a time that is none": (
        200, b'[{"id":"x","matchers":[],"startsAt":"soon","endsAt":"later"}]', 502, "a time that is none",
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", ANSWERS)
def test_what_is_no_answer_of_alertmanager_is_one_sentence(
    client: FlaskClient, alertmanager: FakeAlertmanager, name: str
) -> None:
    status, body, expected, text = ANSWERS[name]
    alertmanager.reply = lambda method, path: (status, body)
    response = client.get("/api/v1/silences", headers=bearer(A))
    assert (response.status_code, text in message(response)) == (expected, True), response.text
    assert "canary" not in response.text
    if name == "an error":
        assert "canary" in client.get("/api/v1/silences", headers=bearer(ADMIN)).text
        assert (create(client, A).status_code, expire(client, A, "x").status_code) == (502, 404)


def test_a_matcher_that_alertmanager_refuses_is_400(
    client: FlaskClient, alertmanager: FakeAlertmanager
) -> None:
    def reply(method: str, path: str) -> tuple[int, bytes]:
        return (400, b'"invalid silence: canary"') if method == "POST" else (200, b"{}")

    alertmanager.reply = reply
    refused = create(client, A, matchers=[{"name": "x", "operator": "=~", "value": "("}])
    assert refused.status_code == 400
    assert "a valid regular expression" in message(refused)
    assert "canary" not in refused.text
    assert "invalid silence: canary" in create(client, ADMIN).text


def test_an_alertmanager_that_is_away_or_silent(
    client: FlaskClient, alertmanager: FakeAlertmanager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelplane_datasource.silences.alertmanager._SECONDS", 0.2)
    is_over = threading.Event()
    alertmanager.reply = lambda method, path: (200, b"[]" if is_over.wait(30) else b"")
    response = client.get("/api/v1/silences", headers=bearer(A))
    is_over.set()
    assert (response.status_code, message(response)) == (
        504, "Alertmanager did not answer within 0.2 s; try again.",
    )  # fmt: skip


@pytest.fixture
def with_urls(
    settings: Settings, make_client: Callable[[Settings], FlaskClient]
) -> Callable[..., FlaskClient]:
    return lambda *urls: make_client(dataclasses.replace(settings, alertmanager_urls=urls))


def test_the_first_member_that_answers_is_enough(
    with_urls: Callable[..., FlaskClient], alertmanager: FakeAlertmanager
) -> None:
    client = with_urls("http://user:secret@127.0.0.1:9", f"{alertmanager.url}/")
    assert create(client, "").status_code == 200
    assert len(alertmanager.silences) == 1
    assert len(listed(client, "")) == 1
    away = with_urls("http://user:secret@127.0.0.1:9")
    response = away.get("/api/v1/silences")
    assert (response.status_code, message(response)) == (503, "Alertmanager cannot be reached; try again.")
    assert "secret" not in response.text


def test_without_an_alertmanager_the_setting_is_named(with_urls: Callable[..., FlaskClient]) -> None:
    client = with_urls()
    for response in (client.get("/api/v1/silences"), create(client, "")):
        assert response.status_code == 503
        assert "set alertmanager_urls of the backend" in message(response)


def test_nothing_is_silenced_that_is_not_in_the_history(
    client: FlaskClient, alertmanager: FakeAlertmanager, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise StoreError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(AlertStore, "put_silences", fail)
        assert create(client, A).status_code == 503
    (silence,) = alertmanager.silences.values()
    assert silence["status"] == {"state": "expired"}
    row: Any = create(client, A, comment="again").json
    monkeypatch.setattr(AlertStore, "expire_silence", fail)
    refused = expire(client, A, row["id"])
    assert (refused.status_code, message(refused)[:30]) == (503, "The silence is over, but who e")


def test_what_alertmanager_forgot_is_missing_or_history(
    client: FlaskClient, alertmanager: FakeAlertmanager
) -> None:
    row: Any = create(client, A).json
    gone: Any = create(client, A, comment="ended").json
    expire(client, A, gone["id"])
    alertmanager.silences.clear()
    assert [(silence["id"], silence["status"]) for silence in listed(client, A)] == [(row["id"], "missing")]
    assert [silence["id"] for silence in listed(client, A, "?status=expired")] == [gone["id"]]
    assert listed(client, B, "?status=expired") == []


def test_an_incident_shows_the_silences_of_its_alerts(
    client: FlaskClient, alertmanager: FakeAlertmanager
) -> None:
    own: Any = create(client, A).json
    of_all: Any = create(client, ADMIN, comment="b moves").json
    labels = '{"alertname":"ModelDown","model_name":"m","tenant_id":"a"}'
    reasons = json.dumps(
        [f"silence {own['id']}", f"silence {of_all['id']}", "alert 12"], separators=(",", ":")
    )
    store: AlertStore = client.application.extensions["modelplane"].store
    start = MILLISECONDS - HOUR
    silenced = Observation(
        "alertmanager", "a", "f1", "active", start, start + 60_000, labels, "{}", "", reasons
    )
    earlier = dataclasses.replace(silenced, starts_at=start - 9 * HOUR, last_at=start - 8 * HOUR)
    resolved = dataclasses.replace(
        silenced, kind="resolved", starts_at=start - 9 * HOUR, last_at=start - 8 * HOUR, suppressed_by="[]"
    )
    store.record_poll(
        [dataclasses.replace(earlier, suppressed_by='["silence x"]'), resolved], start, "alertmanager"
    )
    store.record_poll([silenced], MILLISECONDS, "alertmanager")
    store.record_poll(
        [dataclasses.replace(silenced, last_at=start + 120_000, suppressed_by="[]")],
        MILLISECONDS,
        "alertmanager",
    )
    expire(client, A, own["id"])
    incidents: Any = client.get("/api/v1/incidents", headers=bearer(A)).json
    newest, oldest = (incident["id"] for incident in incidents["incidents"])

    def shown(token: str, number: str) -> list[tuple[str, str]]:
        body: Any = client.get(f"/api/v1/incidents/{number}", headers=bearer(token)).json
        return [(silence["id"], silence["expired_by"]) for silence in body["silences"]]

    assert shown(A, newest) == [(own["id"], "Grace")]
    assert sorted(shown(ADMIN, newest)) == sorted([(own["id"], "Grace"), (of_all["id"], "")])
    assert shown(ADMIN, oldest) == []


@pytest.mark.slow
def test_answers_are_as_described(client: FlaskClient) -> None:
    created = create(client, A).json
    document: Any = client.get("/openapi.json", headers=bearer(A)).json
    schemas = {"components": document["components"]}
    body = client.get("/api/v1/silences", headers=bearer(A)).json
    for name, answer in (("Silence", created), ("Silences", body)):
        validator = Draft202012Validator({"$ref": f"#/components/schemas/{name}", **schemas})
        assert list(validator.iter_errors(answer)) == []
