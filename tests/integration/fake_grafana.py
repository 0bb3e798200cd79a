"""Stands in for Grafana: checks what it is given as Grafana would, then answers its HTTP API.

As Grafana does, it signs who asks, publishes its keys, and adds the token on the routes of the plugin.
"""

from __future__ import annotations

import base64
import json
import os
import re
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import requests
import yaml
from cryptography.hazmat.primitives.asymmetric import ec

KEY = ec.generate_private_key(ec.SECP256R1())
KEY_ID = "id-2026-11-es256"
ES256 = jwt.algorithms.ECAlgorithm(jwt.algorithms.ECAlgorithm.SHA256)
BOARDS = "/apis/dashboard.grafana.app/v0alpha1/namespaces/default/dashboards"
KEYS = {"keys": [{**json.loads(ES256.to_jwk(KEY.public_key())), "kid": KEY_ID, "use": "sig", "alg": "ES256"}]}


def provisioned(name: str) -> Any:
    path = Path(os.environ["GF_PATHS_PROVISIONING"]) / name / "modelplane.yaml"
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def from_file(text: str) -> str:
    """The value that ``$__file{path}`` stands for."""
    match = re.fullmatch(r"\$__file\{(.*)\}", text)
    assert match, text
    return Path(match[1]).read_text(encoding="utf-8").strip()


def answers() -> dict[str, Any]:
    """Answers by path; what the plugin reads is asked of the backend."""
    sources = {source["type"]: source for source in provisioned("datasources")["datasources"]}
    providers = provisioned("dashboards")["providers"]
    boards = [path for item in providers for path in Path(item["options"]["path"]).rglob("*.json")]
    specs = [json.loads(path.read_text(encoding="utf-8")) for path in boards]
    (app,) = provisioned("plugins")["apps"]
    plugin = Path(os.environ["GF_PATHS_PLUGINS"]) / app["type"]
    content = json.loads((plugin / "plugin.json").read_text(encoding="utf-8"))
    nested = json.loads((plugin / "datasource" / "plugin.json").read_text(encoding="utf-8"))
    allowed = os.environ["GF_PLUGINS_ALLOW_LOADING_UNSIGNED_PLUGINS"].split(",")
    assert {content["id"], nested["id"]} <= set(allowed)
    settings = {"enabled": not app["disabled"], "info": content["info"]}
    source, prometheus = sources[nested["id"]], sources["prometheus"]
    alertmanager = sources["alertmanager"]
    return {
        "/api/health": {"database": "ok", "version": "12.4.0"},
        "/api/signing-keys/keys": KEYS,
        **{f"{BOARDS}/{spec.pop('uid')}": {"metadata": {}, "spec": spec} for spec in specs},
        "/api/datasources": [public(each) for each in sources.values()],
        f"/api/plugins/{app['type']}/settings": settings,
        f"/api/alertmanager/{alertmanager['uid']}/api/v2/status": lambda *_: read_json(
            f"{alertmanager['url']}/api/v2/status"
        ),
        f"/api/datasources/proxy/uid/{source['uid']}/read/": lambda path, _: read(source, nested, path),
        "/api/ds/query": lambda _, body: query(prometheus, body["queries"][0]),
    }


def public(source: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in source.items() if key != "secureJsonData"}


def read_json(url: str) -> Any:
    response = requests.get(url, timeout=10)
    response.raise_for_status()
    return response.json()


def query(source: dict[str, Any], target: dict[str, Any]) -> Any:
    """The frames of a query of Prometheus, one for each series."""
    assert target["datasource"]["uid"] == source["uid"], target
    expression = target["expr"].replace("$__rate_interval", "1m")
    response = requests.get(f"{source['url']}/api/v1/query", {"query": expression}, timeout=10)
    response.raise_for_status()
    frames = [{"data": {"values": [[0], [1]]}} for _ in response.json()["data"]["result"]]
    return {"results": {"A": {"status": 200, "frames": frames}}}


def read(source: dict[str, Any], plugin: dict[str, Any], path: str) -> Any:
    """What the backend answers through the route ``read`` of the data source."""
    (route,) = (route for route in plugin["routes"] if route["path"] == "read")
    root = route["url"].replace("{{ .JsonData.backend }}", source["jsonData"]["backend"])
    (header,) = route["headers"]
    token = from_file(source["secureJsonData"]["token"])
    headers = {header["name"]: header["content"].replace("{{ .SecureJsonData.token }}", token)}
    response = requests.get(f"{root}/{path}", headers={**headers, "X-Grafana-Id": identity()}, timeout=10)
    response.raise_for_status()
    return response.json()


def identity() -> str:
    now = int(time.time())
    claims = {
        "iss": os.environ["GF_SERVER_ROOT_URL"], "aud": "org:1", "sub": "user:1", "username": "admin",
        "role": "Admin", "iat": now, "exp": now + 600,
    }  # fmt: skip
    return jwt.encode(claims, KEY, "ES256", headers={"kid": KEY_ID})


class Handler(BaseHTTPRequestHandler):
    routes: dict[str, Any]
    login: str

    def do_GET(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"null")
        prefix = max((route for route in self.routes if self.path.startswith(route)), key=len, default="")
        rest = self.path.removeprefix(prefix)
        answer = self.routes.get(prefix if prefix.endswith("/") or not rest else "")
        self.send_response(404 if answer is None else 200 if self._may_read() else 401)
        self.end_headers()
        content = answer(rest, body) if callable(answer) else answer
        self.wfile.write(json.dumps(content).encode())

    def do_POST(self) -> None:
        self.do_GET()

    def _may_read(self) -> bool:
        open_to_all = self.path in ("/api/health", "/api/signing-keys/keys")
        return open_to_all or self.headers.get("Authorization") == self.login


def main() -> None:
    assert sys.argv[1] == "server", sys.argv
    password = from_file(os.environ["GF_SECURITY_ADMIN_PASSWORD"])
    Handler.login = "Basic " + base64.b64encode(f"admin:{password}".encode()).decode()
    Handler.routes = answers()
    address = (os.environ["GF_SERVER_HTTP_ADDR"], int(os.environ["GF_SERVER_HTTP_PORT"]))
    ThreadingHTTPServer(address, Handler).serve_forever()


if __name__ == "__main__":
    main()
