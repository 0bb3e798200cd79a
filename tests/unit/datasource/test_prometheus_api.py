"""The tenant-scoped Prometheus API over a Prometheus that answers what a test tells it to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

import orjson
import pytest
from flask import Flask
from flask.testing import FlaskClient

from modelplane_datasource.api.prometheus import prometheus_blueprint
from modelplane_datasource.context import Plane
from modelplane_datasource.errors import ApiError
from modelplane_datasource.prometheus.decoding import REJECTED, TIMEOUT, UNREACHABLE, UpstreamError
from modelplane_datasource.proxy.calls import CALLS
from modelplane_datasource.settings import Settings
from modelplane_datasource.web.error_handlers import register_error_handlers
from modelplane_datasource.web.openapi import openapi_document

API = "/prometheus/api/v1"
NOTHING = '{tenant_id="a",tenant_id="b"}'
EMPTY: Mapping[str, Any] = {"resultType": "vector", "result": []}

Form = dict[str, Any]


class FakePrometheus:
    """``reply(path, form)`` gives ``data`` or a whole (status, body); ``calls`` are (path, form, method)."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Form, str]] = []
        self.reply: Callable[[str, Form], object] = lambda path, form: EMPTY

    def forward(self, path: str, form: Form, method: str = "POST") -> tuple[int, bytes]:
        form = dict(form)
        self.calls.append((path, form, method))
        answer = self.reply(path, form)
        if isinstance(answer, tuple):
            return cast("tuple[int, bytes]", answer)
        return 200, orjson.dumps({"status": "success", "data": answer})

    def at_once(self, *calls: Callable[[], object]) -> list[object]:
        return [call() for call in calls]


class Caller:
    """Whose request it is."""

    def __init__(self) -> None:
        self.tenants: tuple[str, ...] | None = ("user-A",)

    def __call__(self) -> tuple[str, ...] | None:
        return self.tenants


@pytest.fixture
def prometheus() -> FakePrometheus:
    return FakePrometheus()


@pytest.fixture
def caller() -> Caller:
    return Caller()


@pytest.fixture
def app(prometheus: FakePrometheus, caller: Caller) -> Flask:
    made = Flask(__name__, static_folder=None)
    made.config["MAX_CONTENT_LENGTH"] = 10_000
    made.url_map.strict_slashes = False
    made.url_map.merge_slashes = False
    register_error_handlers(made)
    plane = cast(Plane, SimpleNamespace(prometheus=prometheus, settings=Settings()))
    made.register_blueprint(prometheus_blueprint(plane, caller))
    return made


@pytest.fixture
def web(app: Flask) -> FlaskClient:
    return app.test_client()


def failure(response: Any) -> tuple[int, str, str]:
    assert response.content_type == "application/json"
    body = response.get_json()
    assert body["status"] == "error"
    return response.status_code, body["errorType"], body["error"]


def ok(response: Any) -> Any:
    body = response.get_json()
    assert (response.status_code, body["status"]) == (200, "success"), body
    return body["data"]


def vector(*labels: Mapping[str, str]) -> Mapping[str, object]:
    return {"resultType": "vector", "result": [{"metric": one, "value": [1, "2"]} for one in labels]}


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_query_is_sent_restricted_with_known_parameters_only(
    web: FlaskClient, prometheus: FakePrometheus, method: str
) -> None:
    given = {"query": "up", "start": "1", "end": "2", "step": "1", "timeout": "1d", "stats": "all",
             "extra_label": "tenant_id=user-B", "Query": "up"}  # fmt: skip
    where = {"query_string": given} if method == "GET" else {"data": given}
    assert ok(web.open(f"{API}/query_range", method=method, **where)) == EMPTY
    query = '{__name__="up",tenant_id="user-A"}'
    form = {"query": query, "start": "1", "end": "2", "step": "1"}
    assert prometheus.calls == [("query_range", form, "POST")]


def test_an_answer_is_given_byte_for_byte(web: FlaskClient, prometheus: FakePrometheus) -> None:
    body = b'{"status":"success", "data":{"result":[{"metric":{"tenant_id":"user-A"}}]},"warnings":["w"]}'
    prometheus.reply = lambda path, form: (200, body)
    assert web.get(f"{API}/query?query=up").data == body


def test_an_admin_asks_what_they_like_on_the_same_paths(
    web: FlaskClient, prometheus: FakePrometheus, caller: Caller
) -> None:
    caller.tenants = None
    prometheus.reply = lambda path, form: vector({"tenant_id": "user-B"})
    assert ok(web.get(f"{API}/query?query=info(up)"))["result"][0]["metric"] == {"tenant_id": "user-B"}
    assert prometheus.calls == [("query", {"query": "info(up)"}, "POST")]
    assert failure(web.get("/prometheus/api/v1/targets"))[0] == 404


def test_several_tenants_are_listed(web: FlaskClient, prometheus: FakePrometheus, caller: Caller) -> None:
    caller.tenants = ("user-B", "user-A")
    prometheus.reply = lambda path, form: vector({"tenant_id": "user-A"}, {"tenant_id": "user-B"})
    ok(web.get(f"{API}/query?query=up"))
    assert prometheus.calls[0][1]["query"] == '{__name__="up",tenant_id=~"user-A|user-B"}'


def test_a_caller_without_tenants_gets_nothing(
    web: FlaskClient, prometheus: FakePrometheus, caller: Caller
) -> None:
    caller.tenants = ()
    for call in CALLS:
        path = API + call.rule.replace("<name>", "job")
        answer = web.get(path, query_string=dict.fromkeys(call.required, "up"))
        assert failure(answer)[:2] == (403, "forbidden")
    assert prometheus.calls == []


@pytest.mark.parametrize(
    "path",
    [
        "/prometheus", "/prometheus/", "/prometheus/graph", "/prometheus/metrics", "/prometheus/federate",
        "/prometheus/-/healthy", "/prometheus/api/v1", "/prometheus/api/v1/targets", f"{API}/status/config",
        f"{API}/status/flags", f"{API}/status/tsdb", f"{API}/admin/tsdb/snapshot", f"{API}/write",
        f"{API}/read", f"{API}/alertmanagers", f"{API}/targets/metadata", f"{API}/label//values",
        f"{API}/label/a/b/values", f"{API}/label/a%2fb/values",
        "/prometheus//api/v1/query", "/prometheus/api/v1/./query",
        f"{API}/QUERY",
        "/prometheus/api/v1/query/..", "/prometheus/x/../api/v1/query", "/prometheus/api/v2/query",
    ],
)  # fmt: skip
def test_everything_else_is_not_found_in_prometheus_shape(
    web: FlaskClient, prometheus: FakePrometheus, path: str
) -> None:
    for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS"):
        assert failure(web.open(f"{path}?query=up", method=method))[:2] == (404, "not_found")
    assert prometheus.calls == []


def test_paths_outside_keep_the_shape_of_the_rest(web: FlaskClient) -> None:
    assert web.get("/prometheus-other").get_json()["error"] == "not_found"
    assert web.get("/api/v1/query").get_json()["details"] == {}


def test_other_methods_are_not_allowed(web: FlaskClient, prometheus: FakePrometheus) -> None:
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS"):
        answer = web.open(f"{API}/query?query=up", method=method)
        assert answer.status_code == 405
        assert {"GET", "POST"} <= set(answer.headers["Allow"].split(", "))
    assert prometheus.calls == []


def test_a_trailing_slash_is_filtered_like_the_path_without(
    web: FlaskClient, prometheus: FakePrometheus
) -> None:
    """Weak point (c) of label proxies: filters that are looked up by the exact path."""
    prometheus.reply = lambda path, form: {"alerts": [{"labels": {"tenant_id": "user-B"}}]}
    answer = web.get(f"{API}/alerts/")
    assert answer.status_code == 404 or ok(answer) == {"alerts": []}


def test_a_selector_in_an_aggregation_parameter_is_restricted(
    web: FlaskClient, prometheus: FakePrometheus
) -> None:
    """Weak point (a)."""
    ok(web.get(f"{API}/query", query_string={"query": "topk(scalar(secret), up)"}))
    assert prometheus.calls[0][1]["query"].count('tenant_id="user-A"') == 2


def test_info_is_refused(web: FlaskClient, prometheus: FakePrometheus) -> None:
    """Weak point (b)."""
    assert failure(web.get(f"{API}/query?query=info(up)"))[:2] == (403, "forbidden")
    assert prometheus.calls == []


def test_a_parameter_in_url_and_body_is_refused(web: FlaskClient, prometheus: FakePrometheus) -> None:
    """Weak point (d)."""
    answer = web.post(f"{API}/query?query=up", data={"query": "down"})
    assert failure(answer) == (400, "bad_data", "query is in the URL and in the body; allowed: in one")
    answer = web.post(f"{API}/series?match[]=up", data={"match[]": "down"})
    assert failure(answer)[:2] == (400, "bad_data")
    assert prometheus.calls == []


def test_grafanas_health_check_is_answered(web: FlaskClient, prometheus: FakePrometheus) -> None:
    """Weak point (e)."""
    prometheus.reply = lambda path, form: {"resultType": "scalar", "result": [4, "2"]}
    assert ok(web.post(f"{API}/query", data={"query": "1+1", "time": "4"}))["result"] == [4, "2"]


def test_a_store_that_ignores_selectors_of_values_is_found_out(
    web: FlaskClient, prometheus: FakePrometheus
) -> None:
    """Weak point (f)."""
    prometheus.reply = lambda path, form: ["resnet50", "secret-model"]
    for path in ("labels", "label/model_name/values"):
        assert failure(web.get(f"{API}/{path}"))[:2] == (502, "internal")
    assert prometheus.calls[1][1] == {"match[]": [NOTHING]}


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("query", "query is required"),
        ("query?query=up&query=up", "query occurs 2 times; allowed: at most 1"),
        ("query?query=up&time=1&time=1", "time occurs 2 times; allowed: at most 1"),
        ("query_range?query=up&start=1&end=2", "step is required"),
        ("query_exemplars?start=1", "query is required"),
        ("series", "match[] is required"),
        ("series?match[]=rate(up[5m])", "must be a series selector"),
        ("series?" + "&".join(["match[]=up"] * 65), "match[] occurs 65 times; allowed: at most 64"),
        ("label/a-b/values", "invalid label name: 'a-b'"),
        ("query?query=up{", "parse error"),
        ("query?query=", "parse error"),
    ],
)
def test_bad_input_is_bad_data(web: FlaskClient, prometheus: FakePrometheus, path: str, problem: str) -> None:
    status, error_type, text = failure(web.get(f"{API}/{path}"))
    assert (status, error_type) == (400, "bad_data")
    assert problem in text
    assert prometheus.calls == []


@pytest.mark.parametrize(
    "content_type", ["application/json", "multipart/form-data; boundary=x", "text/plain"]
)
def test_a_body_is_a_form(web: FlaskClient, prometheus: FakePrometheus, content_type: str) -> None:
    answer = web.post(f"{API}/query?query=up", data=b"query=down", content_type=content_type)
    assert failure(answer)[:2] == (400, "bad_data")
    assert prometheus.calls == []


def test_a_large_body_is_refused(web: FlaskClient) -> None:
    assert failure(web.post(f"{API}/query", data={"query": "x" * 20_000}))[:2] == (413, "bad_data")


LEAKS = {
    "plain": b'{"metric":{"tenant_id":"user-B"}}',
    "beside the own": b'{"metric":{"tenant_id":"user-A"}},{"metric":{"tenant_id":"user-B"}}',
    "with blanks": b'{"metric":{"tenant_id" : "user-B"}}',
    "with an escaped label": b'{"metric":{"tenant\\u005fid":"user-B"}}',
    "with an escaped value": b'{"metric":{"tenant_id":"user-\\u0042"}}',
    "of all tenants": b'{"metric":{"tenant_id":"__all__"}}',
    "empty": b'{"metric":{"tenant_id":""}}',
    "no text": b'{"metric":{"tenant_id":null}}',
}


@pytest.mark.parametrize("series", LEAKS.values(), ids=LEAKS)
def test_an_answer_with_another_tenant_is_dropped_whole(
    web: FlaskClient, prometheus: FakePrometheus, series: bytes
) -> None:
    body = b'{"status":"success","data":{"resultType":"vector","result":[' + series + b"]}}"
    prometheus.reply = lambda path, form: (200, body)
    answer = web.get(f"{API}/query?query=up")
    assert failure(answer) == (502, "internal", "The answer held what is not yours and was dropped.")


@pytest.mark.parametrize("text", ['"tenant_id":"user-B"', "tenant_id", "\\u005f", '{"tenant_id":"user-B"}'])
def test_texts_that_look_like_labels_are_none(
    web: FlaskClient, prometheus: FakePrometheus, text: str
) -> None:
    prometheus.reply = lambda path, form: vector({"tenant_id": "user-A", "job": text})
    assert ok(web.get(f"{API}/query?query=up"))["result"][0]["metric"]["job"] == text


def test_ids_that_need_escapes_are_recognised(
    web: FlaskClient, prometheus: FakePrometheus, caller: Caller
) -> None:
    caller.tenants = ('a"\\\n<é>',)
    prometheus.reply = lambda path, form: vector({"tenant_id": 'a"\\\n<é>'})
    ok(web.get(f"{API}/query?query=up"))
    prometheus.reply = lambda path, form: vector({"tenant_id": 'a"'})
    assert failure(web.get(f"{API}/query?query=up"))[0] == 502


def test_series_are_of_the_tenant(web: FlaskClient, prometheus: FakePrometheus) -> None:
    prometheus.reply = lambda path, form: [{"__name__": "up", "tenant_id": "user-A"}]
    assert len(ok(web.get(f"{API}/series?match[]=up&match[]=down{{a='b'}}&limit=5"))) == 1
    selectors = ['{__name__="up",tenant_id="user-A"}', '{__name__="down",a="b",tenant_id="user-A"}']
    assert prometheus.calls == [("series", {"match[]": selectors, "limit": "5"}, "POST")]
    prometheus.reply = lambda path, form: [{"__name__": "up"}]
    assert failure(web.get(f"{API}/series?match[]=up"))[0] == 502


def test_exemplars_are_of_the_tenant(web: FlaskClient, prometheus: FakePrometheus) -> None:
    own = {
        "seriesLabels": {"tenant_id": "user-A"},
        "exemplars": [{"labels": {"trace_id": "1"}, "value": "1"}],
    }
    prometheus.reply = lambda path, form: [own]
    assert ok(web.get(f"{API}/query_exemplars?query=up")) == [own]
    for leak in (
        {"seriesLabels": {}, "exemplars": []},
        {"seriesLabels": {"tenant_id": "user-A"}, "exemplars": [{"labels": {"tenant_id": "user-B"}}]},
    ):
        prometheus.reply = lambda path, form, leak=leak: [leak]  # type: ignore[misc]
        assert failure(web.get(f"{API}/query_exemplars?query=up"))[0] == 502


def test_exemplars_of_a_query_without_selector_are_none(
    web: FlaskClient, prometheus: FakePrometheus, caller: Caller
) -> None:
    prometheus.reply = lambda path, form: (204, b"")
    assert ok(web.get(f"{API}/query_exemplars?query=1")) == []
    caller.tenants = None
    assert ok(web.get(f"{API}/query_exemplars?query=1")) == []


def values_of(*texts: str) -> Callable[[str, Form], Sequence[str]]:
    return lambda path, form: [] if form["match[]"] == [NOTHING] else list(texts)


def test_names_and_values_of_labels_are_those_of_the_tenants_series(
    web: FlaskClient, prometheus: FakePrometheus
) -> None:
    prometheus.reply = values_of("resnet50")
    own = '{tenant_id="user-A"}'
    assert ok(web.get(f"{API}/label/model_name/values?start=1")) == ["resnet50"]
    asked = ("label/model_name/values", {"match[]": [own], "start": "1"}, "GET")
    assert prometheus.calls[0] == asked
    assert ok(web.get(f"{API}/labels?match[]=up")) == ["resnet50"]
    assert prometheus.calls[2] == ("labels", {"match[]": ['{__name__="up",tenant_id="user-A"}']}, "POST")


def test_tenants_are_only_the_callers(web: FlaskClient, prometheus: FakePrometheus) -> None:
    prometheus.reply = values_of("user-A")
    assert ok(web.get(f"{API}/label/tenant_id/values")) == ["user-A"]
    prometheus.reply = values_of("user-A", "user-B")
    assert failure(web.get(f"{API}/label/tenant_id/values"))[0] == 502


def alert(**labels: str) -> dict[str, Any]:
    return {"labels": {"alertname": "Slow", **labels}, "state": "firing", "value": "1"}


def test_alerts_are_of_the_tenant(web: FlaskClient, prometheus: FakePrometheus) -> None:
    own = alert(tenant_id="user-A")
    prometheus.reply = lambda path, form: {"alerts": [alert(tenant_id="user-B"), own, alert()]}
    assert ok(web.get(f"{API}/alerts")) == {"alerts": [own]}


def test_rules_are_those_provably_about_the_tenant(web: FlaskClient, prometheus: FakePrometheus) -> None:
    def rule(name: str, query: str, **more: object) -> dict[str, object]:
        return {"name": name, "query": query, "type": "alerting", **more}

    own = 'x{tenant_id="user-A"} > 1'
    rules = [
        rule("own", own, alerts=[alert(tenant_id="user-A"), alert(tenant_id="user-B"), alert()]),
        rule("own constant", "vector(5)", labels={"tenant_id": "user-A"}),
        rule("a constant of others", "vector(7777)", labels={"tenant_id": "user-B"}),
        rule("a constant of nobody", "vector(7777)", labels={"model_name": "m"}),
        rule("generic", "sum by (tenant_id) (x) > 1", alerts=[alert(tenant_id="user-A")]),
        rule("both", 'x{tenant_id="user-A"} > scalar(x{tenant_id="user-B"})'),
        rule("labelled own, about others", 'x{tenant_id="user-B"}', labels={"tenant_id": "user-A"}),
        rule("own, labelled with others", own, labels={"tenant_id": "user-B"}),
        rule("not readable", "x anchored"),
    ]
    groups = [
        {"name": "g", "file": "f", "interval": 60, "evaluationTime": 3.5, "rules": rules},
        {"name": "of user-B", "file": "f", "interval": 60, "rules": rules[2:4]},
    ]
    prometheus.reply = lambda path, form: {"groups": groups}
    (group,) = ok(web.get(f"{API}/rules?type=alert&rule_name[]=own"))["groups"]
    assert [one["name"] for one in group.pop("rules")] == ["own", "own constant"]
    assert group == {"name": "g", "file": "f", "interval": 60, "evaluationTime": 0}
    assert prometheus.calls == [("rules", {"type": "alert", "rule_name[]": ["own"]}, "GET")]
    first = ok(web.get(f"{API}/rules"))["groups"][0]["rules"][0]
    assert first["alerts"] == [alert(tenant_id="user-A")]


def test_metadata_is_that_of_the_schema(web: FlaskClient, prometheus: FakePrometheus) -> None:
    found = ok(web.get(f"{API}/metadata"))
    assert found["model_inference_requests_total"][0]["type"] == "counter"
    assert found["modelplane:requests:rate5m"][0]["type"] == "gauge"
    assert list(ok(web.get(f"{API}/metadata?metric=model_info"))) == ["model_info"]
    assert ok(web.get(f"{API}/metadata?metric=secret_metric")) == {}
    assert prometheus.calls == []


def test_build_information_does_not_say_where_it_was_built(
    web: FlaskClient, prometheus: FakePrometheus
) -> None:
    prometheus.reply = lambda path, form: {"version": "2.42.0", "buildUser": "root@host", "goVersion": "go1"}
    assert ok(web.get(f"{API}/status/buildinfo")) == {"version": "2.42.0"}


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, {"status": "error", "errorType": "bad_data", "error": "no"}, (400, "bad_data", "no")),
        (422, {"status": "error", "errorType": "execution", "error": "dup"}, (422, "execution", "dup")),
        (503, {"status": "error", "errorType": "timeout", "error": "slow"}, (503, "timeout", "slow")),
        (500, {"status": "error", "errorType": "internal", "error": "secret"}, None),
        (302, {"status": "error", "errorType": "internal", "error": "secret"}, None),
        (400, ["secret"], None),
    ],
)
def test_failures_of_prometheus(
    web: FlaskClient, prometheus: FakePrometheus, status: int, body: object, expected: object
) -> None:
    prometheus.reply = lambda path, form: (status, orjson.dumps(body))
    found = failure(web.get(f"{API}/query?query=up"))
    if expected is not None:
        assert found == expected
    else:
        assert found[:2] == (502, "internal")
        assert "secret" not in found[2]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [(UNREACHABLE, (503, "unavailable")), (TIMEOUT, (503, "timeout")), (REJECTED, (422, "execution"))],
)
def test_failures_on_the_way(
    web: FlaskClient, prometheus: FakePrometheus, kind: str, expected: tuple[int, str]
) -> None:
    def fail(path: str, form: Form) -> object:
        raise UpstreamError(kind, "Not now.")

    prometheus.reply = fail
    assert failure(web.get(f"{API}/query?query=up")) == (*expected, "Not now.")


@pytest.mark.parametrize("call", ["series?match[]=up", "alerts", "rules", "labels", "status/buildinfo"])
@pytest.mark.parametrize(
    "body", [b"<html>", b"[]", b'{"status":"success"}', b'{"data":5}', b'{"data":{"a":1}}']
)
def test_answers_that_are_none(web: FlaskClient, prometheus: FakePrometheus, call: str, body: bytes) -> None:
    prometheus.reply = lambda path, form: (200, body)
    answer = web.get(f"{API}/{call}")
    if call == "status/buildinfo" and body == b'{"data":{"a":1}}':
        assert ok(answer) == {}
    else:
        assert failure(answer)[:2] == (502, "internal")


def test_refusals_of_the_application_have_prometheus_shape(app: Flask) -> None:
    @app.before_request
    def refuse() -> None:
        raise ApiError(401, "unauthenticated", "A token is needed.", headers={"WWW-Authenticate": "Bearer"})

    answer = app.test_client().get(f"{API}/query?query=up")
    assert failure(answer) == (401, "unauthorized", "A token is needed.")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_every_call_is_in_the_specification(app: Flask) -> None:
    paths = openapi_document(app, protected=True)["paths"]
    assert set(paths) == {API + call.rule.replace("<name>", "tenant_id") for call in CALLS}
    assert all(set(methods) == {"get", "post"} for methods in paths.values())
