from __future__ import annotations

import dataclasses
import socket
import threading
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from datasource_support.callers import called_by_operator
from datasource_support.clients import prometheus_client
from datasource_support.fake_prometheus import FakePrometheus, matrix_reply
from modelplane_datasource.prometheus.client import PrometheusClient
from modelplane_datasource.prometheus.errors import REJECTED, UpstreamError
from modelplane_datasource.settings import Settings
from modelplane_datasource.tenancy.notices import forget_notices, noted_for_caller
from modelplane_datasource.timeline.grid import Grid
from modelplane_provisioning.processes import free_port

GRID = Grid(1000, 61_500, 30_000)


@pytest.fixture
def kinds() -> list[str]:
    return []


@pytest.fixture
def make_prometheus(kinds: list[str]) -> Iterator[Callable[[Settings], PrometheusClient]]:
    made = []

    def make(settings: Settings) -> PrometheusClient:
        made.append(prometheus_client(settings, kinds.append))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def prometheus(
    settings: Settings, make_prometheus: Callable[[Settings], PrometheusClient]
) -> PrometheusClient:
    return make_prometheus(dataclasses.replace(settings, org_id="acme"))


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def url_of(listener: socket.socket) -> str:
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_values_lie_on_the_grid_and_only_finite_ones_are_numbers(
    upstream: FakePrometheus, prometheus: PrometheusClient
) -> None:
    points = [(1, "0.5"), (31, "NaN"), (61.0, "1e3")]
    upstream.reply = lambda *_: matrix_reply(
        ({"a": "x"}, points), ({"a": "y"}, [(31, "+Inf"), (61, "-Inf")]), warnings=["partial"]
    )
    forget_notices()
    result = prometheus.query_range("up", GRID)
    labelled_values: list[object] = [(series.labels, series.values) for series in result]
    assert labelled_values == [
        ({"a": "x"}, (0.5, None, 1000.0)),
        ({"a": "y"}, (None, None, None)),
    ]
    with called_by_operator():
        assert noted_for_caller() == ("partial",)


def test_a_long_query_is_one_request(upstream: FakePrometheus, prometheus: PrometheusClient) -> None:
    grid = Grid(0, 9_999_000, 1000)
    upstream.reply = lambda *_: matrix_reply(({}, [(second, "1") for second in range(10_000)]))
    assert len(prometheus.query_range("up", grid)[0].values) == 10_000
    assert [(form["start"], form["end"]) for _, form, _ in upstream.calls] == [("0.000", "9999.000")]


def test_the_request_is_a_posted_form(upstream: FakePrometheus, prometheus: PrometheusClient) -> None:
    prometheus.query_range('up{a="b&c=d"}', GRID)
    path, form, headers = upstream.calls[0]
    assert path == "/api/v1/query_range"
    assert form == {
        "query": 'up{a="b&c=d"}', "start": "1.000", "end": "61.000", "step": "30.000", "timeout": "60000ms",
    }  # fmt: skip
    assert headers["X-Scope-OrgID"] == "acme"


def test_a_forwarded_call_says_how_long_prometheus_may_work(
    upstream: FakePrometheus, prometheus: PrometheusClient
) -> None:
    upstream.reply = lambda *_: (400, {}, b"anything")
    assert prometheus.forward_unrestricted("series", {"match[]": ["a", "b"]}) == (400, b"anything")
    path, form, _ = upstream.calls[0]
    assert (path, form) == ("/api/v1/series", {"match[]": "a", "timeout": "60000ms"})


def test_a_path_in_the_url_is_kept(
    upstream: FakePrometheus, settings: Settings, make_prometheus: Callable[[Settings], PrometheusClient]
) -> None:
    client = make_prometheus(dataclasses.replace(settings, prometheus_url=f"{upstream.url}/prometheus/"))
    client.query_range("up", GRID)
    assert upstream.calls[0][0] == "/prometheus/api/v1/query_range"


def prometheus_error(kind: str) -> bytes:
    return b'{"status":"error","errorType":"%s","error":"what happened"}' % kind.encode()


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, prometheus_error("bad_data"), 422),
        (422, prometheus_error("execution"), 422),
        (503, prometheus_error("timeout"), 504),
        (503, prometheus_error("unavailable"), 503),
        (500, prometheus_error("internal"), 502),
        (500, b"<html>oops</html>", 502),
        (503, b"<html>overloaded</html>", 502),
        (200, b"<html>login</html>", 502),
        (200, b"", 502),
        (200, b"[]", 502),
        (200, b"{}", 502),
        (404, b'{"status":"success"}', 502),
        (302, b"", 502),
        (200, b'{"status":"success"}', 502),
        (200, b'{"status":"success","data":null}', 502),
        (200, b'{"status":"success","data":{"resultType":"vector","result":[]}}', 502),
        (200, b'{"status":"success","data":{"resultType":"matrix","result":null}}', 502),
        (200, b'{"status":"success","data":{"resultType":"matrix","result":[{"metric":[]}]}}', 502),
        (
            200,
            b'{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[1]}]}}',
            502,
        ),
        (
            200,
            b'{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1,"x"]]}]}}',
            502,
        ),
    ],
)
def test_every_bad_answer_is_an_error(
    upstream: FakePrometheus,
    prometheus: PrometheusClient,
    kinds: list[str],
    status: int,
    body: bytes,
    expected: int,
) -> None:
    upstream.reply = lambda *_: (status, {"Location": "/elsewhere"}, body)
    with pytest.raises(UpstreamError) as caught:
        prometheus.query_range("up", GRID)
    assert caught.value.status == expected
    assert kinds == [caught.value.error]
    assert {path for path, _, _ in upstream.calls} == {"/api/v1/query_range"}


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_gateway_error_is_retried(
    upstream: FakePrometheus, prometheus: PrometheusClient, status: int
) -> None:
    upstream.reply = lambda *_: (status, {}, b"busy") if len(upstream.calls) < 3 else matrix_reply()
    assert prometheus.query_range("up", GRID) == ()
    assert len(upstream.calls) == 3


def test_retries_are_bounded(upstream: FakePrometheus, prometheus: PrometheusClient) -> None:
    upstream.reply = lambda *_: (503, {}, b"busy")
    with pytest.raises(UpstreamError):
        prometheus.query_range("up", GRID)
    assert len(upstream.calls) == 3


def test_nobody_listening_is_503(
    settings: Settings, make_prometheus: Callable[[Settings], PrometheusClient]
) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(UpstreamError) as caught:
        make_prometheus(dataclasses.replace(settings, prometheus_url=url)).query_range("up", GRID)
    assert (caught.value.status, caught.value.error) == (503, "upstream_unreachable")


def test_silence_is_504(
    settings: Settings, listener: socket.socket, make_prometheus: Callable[[Settings], PrometheusClient]
) -> None:
    impatient = dataclasses.replace(settings, prometheus_url=url_of(listener), prometheus_timeout_seconds=0.5)
    with pytest.raises(UpstreamError) as caught:
        make_prometheus(impatient).query_range("up", GRID)
    assert caught.value.status == 504


def test_a_trickling_answer_is_504(
    settings: Settings, listener: socket.socket, make_prometheus: Callable[[Settings], PrometheusClient]
) -> None:
    impatient = dataclasses.replace(settings, prometheus_url=url_of(listener), prometheus_timeout_seconds=0.5)

    ended = threading.Event()

    def trickle() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            while not ended.wait(0.1):
                try:
                    connection.sendall(b" ")
                except OSError:
                    return

    thread = threading.Thread(target=trickle)
    thread.start()
    try:
        with pytest.raises(UpstreamError) as caught:
            make_prometheus(impatient).query_range("up", GRID)
    finally:
        ended.set()
        thread.join()
    assert caught.value.status == 504


def test_a_body_that_breaks_off_is_502(
    settings: Settings, listener: socket.socket, make_prometheus: Callable[[Settings], PrometheusClient]
) -> None:
    def break_off() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"status":')

    thread = threading.Thread(target=break_off)
    thread.start()
    client = make_prometheus(dataclasses.replace(settings, prometheus_url=url_of(listener)))
    with pytest.raises(UpstreamError) as caught:
        client.query_range("up", GRID)
    thread.join()
    assert caught.value.status == 502


def test_a_body_above_the_limit_is_422(
    upstream: FakePrometheus, settings: Settings, make_prometheus: Callable[[Settings], PrometheusClient]
) -> None:
    upstream.reply = lambda *_: (200, {}, b" " * 5000)
    with pytest.raises(UpstreamError) as caught:
        make_prometheus(dataclasses.replace(settings, max_upstream_bytes=1000)).query_range("up", GRID)
    assert caught.value.status == 422


@pytest.mark.parametrize(
    ("statuses", "ready"),
    [
        ({"/-/ready": 200}, True),
        ({"/-/ready": 503}, False),
        ({"/-/ready": 404, "/api/v1/query": 200}, True),
        ({"/-/ready": 400, "/api/v1/query": 200}, True),
        ({"/-/ready": 404, "/api/v1/query": 500}, False),
    ],
)
def test_readiness(
    upstream: FakePrometheus, prometheus: PrometheusClient, statuses: dict[str, int], ready: bool
) -> None:
    upstream.reply = lambda path, _: (statuses[path], {}, b'{"status":"success","data":{}}')
    if ready:
        prometheus.check_ready()
        assert [path for path, _, _ in upstream.calls] == list(statuses)
    else:
        with pytest.raises(UpstreamError):
            prometheus.check_ready()


def test_queries_made_at_once_keep_their_order_their_warnings_and_their_errors(
    upstream: FakePrometheus, prometheus: PrometheusClient
) -> None:
    upstream.reply = lambda _, form: matrix_reply(({"query": form["query"]}, []), warnings=[form["query"]])
    forget_notices()
    results = prometheus.at_once(*(partial(prometheus.query_range, name, GRID) for name in "abc"))
    assert [result[0].labels["query"] for result in results] == ["a", "b", "c"]
    with called_by_operator():
        assert noted_for_caller() == ("a", "b", "c")

    def fails() -> None:
        raise UpstreamError(REJECTED, "no")

    with pytest.raises(UpstreamError, match="no"):
        prometheus.at_once(lambda: None, fails)
