"""The built-in server: routes, ports, slow and broken clients, TLS, authentication, forks."""

from __future__ import annotations

import base64
import contextlib
import http.client
import os
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from exporter_support.exposing import total
from exporter_support.serving_metrics import fetch, serving
from modelplane_exporter.serving import server
from modelplane_exporter.serving.server import MetricsServer
from modelplane_exporter.serving.server_settings import ServerSettings, server_settings
from modelplane_provisioning.processes import PATIENCE_SECONDS, wait_until

CERT, KEY = "MODELPLANE_EXPORTER_TLS_CERT_FILE", "MODELPLANE_EXPORTER_TLS_KEY_FILE"
USER, PASSWORD = "MODELPLANE_EXPORTER_USERNAME", "MODELPLANE_EXPORTER_PASSWORD_FILE"


def test_the_server_serves_metrics_and_a_page_that_links_to_them(exposed_registry: CollectorRegistry) -> None:
    with serving(exposed_registry) as running:
        status, body = fetch(running.url)
        assert (status, total(body, "after_total")) == (200, [3])
        assert fetch(f"{running.url}?x=1")[0] == 200
        status, page = fetch(running.url.removesuffix("metrics"))
        assert status == 200
        assert b'<a href="/metrics">' in page
        assert fetch(running.url + "/other")[0] == 404


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("HEAD", "/metrics", 200),
        ("HEAD", "/", 200),
        ("HEAD", "/x", 404),
        ("POST", "/metrics", 405),
        ("PUT", "/", 405),
    ],
)
def test_methods_of_the_server(
    exposed_registry: CollectorRegistry, method: str, path: str, status: int
) -> None:
    with serving(exposed_registry) as running:
        connection = http.client.HTTPConnection(
            "127.0.0.1", running.server_address[1], timeout=PATIENCE_SECONDS
        )
        connection.request(method, path)
        answer = connection.getresponse()
        assert (answer.status, bool(answer.read())) == (status, method != "HEAD")
        connection.close()


def test_the_port_can_be_had_again_and_again_but_never_twice(exposed_registry: CollectorRegistry) -> None:
    port = 0
    for _ in range(3):
        with serving(exposed_registry, ServerSettings("127.0.0.1", port)) as running:
            port = running.server_address[1]
            assert fetch(running.url)[0] == 200
            with pytest.raises(OSError, match="in use"):
                MetricsServer(ServerSettings("127.0.0.1", port), exposed_registry)


def test_an_address_that_cannot_be_had_is_an_os_error(exposed_registry: CollectorRegistry) -> None:
    with pytest.raises(OSError):  # noqa: PT011 - the text is the system's
        MetricsServer(ServerSettings("203.0.113.1", 0), exposed_registry)


@pytest.mark.skipif(not socket.has_ipv6, reason="needs IPv6")
def test_ipv6(exposed_registry: CollectorRegistry) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("needs IPv6")
    with serving(exposed_registry, ServerSettings("::1", 0)) as running:
        assert running.url.startswith("http://[::1]:")
        assert fetch(running.url)[0] == 200


def connect(running: server.MetricsServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", running.server_address[1]), timeout=PATIENCE_SECONDS)


def test_slow_clients_neither_hold_up_scrapes_nor_grow_threads(
    exposed_registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = threading.active_count()
    with serving(exposed_registry) as running, contextlib.ExitStack() as clients:
        slow = [clients.enter_context(connect(running)) for _ in range(server.MAX_CONNECTIONS * 2)]
        for client in slow:
            with contextlib.suppress(OSError):  # it was closed for a newer one
                client.sendall(b"GET /metrics HTTP/1.1\r\n")
        for _ in range(3):
            assert fetch(running.url)[0] == 200
        assert threading.active_count() <= before + 1 + server.MAX_CONNECTIONS


def is_cut_off(client: socket.socket) -> bool:
    try:
        client.sendall(b"X")
    except OSError:  # reset or broken pipe
        return True
    return False


def test_a_client_that_dribbles_is_cut_off_at_the_deadline(
    exposed_registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "REQUEST_SECONDS", 0.2)
    with serving(exposed_registry) as running, connect(running) as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\n")
        assert wait_until(lambda: is_cut_off(client))
        assert wait_until(lambda: not running._deadlines)


def test_a_large_request_is_dropped(exposed_registry: CollectorRegistry) -> None:
    with serving(exposed_registry) as running, connect(running) as client:
        with contextlib.suppress(OSError):
            client.sendall(b"GET /metrics HTTP/1.1\r\n" + b"X: y\r\n" * server.REQUEST_BYTES)
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1) == b""
        assert fetch(running.url)[0] == 200


@pytest.mark.parametrize(
    "request_", [b"\r\n\r\n", b"\0\xff\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"]
)
def test_broken_requests_do_no_harm(
    exposed_registry: CollectorRegistry, request_: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    with serving(exposed_registry) as running:
        with connect(running) as client:
            client.sendall(request_)
            client.shutdown(socket.SHUT_WR)
            client.recv(4096)
        assert fetch(running.url)[0] == 200
    assert capfd.readouterr().err == ""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("tls")
    cert, key = str(folder / "cert.pem"), str(folder / "key.pem")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-nodes", "-days", "1", "-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", key, "-out", cert),
        ],
        check=True,
        capture_output=True,
    )
    return cert, key


def test_tls(exposed_registry: CollectorRegistry, certificate: tuple[str, str]) -> None:
    cert, key = certificate
    settings = server_settings("127.0.0.1", 0, {CERT: cert, KEY: key})
    trust = ssl.create_default_context(cafile=cert)
    with serving(exposed_registry, settings) as running:
        assert running.url.startswith("https://127.0.0.1:")
        with connect(running):  # a client that never shakes hands
            status, body = fetch(running.url, tls=trust)
            assert (status, total(body, "after_total")) == (200, [3])
        with connect(running) as plain, contextlib.suppress(ConnectionResetError):
            plain.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
            assert b"200" not in plain.recv(4096)
        assert fetch(running.url, tls=trust)[0] == 200


def credentials(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def test_basic_authentication(exposed_registry: CollectorRegistry, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("s3cret:ü\n")
    environ = {
        "MODELPLANE_EXPORTER_ADDRESS": "127.0.0.1",
        "MODELPLANE_EXPORTER_USERNAME": "prometheus",
        "MODELPLANE_EXPORTER_PASSWORD_FILE": str(tmp_path / "password"),
    }
    settings = server_settings(None, 0, environ)
    assert "s3cret" not in repr(settings)
    with serving(exposed_registry, settings) as running:
        assert fetch(running.url, credentials("prometheus", "s3cret:ü"))[0] == 200
        refused = [
            {},
            credentials("prometheus", "s3cret"),
            credentials("prometheus", "s3cret:ü\n"),
            credentials("other", "s3cret:ü"),
            {"Authorization": "Basic !"},
            {
                "Authorization": credentials("prometheus", "s3cret:ü")["Authorization"].replace(
                    "Basic", "Bearer"
                )
            },
        ]
        for headers in refused:
            for path in ("metrics", "", "other"):
                assert fetch(running.url.removesuffix("metrics") + path, headers)[0] == 401


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({CERT: "c"}, f"{KEY} is required with {CERT}"),
        ({KEY: "k", CERT: ""}, f"{CERT} is required with {KEY}"),
        ({USER: "u"}, f"{PASSWORD} is required with {USER}"),
        ({PASSWORD: "p"}, f"{USER} is required with {PASSWORD}"),
        ({CERT: "missing", KEY: "missing"}, f"{CERT} and {KEY} cannot be used"),
        ({USER: "u", PASSWORD: "missing"}, f"{PASSWORD} cannot be read"),
        ({USER: "u", PASSWORD: os.devnull}, f"{PASSWORD} names an empty file"),
        ({USER: "u:v", PASSWORD: os.devnull}, f"{USER} must not contain a colon"),
    ],
)
def test_settings_that_cannot_be_used_name_the_variable(given: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        server_settings(None, 0, given)


def test_an_encrypted_key_is_an_error_and_not_a_question(
    certificate: tuple[str, str], tmp_path: Path
) -> None:
    locked = str(tmp_path / "locked.pem")
    subprocess.run(
        ["openssl", "pkey", "-in", certificate[1], "-aes256", "-passout", "pass:x", "-out", locked],
        check=True,
        capture_output=True,
    )
    with pytest.raises(ValueError, match=f"{CERT} and {KEY} cannot be used"):
        server_settings(None, 0, {CERT: certificate[0], KEY: locked})


def test_arguments_go_before_the_environment(certificate: tuple[str, str]) -> None:
    environ = {"MODELPLANE_EXPORTER_ADDRESS": "192.0.2.1", CERT: certificate[0], KEY: certificate[1]}
    settings = server_settings("::1", 9, environ)
    assert (settings.address, settings.port, settings.tls is not None) == ("::1", 9, True)
    assert server_settings(None, 9, environ).address == "192.0.2.1"
    assert server_settings(None, 9, {}) == ServerSettings("0.0.0.0", 9)


FORKING = """
import os, socket, sys, threading, time, urllib.request
from prometheus_client import CollectorRegistry
from modelplane_exporter.serving.server import MetricsServer
from modelplane_exporter.serving.server_settings import ServerSettings
running = MetricsServer(ServerSettings("127.0.0.1", 0), CollectorRegistry())
threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
port = running.server_address[1]
child = os.fork()
if child == 0:
    os.close(1)  # or a reader would wait for this process when the parent fails
    sys.stdin.readline()
    os._exit(0)
running.shutdown()
running.server_close()
again = MetricsServer(ServerSettings("127.0.0.1", port), CollectorRegistry())
again.server_close()
print("taken over")
"""


@pytest.mark.slow
def test_a_forked_child_does_not_keep_the_port() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", FORKING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "taken over\n"
        run.communicate("end\n", timeout=PATIENCE_SECONDS)
    assert run.returncode == 0
