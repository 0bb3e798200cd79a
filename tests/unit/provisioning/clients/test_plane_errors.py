"""Why a part cannot be asked: one sentence that says what is there, and what to do."""

from __future__ import annotations

import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Thread

import pytest

from http_servers import serving_by
from modelplane_provisioning.clients.plane import Connection
from modelplane_provisioning.clients.plane_errors import (
    NoAnswerError,
    NoRouteError,
    NotGrantedError,
    PlaneError,
    WrongAddressError,
)
from modelplane_provisioning.processes import free_port


@contextmanager
def answering(status: int, body: str, location: str = "") -> Iterator[str]:
    """URL of a server with one answer."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Nothing."""

        def do_GET(self) -> None:
            self.send_response(status)
            if location:
                self.send_header("Location", location)
            self.end_headers()
            self.wfile.write(body.encode())

    with serving_by(Handler) as url:
        yield url


@contextmanager
def closing() -> Iterator[str]:
    """URL of a server that takes a connection and closes it without a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def close() -> None:
            connection, _ = server.accept()
            connection.close()

        thread = Thread(target=close)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        thread.join()


def error_of(url: str, **options: object) -> PlaneError:
    with pytest.raises(PlaneError) as raised:
        Connection("Prometheus", url, "secret-token", **options).get("/api/v1/query")  # type: ignore[arg-type]
    assert "secret-token" not in str(raised.value)
    return raised.value


@pytest.mark.parametrize(
    ("status", "body", "kind", "part"),
    [
        (
            401,
            "no org id",
            NotGrantedError,
            "with status 401 (no org id): it takes a login",
        ),
        (403, '{"message": "no"}', NotGrantedError, "with status 403 (no): the token may not read this"),
        (404, "404 page not found", NoRouteError, "Prometheus has no /api/v1/query (status 404)"),
        (405, "", NoRouteError, "has no /api/v1/query"),
        (400, 'unsupported path requested: "/api/v1/query"', NoRouteError, "has no /api/v1/query"),
        (
            400,
            "Client sent an HTTP request to an HTTPS server.",
            WrongAddressError,
            "begin its address with https",
        ),
        (422, '{"error": "too many samples"}', PlaneError, "with status 422: too many samples"),
        (500, '{"results": {"A": {"error": "bad_data"}}}', PlaneError, "with status 500: bad_data"),
        (200, "<html>Sign in</html>", WrongAddressError, "did not answer with JSON at http://127.0.0.1"),
        (503, "[]", PlaneError, "with status 503: []"),
        (502, "<html>Bad gateway</html>", PlaneError, "</html>; its log says why"),
        (500, "", PlaneError, "with status 500: without a reason; its log says why"),
        (
            429,
            "slow down",
            PlaneError,
            "slow down; it, or a proxy in front, limits requests",
        ),
        (302, "", PlaneError, "with status 302: without a reason; name its own address"),
    ],
)
def test_an_answer_that_is_none(status: int, body: str, kind: type[PlaneError], part: str) -> None:
    with answering(status, body) as url:
        error = error_of(url)
    assert type(error) is kind
    assert part in str(error)


def test_a_redirect_names_where_it_leads_without_its_parameters() -> None:
    with answering(302, "", "https://login.example.org/oauth?state=secret") as url:
        error = error_of(url)
    assert "on to https://login.example.org/oauth: name its own address" in str(error)


def test_a_redirect_to_what_is_no_address() -> None:
    with answering(302, "", "http://[") as url:
        assert "it sends on to what is no address; name its own" in str(error_of(url))


def test_nothing_listens_and_nobody_answers() -> None:
    refused = error_of(f"http://127.0.0.1:{free_port()}")
    assert "the connection is refused; is it running, and is that its port?" in str(refused)
    assert isinstance(refused, NoAnswerError)
    unknown = error_of("http://nobody.invalid:9090")
    assert "its host name is not known; check the address" in str(unknown)
    with closing() as url:
        assert "the connection broke off" in str(error_of(url))


def test_a_server_that_is_too_slow() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        error = error_of(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout_seconds=0.05)
    assert "it took too long; is it overloaded" in str(error)


def test_tls_that_fails(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-keyout", str(key), "-out", str(certificate), "-days", "1", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    with answering(200, "{}") as plain:
        assert "it does not speak TLS there; begin the address with http://" in str(
            error_of(plain.replace("http", "https", 1))
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with tls_server(context) as url:
        assert "its certificate is not trusted; name the authority" in str(error_of(url))
        assert Connection("Prometheus", url, ca_file=certificate).get("/x") == {}


@contextmanager
def tls_server(context: ssl.SSLContext) -> Iterator[str]:
    """URL of a server behind TLS that answers ``{}`` to the second connection."""
    with context.wrap_socket(socket.create_server(("127.0.0.1", 0)), server_side=True) as server:

        def serve() -> None:
            for _ in range(2):
                try:
                    connection, _address = server.accept()
                except ssl.SSLError:
                    continue
                with connection:
                    connection.recv(65536)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")

        thread = Thread(target=serve)
        thread.start()
        yield f"https://127.0.0.1:{server.getsockname()[1]}"
        thread.join()
