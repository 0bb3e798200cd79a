"""Answers of a store that are none, or more than was requested: what everybody gets of the Prometheus API."""

from __future__ import annotations

from collections.abc import Mapping

import orjson
import pytest
from flask.testing import FlaskClient

from datasource_support.fake_client import API, FakeCaller, FakeClient, Form, failure, ok
from modelplane_datasource.prometheus.errors import BUSY, UpstreamError

OF_TENANT = {"tenant_id": "user-A"}
CALLS = [
    "query?query=up", "query_range?query=up&start=1&end=2&step=1", "query_exemplars?query=up",
    "series?match[]=up", "labels", "label/job/values", "rules", "alerts", "status/buildinfo",
]  # fmt: skip
NO_ANSWERS: Mapping[str, bytes] = {
    "a page to log in": b"<html>login</html>",
    "nothing": b"",
    "text": b"no healthy upstream",
    "JSON that breaks off": b'{"status":"success","data":{"resultType":"vector","result":[{"metric":{"ten',
    "an envelope that breaks off": b'{"status":"success","data":[]',
    "two answers": b'{"status":"success","data":[]}{"status":"success","data":[]}',
    "a list": b"[]",
    "null": b"null",
    "no status": b'{"data":[]}',
    "no data": b'{"status":"success"}',
    "no success": b'{"status":"partial","data":[]}',
    "bare NaN beside the data": b'{"status":"success","data":[],"x":NaN}',
    "data of no call": b'{"status":"success","data":7}',
    "bytes that are no UTF-8": b'{"status":"success","data":["\xff"]}',
}


@pytest.fixture(params=["tenant", "admin"])
def anybody(request: pytest.FixtureRequest, caller: FakeCaller) -> None:
    caller.tenants = ("user-A",) if request.param == "tenant" else None


@pytest.mark.slow
@pytest.mark.usefixtures("anybody")
@pytest.mark.parametrize("body", NO_ANSWERS.values(), ids=NO_ANSWERS)
def test_what_is_no_answer_is_never_a_success(web: FlaskClient, prometheus: FakeClient, body: bytes) -> None:
    prometheus.reply = lambda path, form: (200, body)
    for call in CALLS:
        assert failure(web.get(f"{API}/{call}"))[:2] == (502, "internal"), call


NO_RESULTS = {
    "bare NaN": b'{"resultType":"vector","result":[{"metric":{},"value":[1,NaN]}]}',
    "bare infinity": b'{"resultType":"scalar","result":[1,-Infinity]}',
    "a bare number": b'{"resultType":"vector","result":[{"metric":{},"value":[1,2]}]}',
    "null": b'{"resultType":"vector","result":[{"metric":{},"value":[1,null]}]}',
    "a time that is a text": b'{"resultType":"vector","result":[{"metric":{},"value":["1","2"]}]}',
    "a word": b'{"resultType":"matrix","result":[{"metric":{},"values":[[1,"2"],[2,"user-B"]]}]}',
    "points of other kinds": b'{"resultType":"matrix","result":[{"metric":{},"values":[[1,"2"],{"a":"b"}]}]}',
    "no points": b'{"resultType":"matrix","result":[{"metric":{},"values":{"tenant_id":"user-B"}}]}',
    "a point in a point": b'{"resultType":"matrix","result":[{"metric":{},"values":[[[1,"2"]]]}]}',
    "a word in a scalar": b'{"resultType":"scalar","result":[1,"user-B"]}',
    "more than a point": b'{"resultType":"vector","result":[{"metric":{},"value":[1,"2","3"]}]}',
    "no list": b'{"resultType":"matrix","result":{"metric":{}}}',
    "no type": b'{"result":[]}',
    "another type": b'{"resultType":"streams","result":[]}',
    "no labels": b'{"resultType":"vector","result":[{"value":[1,"2"]}]}',
    "a label that is no text": b'{"resultType":"vector","result":[{"metric":{"tenant_id":null}}]}',
    "a histogram of words": b'{"resultType":"vector","result":[{"metric":{},"histogram":'
    b'[1,{"count":"1","sum":"1","buckets":[[0,"0","user-B","1"]]}]}]}',
    "a histogram of bare NaN": b'{"resultType":"matrix","result":[{"metric":{},"histograms":'
    b'[[1,{"count":"1","sum":NaN}]]}]}',
    "a histogram that is a number": b'{"resultType":"matrix","result":[{"metric":{},"histograms":'
    b'[[1,"1"]]}]}',
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.usefixtures("anybody")
@pytest.mark.parametrize("data", NO_RESULTS.values(), ids=NO_RESULTS)
def test_what_is_no_result_of_a_query_is_never_a_success(
    web: FlaskClient, prometheus: FakeClient, data: bytes
) -> None:
    prometheus.reply = lambda path, form: (200, b'{"status":"success","data":%b}' % data)
    for call in CALLS[:2]:
        status, error_type, text = failure(web.get(f"{API}/{call}"))
        assert (status, error_type) == (502, "internal")
        assert "user-B" not in text


RESULTS = {
    "numbers": {"resultType": "vector", "result": [{"metric": OF_TENANT, "value": [1.25, "NaN"]}]},
    "infinity": {"resultType": "scalar", "result": [4, "+Inf"]},
    "a text": {"resultType": "string", "result": [4, "any text"]},
    "nothing": {"resultType": "matrix", "result": []},
    "a range": {"resultType": "matrix", "result": [{"metric": OF_TENANT, "values": [[1, "1e+06"]]}]},
    "a histogram": {
        "resultType": "vector",
        "result": [
            {
                "metric": OF_TENANT,
                "histogram": [1, {"count": "3", "sum": "0.5", "buckets": [[0, "-Inf", "0.1", "3"]]}],
            }
        ],
    },
    "an empty histogram": {
        "resultType": "vector",
        "result": [{"metric": OF_TENANT, "histogram": [1, {"count": "0", "sum": "0"}]}],
    },
    "numbers, then histograms": {
        "resultType": "matrix",
        "result": [
            {
                "metric": OF_TENANT,
                "values": [[1, "1"]],
                "histograms": [[2, {"count": "1", "sum": "1", "buckets": [[3, "-0.1", "0.1", "1"]]}]],
            }
        ],
    },
}  # fmt: skip


@pytest.mark.usefixtures("anybody")
@pytest.mark.parametrize("data", RESULTS.values(), ids=RESULTS)
def test_results_are_given_as_they_are(web: FlaskClient, prometheus: FakeClient, data: object) -> None:
    prometheus.reply = lambda path, form: data
    for call in CALLS[:2]:
        assert ok(web.get(f"{API}/{call}")) == data


def test_exemplars_are_checked(web: FlaskClient, prometheus: FakeClient) -> None:
    for exemplars in (None, [{"value": "1"}], [{"labels": {"trace_id": 1}, "value": "1"}], "none"):
        prometheus.reply = lambda path, form, e=exemplars: [{"seriesLabels": OF_TENANT, "exemplars": e}]  # type: ignore[misc]
        assert failure(web.get(f"{API}/query_exemplars?query=up"))[:2] == (502, "internal")


@pytest.mark.slow
@pytest.mark.usefixtures("anybody")
@pytest.mark.parametrize("status", [404, 405, 501])
@pytest.mark.parametrize("body", [b"404 page not found\n", b"", b"<html>", b'{"code":5}'])
def test_a_call_that_the_store_does_not_have_is_not_found(
    web: FlaskClient, prometheus: FakeClient, status: int, body: bytes
) -> None:
    """Cortex and others have no status/buildinfo, some have no exemplars, rules or metadata."""
    prometheus.reply = lambda path, form: (status, body)
    for call in CALLS:
        expected = (404, "not_found", "The store behind this API has no such call.")
        assert failure(web.get(f"{API}/{call}")) == expected


@pytest.mark.usefixtures("anybody")
@pytest.mark.parametrize("status", [301, 302, 401, 403, 500, 502, 503, 504])
def test_other_pages_of_the_store_are_no_answers(
    web: FlaskClient, prometheus: FakeClient, status: int
) -> None:
    prometheus.reply = lambda path, form: (status, b"<html>user-B</html>")
    for call in CALLS:
        status_of_answer, error_type, text = failure(web.get(f"{API}/{call}"))
        assert (status_of_answer, error_type) == (502, "internal")
        assert "user-B" not in text


def test_a_store_that_gets_too_many_requests_stays_429(
    web: FlaskClient, prometheus: FakeClient, caller: FakeCaller
) -> None:
    def refuse(path: str, form: Form) -> object:
        raise UpstreamError(BUSY, "Too many.", "Too many, says the store of user-B.", {"Retry-After": "7"})

    prometheus.reply = refuse
    answer = web.get(f"{API}/query?query=up")
    assert failure(answer) == (429, "too_many_requests", "Too many.")
    assert answer.headers["Retry-After"] == "7"
    caller.tenants = None
    assert failure(web.get(f"{API}/query?query=up"))[2] == "Too many, says the store of user-B."


def of_limit(web: FlaskClient, call: str, limit: str) -> tuple[int, list[str]]:
    """How many series or texts an answer has, and its warnings."""
    answer = web.get(f"{API}/{call}{'&' if '?' in call else '?'}limit={limit}")
    body = orjson.loads(answer.data)
    assert answer.status_code == 200, body
    data = body["data"]
    return len(data["result"] if isinstance(data, dict) else data), body.get("warnings", [])


@pytest.mark.usefixtures("anybody")
@pytest.mark.parametrize(
    ("call", "data"),
    [
        ("series?match[]=up", [{**OF_TENANT, "n": str(n)} for n in range(5)]),
        ("labels", list("abcde")),
        ("label/job/values", list("abcde")),
        (
            "query?query=up",
            {"resultType": "vector", "result": [{"metric": {"n": n}, "value": [1, "2"]} for n in "12345"]},
        ),
        (
            "query_range?query=up&start=1&end=2&step=1",
            {"resultType": "matrix", "result": [{"metric": {"n": n}, "values": [[1, "2"]]} for n in "12345"]},
        ),
    ],
)  # fmt: skip
def test_a_limit_holds_whatever_the_store_makes_of_it(
    web: FlaskClient, prometheus: FakeClient, call: str, data: object
) -> None:
    """Prometheus 2.42 ignores it; newer ones warn with the same words."""
    prometheus.reply = lambda path, form: [] if 'tenant_id="b"' in str(form.get("match[]")) else data
    assert of_limit(web, call, "2") == (2, ["results truncated due to limit"])
    for limit in ("5", "6", "0", "", "9" * 18):
        assert of_limit(web, call, limit) == (5, [])
    for limit in ("-1", "two", "1.5", "%2B1", "1e3", "9" * 5000):
        status, error_type, text = failure(web.get(f"{API}/{call}{'&' if '?' in call else '?'}limit={limit}"))
        assert (status, error_type) == (400, "bad_data")
        assert text == "limit must be a whole number from 0 up; 0 is no limit"


def test_a_limit_does_not_cut_a_scalar(web: FlaskClient, prometheus: FakeClient) -> None:
    prometheus.reply = lambda path, form: {"resultType": "scalar", "result": [1, "2"]}
    assert ok(web.get(f"{API}/query?query=1&limit=1"))["result"] == [1, "2"]


def test_metadata_has_a_limit(web: FlaskClient) -> None:
    everything = ok(web.get(f"{API}/metadata?limit=-1&limit_per_metric=1"))
    assert ok(web.get(f"{API}/metadata")) == everything
    assert ok(web.get(f"{API}/metadata?limit=3")) == dict(list(everything.items())[:3])
    assert ok(web.get(f"{API}/metadata?limit=0")) == {}
    assert list(ok(web.get(f"{API}/metadata?limit=1&metric=model_info"))) == ["model_info"]
    assert failure(web.get(f"{API}/metadata?limit=some"))[:2] == (400, "bad_data")


def test_metadata_of_a_store_are_limited_for_those_who_see_them(
    web: FlaskClient, prometheus: FakeClient, caller: FakeCaller
) -> None:
    caller.tenants = None
    known = {name: [{"type": "gauge", "help": "h", "unit": ""}] for name in "abc"}
    prometheus.reply = lambda path, form: known
    assert ok(web.get(f"{API}/metadata?limit=2")) == {name: known[name] for name in "ab"}
    assert prometheus.calls == [("metadata", {"limit": "2"}, "GET")]
