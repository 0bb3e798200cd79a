"""A real Alertmanager, and webhooks that remember which alerts they were told of."""

from __future__ import annotations

import socketserver
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import orjson
import requests

from generations import Servers
from http_servers import serving_by
from modelplane_provisioning.processes import PATIENCE_SECONDS, Process, free_port

Labels = Mapping[str, str]


class Webhooks:
    """What arrived, by the path of the webhook: bodies, and names of alerts that began and that ended."""

    def __init__(self) -> None:
        self.began: defaultdict[str, set[str]] = defaultdict(set)
        self.ended: defaultdict[str, set[str]] = defaultdict(set)
        self.bodies: defaultdict[str, list[bytes]] = defaultdict(list)
        self.authorization: dict[str, str | None] = {}
        self._lock = threading.Lock()

    def receive(self, path: str, body: bytes, authorization: str | None) -> None:
        with self._lock:
            self.bodies[path].append(body)
            self.authorization[path] = authorization
            content = orjson.loads(body)
            for alert in content["alerts"] if content.get("version") == "4" else ():
                told = self.began if alert["status"] == "firing" else self.ended
                told[path].add(alert["labels"]["alertname"])


@contextmanager
def webhook_server() -> Iterator[tuple[str, Webhooks]]:
    """URL below which each path is a webhook, and what they received."""
    webhooks = Webhooks()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            webhooks.receive(self.path.strip("/"), body, self.headers["Authorization"])
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")  # as Slack answers

        def log_message(self, *args: object) -> None:
            """What matters is remembered."""

    with serving_by(Handler) as url:
        yield url, webhooks


@contextmanager
def mail_server(webhooks: Webhooks) -> Iterator[str]:
    """``host:port`` of a mail server without TLS; its mails are bodies of the path ``mail``."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 ready\r\n")
            for line in self.rfile:
                command = line.strip().upper()
                if command == b"DATA":
                    self.wfile.write(b"354 go on\r\n")
                    webhooks.bodies["mail"].append(b"".join(iter(self.rfile.readline, b".\r\n")))
                self.wfile.write(b"221 bye\r\n" if command == b"QUIT" else b"250 ok\r\n")
                if command == b"QUIT":
                    return

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


class Alertmanager:
    """A process, with its configuration and data in a folder."""

    def __init__(self, servers: Servers, folder: Path, config: str) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        self._config = folder / "alertmanager.yml"
        self._config.write_text(config, encoding="utf-8")
        arguments = [
            servers.alertmanager,
            f"--config.file={self._config}",
            f"--storage.path={folder / 'data'}",
            f"--web.listen-address={self.url.removeprefix('http://')}",
            "--cluster.listen-address=",
        ]
        log = folder / "alertmanager.log"
        self.process = Process("alertmanager", arguments, log, ready_url=f"{self.url}/-/ready")

    def reload(self, config: str) -> None:
        self._config.write_text(config, encoding="utf-8")
        requests.post(f"{self.url}/-/reload", timeout=PATIENCE_SECONDS).raise_for_status()

    def fire(self, *alerts: Labels, annotations: Labels | None = None) -> None:
        self._post(alerts, timedelta(hours=1), annotations or {})

    def resolve(self, *alerts: Labels, annotations: Labels | None = None) -> None:
        self._post(alerts, timedelta(), annotations or {})

    def _post(self, alerts: Sequence[Labels], lasts: timedelta, annotations: Labels) -> None:
        now = datetime.now(UTC)
        body = [
            {
                "labels": dict(labels),
                "annotations": dict(annotations),
                "startsAt": (now - timedelta(minutes=1)).isoformat(),
                "endsAt": (now + lasts).isoformat(),
            }
            for labels in alerts
        ]
        answer = requests.post(f"{self.url}/api/v2/alerts", orjson.dumps(body), timeout=PATIENCE_SECONDS,
                               headers={"Content-Type": "application/json"})  # fmt: skip
        assert answer.status_code == 200, answer.text

    def receivers(self, *alerts: Labels) -> list[list[str]]:
        """The names of the receivers of each alert, in the order of the routes; each needs an alertname."""
        self.fire(*alerts)
        answer = requests.get(f"{self.url}/api/v2/alerts", timeout=PATIENCE_SECONDS).json()
        names = {
            orjson.dumps(alert["labels"], option=orjson.OPT_SORT_KEYS): [
                receiver["name"] for receiver in alert["receivers"]
            ]
            for alert in answer
        }
        return [names[orjson.dumps(dict(labels), option=orjson.OPT_SORT_KEYS)] for labels in alerts]
