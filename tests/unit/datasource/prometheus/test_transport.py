"""Connections to Prometheus are kept, replaced when they broke, and private to one request at a time."""

from __future__ import annotations

import base64
import datetime
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from http_servers import PromptServer
from modelplane_datasource.prometheus.errors import INVALID, UNREACHABLE, UpstreamError
from modelplane_datasource.prometheus.transport import Transport
from modelplane_provisioning.processes import PATIENCE_SECONDS

MOST = 1_000_000
SECONDS = 10.0


class Server(PromptServer):
    """Answers every request with its method, target and body; counts connections."""

    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Clients that give up hang up."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Echo)
        self.connections = 0
        self.headers: list[dict[str, str]] = []
        self.hangs_up = False
        self.drops_next = False
        self.together = threading.Barrier(1)
        self.url = f"http://127.0.0.1:{self.server_port}"


class Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.server.drops_next:
            self.server.drops_next, self.close_connection = False, True
            return
        self.server.headers.append(dict(self.headers))
        self.server.together.wait(PATIENCE_SECONDS)
        answer = f"{self.command} {self.path} ".encode() + body
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
        self.close_connection = self.server.hangs_up

    do_GET = do_POST  # noqa: N815

    def log_message(self, *args: object) -> None:
        """Nothing is logged."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def connect() -> Iterator[Callable[[str], Transport]]:
    made: list[Transport] = []

    def make(url: str) -> Transport:
        made.append(Transport(url, {"X-Scope-OrgID": "acme"}, MOST, max_idle=2))
        return made[-1]

    yield make
    for transport in made:
        transport.close()


Connect = Callable[[str], Transport]


def test_one_connection_carries_forms_and_gets_in_turn(server: Server, connect: Connect) -> None:
    transport = connect(f"{server.url}/below/")
    for _ in range(3):
        assert transport.request("/a", "query=up", SECONDS) == (200, b"POST /below/a query=up")
        assert transport.request("/a?b=c", None, SECONDS) == (200, b"GET /below/a?b=c ")
        assert transport.request("/a", "", SECONDS) == (200, b"POST /below/a ")
    assert server.connections == 1
    sent = server.headers[0]
    assert sent["Content-Type"] == "application/x-www-form-urlencoded"
    assert (sent["Accept-Encoding"], sent["X-Scope-OrgID"]) == ("identity", "acme")
    assert not {"Content-Type", "Content-Length"} & set(server.headers[1])


def test_a_long_form_is_sent_at_once(server: Server, connect: Connect) -> None:
    form = "query=" + "x" * 2_000_000
    with pytest.raises(UpstreamError, match="larger than 1000000 bytes"):
        connect(server.url).request("/", form, SECONDS)
    assert "Expect" not in server.headers[0]


def test_a_connection_that_the_server_closed_is_replaced(server: Server, connect: Connect) -> None:
    server.hangs_up = True
    transport = connect(server.url)
    for _ in range(5):
        assert transport.request("/", "a=b", SECONDS) == (200, b"POST / a=b")
    assert server.connections == 5


def test_a_connection_that_closes_under_a_request_is_replaced(server: Server, connect: Connect) -> None:
    transport = connect(server.url)
    assert transport.request("/", "a=b", SECONDS)[0] == 200
    server.drops_next = True
    assert transport.request("/", "a=c", SECONDS) == (200, b"POST / a=c")
    assert server.connections == 2


def test_requests_at_once_do_not_share_a_connection(server: Server, connect: Connect) -> None:
    transport = connect(server.url)
    server.together = threading.Barrier(4)
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            answers = pool.map(lambda n: transport.request("/", f"n={n}", SECONDS)[1], range(4))
            assert list(answers) == [b"POST / n=%d" % n for n in range(4)]
    assert server.connections == 4 + 2 * 2  # two of four are kept each time


def test_a_path_of_any_letters_is_written_as_a_url(server: Server, connect: Connect) -> None:
    transport = connect(f"{server.url}/über%20uns")
    assert transport.request("/a", None, SECONDS) == (200, b"GET /%C3%BCber%20uns/a ")


def test_a_password_in_the_url_is_sent(server: Server, connect: Connect) -> None:
    connect(server.url.replace("//", "//me:p%40ss@")).request("/", None, SECONDS)
    assert server.headers[0]["Authorization"] == f"Basic {base64.b64encode(b'me:p@ss').decode()}"


def test_a_proxy_of_the_environment_is_not_used(
    server: Server, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert connect(server.url).request("/", None, SECONDS)[0] == 200


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"", UNREACHABLE),
        (b"SSH-2.0-OpenSSH\r\n", UNREACHABLE),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", INVALID),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n", INVALID),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nno length\r\n", INVALID),
    ],
)
def test_what_is_no_whole_answer_is_an_error(
    server: Server, connect: Connect, monkeypatch: pytest.MonkeyPatch, answer: bytes, kind: str
) -> None:
    def reply(request: Echo) -> None:
        request.rfile.readline()
        request.wfile.write(answer)
        request.close_connection = True

    monkeypatch.setattr(Echo, "handle_one_request", reply)
    with pytest.raises(UpstreamError) as caught:
        connect(server.url).request("/", None, SECONDS)
    assert caught.value.error == kind


def certificate(folder: Path) -> Path:
    """A file with a certificate for 127.0.0.1 that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "prometheus")])
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(True, None), True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "server.pem"
    path.write_bytes(built.public_bytes(serialization.Encoding.PEM) + private)
    return path


def test_only_certificates_that_this_machine_trusts_are_accepted(
    server: Server, connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    url = server.url.replace("http:", "https:")
    with pytest.raises(UpstreamError) as caught:
        connect(url).request("/", None, SECONDS)
    assert caught.value.error == UNREACHABLE
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    assert connect(url).request("/", None, SECONDS) == (200, b"GET / ")
