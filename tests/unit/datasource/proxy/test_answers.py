"""Answers of the tenants' Prometheus API: what is given, changed, or dropped whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import orjson
import pytest
from flask import Flask
from flask.testing import FlaskClient

from datasource_support.fake_client import API, NOTHING, FakeCaller, FakeClient, Form, failure, ok, vector
from modelplane_datasource.errors import ApiError
from modelplane_datasource.prometheus.errors import REJECTED, TIMEOUT, UNREACHABLE, UpstreamError

LEAKS = {
    "plain": b'{"metric":{"tenant_id":"user-B"}}',
    "beside the own": b'{"metric":{"tenant_id":"user-A"}},{"metric":{"tenant_id":"user-B"}}',
    "with blanks": b'{"metric":{"tenant_id" : "user-B"}}',
    "with an escaped label": b'{"metric":{"tenant\\u005fid":"user-B"}}',
    "with an escaped value": b'{"metric":{"tenant_id":"user-\\u0042"}}',
    "of all tenants": b'{"metric":{"tenant_id":"__all__"}}',
    "empty": b'{"metric":{"tenant_id":""}}',
    "the second of two": b'{"metric":{"tenant_id":"user-A","tenant_id":"user-B"}}',
    "of a histogram": b'{"metric":{"tenant_id":"user-B"},"histogram":[1,{"count":"1","sum":"1"}]}',
}


@pytest.mark.parametrize("series", LEAKS.values(), ids=LEAKS)
def test_an_answer_with_another_tenant_is_dropped_whole(
    web: FlaskClient, prometheus: FakeClient, series: bytes
) -> None:
    body = b'{"status":"success","data":{"resultType":"vector","result":[' + series + b"]}}"
    prometheus.reply = lambda path, form: (200, body)
    answer = web.get(f"{API}/query?query=up")
    assert failure(answer) == (502, "internal", "The answer held what is not yours and was dropped.")


@pytest.mark.parametrize("text", ['"tenant_id":"user-B"', "tenant_id", "\\u005f", '{"tenant_id":"user-B"}'])
def test_texts_that_look_like_labels_are_none(web: FlaskClient, prometheus: FakeClient, text: str) -> None:
    prometheus.reply = lambda path, form: vector({"tenant_id": "user-A", "job": text})
    assert ok(web.get(f"{API}/query?query=up"))["result"][0]["metric"]["job"] == text


def test_ids_that_need_escapes_are_recognised(
    web: FlaskClient, prometheus: FakeClient, caller: FakeCaller
) -> None:
    caller.tenants = ('a"\\\n<é>',)
    prometheus.reply = lambda path, form: vector({"tenant_id": 'a"\\\n<é>'})
    ok(web.get(f"{API}/query?query=up"))
    prometheus.reply = lambda path, form: vector({"tenant_id": 'a"'})
    assert failure(web.get(f"{API}/query?query=up"))[0] == 502


def test_series_are_of_the_tenant(web: FlaskClient, prometheus: FakeClient) -> None:
    prometheus.reply = lambda path, form: [{"__name__": "up", "tenant_id": "user-A"}]
    assert len(ok(web.get(f"{API}/series?match[]=up&match[]=down{{a='b'}}&limit=5"))) == 1
    selectors = ['{__name__="up",tenant_id="user-A"}', '{__name__="down",a="b",tenant_id="user-A"}']
    assert prometheus.calls == [("series", {"match[]": selectors, "limit": "5"}, "POST")]
    prometheus.reply = lambda path, form: [{"__name__": "up"}]
    assert failure(web.get(f"{API}/series?match[]=up"))[0] == 502


def test_exemplars_are_of_the_tenant(web: FlaskClient, prometheus: FakeClient) -> None:
    exemplars = {
        "seriesLabels": {"tenant_id": "user-A"},
        "exemplars": [{"labels": {"trace_id": "1"}, "value": "1"}],
    }
    prometheus.reply = lambda path, form: [exemplars]
    assert ok(web.get(f"{API}/query_exemplars?query=up")) == [exemplars]
    leaks: tuple[dict[str, Any], ...] = (
        {"seriesLabels": {}, "exemplars": []},
        {"seriesLabels": {"tenant_id": "user-A"}, "exemplars": [{"labels": {"tenant_id": "user-B"}}]},
    )
    for leak in leaks:
        prometheus.reply = lambda path, form, leak=leak: [leak]  # type: ignore[misc]
        assert failure(web.get(f"{API}/query_exemplars?query=up"))[0] == 502


def test_exemplars_of_a_query_without_selector_are_none(
    web: FlaskClient, prometheus: FakeClient, caller: FakeCaller
) -> None:
    prometheus.reply = lambda path, form: (204, b"")
    assert ok(web.get(f"{API}/query_exemplars?query=1")) == []
    caller.tenants = None
    assert ok(web.get(f"{API}/query_exemplars?query=1")) == []


def values_of(*texts: str) -> Callable[[str, Form], Sequence[str]]:
    return lambda path, form: [] if form["match[]"] == [NOTHING] else list(texts)


def test_names_and_values_of_labels_are_those_of_the_tenants_series(
    web: FlaskClient, prometheus: FakeClient
) -> None:
    prometheus.reply = values_of("resnet50")
    selector = '{tenant_id="user-A"}'
    assert ok(web.get(f"{API}/label/model_name/values?start=1")) == ["resnet50"]
    requested = ("label/model_name/values", {"match[]": [selector], "start": "1"}, "GET")
    assert prometheus.calls[0] == requested
    assert ok(web.get(f"{API}/labels?match[]=up")) == ["resnet50"]
    assert prometheus.calls[2] == ("labels", {"match[]": ['{__name__="up",tenant_id="user-A"}']}, "POST")


def test_tenants_are_only_the_callers(web: FlaskClient, prometheus: FakeClient) -> None:
    prometheus.reply = values_of("user-A")
    assert ok(web.get(f"{API}/label/tenant_id/values")) == ["user-A"]
    prometheus.reply = values_of("user-A", "user-B")
    assert failure(web.get(f"{API}/label/tenant_id/values"))[0] == 502


def alert(**labels: str) -> dict[str, Any]:
    return {"labels": {"alertname": "Slow", **labels}, "state": "firing", "value": "1"}


def test_alerts_are_of_the_tenant(web: FlaskClient, prometheus: FakeClient) -> None:
    tenant_alert = alert(tenant_id="user-A")
    prometheus.reply = lambda path, form: {"alerts": [alert(tenant_id="user-B"), tenant_alert, alert()]}
    assert ok(web.get(f"{API}/alerts")) == {"alerts": [tenant_alert]}


def test_rules_are_those_provably_about_the_tenant(web: FlaskClient, prometheus: FakeClient) -> None:
    def rule(name: str, query: str, **more: object) -> dict[str, object]:
        return {"name": name, "query": query, "type": "alerting", **more}

    tenant_query = 'x{tenant_id="user-A"} > 1'
    rules = [
        rule("own", tenant_query, alerts=[alert(tenant_id="user-A"), alert(tenant_id="user-B"), alert()]),
        rule("own constant", "vector(5)", labels={"tenant_id": "user-A"}),
        rule("a constant of others", "vector(7777)", labels={"tenant_id": "user-B"}),
        rule("a constant of nobody", "vector(7777)", labels={"model_name": "m"}),
        rule("generic", "sum by (tenant_id) (x) > 1", alerts=[alert(tenant_id="user-A")]),
        rule("both", 'x{tenant_id="user-A"} > scalar(x{tenant_id="user-B"})'),
        rule("labelled own, about others", 'x{tenant_id="user-B"}', labels={"tenant_id": "user-A"}),
        rule("own, labelled with others", tenant_query, labels={"tenant_id": "user-B"}),
        rule("not readable", "x anchored"),
    ]
    groups = [
        {"name": "g", "file": "f", "interval": 60, "evaluationTime": 3.5, "rules": rules},
        {"name": "of user-B", "file": "f", "interval": 60, "rules": rules[2:4]},
    ]
    prometheus.reply = lambda path, form: {"groups": groups}
    (group,) = ok(web.get(f"{API}/rules?type=alert&rule_name[]=own"))["groups"]
    assert [entry["name"] for entry in group.pop("rules")] == ["own", "own constant"]
    assert group == {"name": "g", "file": "f", "interval": 60, "evaluationTime": 0}
    assert prometheus.calls == [("rules", {"type": "alert", "rule_name[]": ["own"]}, "GET")]
    first = ok(web.get(f"{API}/rules"))["groups"][0]["rules"][0]
    assert first["alerts"] == [alert(tenant_id="user-A")]


def test_metadata_is_that_of_the_schema(web: FlaskClient, prometheus: FakeClient) -> None:
    result = ok(web.get(f"{API}/metadata"))
    assert result["model_inference_requests_total"][0]["type"] == "counter"
    assert result["modelplane:requests:rate5m"][0]["type"] == "gauge"
    units = {name: entries[0]["unit"] for name, entries in result.items()}
    assert units["model_inference_latency_seconds"] == "seconds"
    assert units["model_inference_device_seconds_total"] == "seconds"
    assert units["model_device_memory_used_bytes"] == "bytes"
    assert units["model_device_energy_joules_total"] == "joules"
    assert units["modelplane:latency_seconds:quantile5m"] == "seconds"
    assert units["model_inference_requests_total"] == units["modelplane:requests:rate5m"] == ""
    assert list(ok(web.get(f"{API}/metadata?metric=model_info"))) == ["model_info"]
    assert ok(web.get(f"{API}/metadata?metric=secret_metric")) == {}
    assert prometheus.calls == []


def test_build_information_does_not_say_where_it_was_built(web: FlaskClient, prometheus: FakeClient) -> None:
    prometheus.reply = lambda path, form: {"version": "2.42.0", "buildUser": "root@host", "goVersion": "go1"}
    assert ok(web.get(f"{API}/status/buildinfo")) == {"version": "2.42.0"}


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, {"status": "error", "errorType": "bad_data", "error": "secret"}, (400, "bad_data")),
        (422, {"status": "error", "errorType": "execution", "error": "secret"}, (422, "execution")),
        (422, {"status": "error", "errorType": "422", "error": "secret"}, (422, "422")),
        (422, {"status": "error", "errorType": "secret", "error": "secret"}, (422, "internal")),
        (503, {"status": "error", "errorType": "timeout", "error": "secret"}, (503, "timeout")),
        (500, {"status": "error", "errorType": "internal", "error": "secret"}, None),
        (302, {"status": "error", "errorType": "internal", "error": "secret"}, None),
        (400, ["secret"], None),
    ],
)
def test_failures_of_prometheus(
    web: FlaskClient, prometheus: FakeClient, caller: FakeCaller, status: int, body: Any, expected: object
) -> None:
    """An operator reads what Prometheus says, a tenant that it said something."""
    prometheus.reply = lambda path, form: (status, orjson.dumps(body))
    *result, text = failure(web.get(f"{API}/query?query=up"))
    assert tuple(result) == (expected or (502, "internal"))
    assert "secret" not in text
    if expected:
        caller.tenants = None
        assert failure(web.get(f"{API}/query?query=up")) == (status, body["errorType"], body["error"])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            'found duplicate series for the match group {model="secret"} on the right hand-side',
            "found duplicate series for the match group",
        ),
        (
            "expanding series: query processing would load too many samples into memory in query execution",
            "query processing would load too many samples into memory in query execution",
        ),
        (
            'invalid parameter "query": 1:1: parse error: error parsing regexp: missing closing ): `(secret`',
            "error parsing regexp: missing closing )",
        ),
        ('invalid parameter "step": cannot parse "secret"', 'invalid parameter "step"'),
        (
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing",
            "exceeded maximum resolution of 11,000 points per timeseries",
        ),
        ("store secret-1 is down", "the reason is for operators, and in the backend's log"),
    ],
)
def test_a_tenant_reads_the_constant_part_of_a_reason(
    web: FlaskClient, prometheus: FakeClient, text: str, shown: str
) -> None:
    body = {"status": "error", "errorType": "bad_data", "error": text}
    prometheus.reply = lambda path, form: (400, orjson.dumps(body))
    expected = (400, "bad_data", f"Prometheus refused this: {shown}.")
    assert failure(web.get(f"{API}/query?query=up")) == expected


@pytest.mark.parametrize(
    ("kind", "expected"),
    [(UNREACHABLE, (503, "unavailable")), (TIMEOUT, (503, "timeout")), (REJECTED, (422, "execution"))],
)
def test_failures_on_the_way(
    web: FlaskClient, prometheus: FakeClient, kind: str, expected: tuple[int, str]
) -> None:
    def fail(path: str, form: Form) -> object:
        raise UpstreamError(kind, "Not now.")

    prometheus.reply = fail
    assert failure(web.get(f"{API}/query?query=up")) == (*expected, "Not now.")


@pytest.mark.parametrize("call", ["series?match[]=up", "alerts", "rules", "labels", "status/buildinfo"])
@pytest.mark.parametrize(
    "body", [b"<html>", b"[]", b'{"status":"success"}', b'{"data":5}', b'{"data":{"a":1}}']
)
def test_answers_that_are_none(web: FlaskClient, prometheus: FakeClient, call: str, body: bytes) -> None:
    prometheus.reply = lambda path, form: (200, body)
    assert failure(web.get(f"{API}/{call}"))[:2] == (502, "internal")


def test_refusals_of_the_application_have_prometheus_shape(app: Flask) -> None:
    @app.before_request
    def refuse() -> None:
        raise ApiError(401, "unauthenticated", "A token is needed.", headers={"WWW-Authenticate": "Bearer"})

    answer = app.test_client().get(f"{API}/query?query=up")
    assert failure(answer) == (401, "unauthorized", "A token is needed.")
    assert answer.headers["WWW-Authenticate"] == "Bearer"
