"""Models behind TLS, passwords and discovery, scraped by a real Prometheus as the registry says."""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import trustme
import yaml
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from generations import Servers
from http_servers import serving_by
from modelplane_alerts.integrations import OLDEST_VERSION
from modelplane_exporter import ModelMetricsExporter
from modelplane_provisioning.bundle import credentials
from modelplane_provisioning.bundle.files import registry_targets
from modelplane_provisioning.bundle.registry_files import registry_files
from modelplane_provisioning.bundle.scrape_config import prometheus_config, target_files
from modelplane_provisioning.bundle.site import Times, local_site
from modelplane_provisioning.clients.plane import Connection, prometheus_query
from modelplane_provisioning.discovery.proposal import reported_models
from modelplane_provisioning.discovery.reported_series import from_prometheus
from modelplane_provisioning.doctor.scrape_reasons import scrape_reason
from modelplane_provisioning.processes import Process, free_port, wait_until
from modelplane_schema.files import replace_file, replace_files
from modelplane_schema.registry import Registry, parse_registry

PASSWORD, TOKEN = "correct horse", "t0ken"
LOGIN = f"Basic {base64.b64encode(f'prometheus:{PASSWORD}'.encode()).decode()}"
SERIES = CollectorRegistry()
LOADED = ModelMetricsExporter("resnet50", "v1", tenant_id="a", framework="pytorch", registry=SERIES)
SCRAPED = ("secured", "token", "plain", "by-file", "by-http")
# Models that have a server of their own, by what it speaks.
SECURED = ("secured", "wrong-password", "unknown-authority", "other-name", "plain-on-tls")
PLAIN = ("token", "plain", "by-file", "by-http", "no-login", "tls-on-plain", "wrong-path", "page")
REASONS = {
    "wrong-password": "it wants a login (401)",
    "no-login": "it wants a login (401)",
    "unknown-authority": "its certificate is of an authority that is not known here",
    "other-name": "its certificate is for another name",
    "tls-on-plain": "it does not speak TLS",
    "plain-on-tls": "it ends the connection without an answer",
    "wrong-path": "it has nothing at this path (404)",
    "page": "what it answers are no metrics",
    "refused": "the connection is refused",
}


class Service(BaseHTTPRequestHandler):
    """An exporter at /metrics, which wants a login at /secured, and what else a service answers with."""

    def do_GET(self) -> None:
        login = self.headers.get("Authorization", "")
        if self.path == "/page":
            self._answer(HTTPStatus.OK, b"<html><body>Sign in</body></html>", "text/html")
        elif self.path == "/inventory":
            groups = [{"targets": [self.headers["Host"]], "labels": {"tenant_id": "x", "rack": "7"}}]
            self._answer(HTTPStatus.OK, json.dumps(groups).encode(), "application/json")
        elif self.path == "/secured" and login not in (LOGIN, f"Bearer {TOKEN}"):
            self._answer(HTTPStatus.UNAUTHORIZED, b"who are you?", "text/plain")
        elif self.path in ("/metrics", "/secured"):
            self._answer(HTTPStatus.OK, generate_latest(SERIES), CONTENT_TYPE_LATEST)
        else:
            self._answer(HTTPStatus.NOT_FOUND, b"", "text/plain")

    def _answer(self, status: HTTPStatus, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """A log would hide the failure of a test."""


def write_files(folder: Path, authority: trustme.CA, discovered: str) -> None:
    """What the registry names, and what Prometheus discovers in a file."""
    (folder / "targets").mkdir()
    authority.cert_pem.write_to_path(str(folder / "targets" / "ca.pem"))
    for name, text in {"password": PASSWORD, "wrong": "hunter2", "token": TOKEN}.items():
        (folder / "targets" / name).write_text(f"{text}\n", encoding="ascii")
    group = {"targets": [discovered], "labels": {"model_name": "wrong", "job": "wrong", "rack": "7"}}
    (folder / "discovered.json").write_text(json.dumps([group]), encoding="ascii")


def ways(folder: Path, plain: Mapping[str, str], secured: Mapping[str, str]) -> dict[str, Any]:
    """Targets for each way to be scraped, and for each way in which that fails; servers by model."""
    login = {"username": "prometheus", "password_file": "targets/password"}
    tls = {name: {"hosts": [host], "scheme": "https", "metrics_path": "/secured", "basic_auth": login,
                  "tls": {"ca_file": "targets/ca.pem"}, "labels": {"cluster": "eu"}}
           for name, host in secured.items()}  # fmt: skip
    other_name = {"ca_file": "targets/ca.pem", "server_name": "other.example.org"}
    token = {"credentials_file": "targets/token"}
    return {
        "secured": tls["secured"],
        "token": {"hosts": [plain["token"]], "metrics_path": "/secured", "authorization": token},
        "plain": {"hosts": [plain["plain"]], "labels": {"cluster": "eu"}},
        "by-file": {"discovery": {"file": {"paths": [str(folder / "discovered.json")]}}},
        "by-http": {"discovery": {"http": {"url": f"http://{plain['by-http']}/inventory"}}},
        "wrong-password": tls["wrong-password"]
        | {"basic_auth": {"username": "prometheus", "password_file": "targets/wrong"}},
        "no-login": {"hosts": [plain["no-login"]], "metrics_path": "/secured"},
        "unknown-authority": {"hosts": [secured["unknown-authority"]], "scheme": "https"},
        "other-name": tls["other-name"] | {"tls": other_name},
        "tls-on-plain": {"hosts": [plain["tls-on-plain"]], "scheme": "https"},
        "plain-on-tls": {"hosts": [secured["plain-on-tls"]]},
        "wrong-path": {"hosts": [plain["wrong-path"]], "metrics_path": "/nothing"},
        "page": {"hosts": [plain["page"]], "metrics_path": "/page"},
        "refused": {"hosts": [f"127.0.0.1:{free_port()}"]},
    }


def registry_of(targets: Mapping[str, Any]) -> Registry:
    models = [
        {"name": name, "framework": "pytorch", "owner": "vision", "tenants": ["a"],
         "versions": [{"version": "v1"}], "targets": way}
        for name, way in targets.items()
    ]  # fmt: skip
    content = {"apiVersion": "modelplane/v1", "tenants": [{"id": "a"}], "models": models}
    return parse_registry(yaml.safe_dump(content))


def write_prometheus(bundle: Path, registry: Registry, folder: Path, port: int) -> None:
    """What a bundle holds for Prometheus."""
    address = f"127.0.0.1:{port}"
    site = local_site(str(bundle), str(bundle), address, "127.0.0.1:1", "127.0.0.1:2", OLDEST_VERSION)
    files = {"prometheus/prometheus.yml": prometheus_config(registry, site, Times(scrape_interval_seconds=1))}
    for path, text in target_files(registry, registry_targets(registry)).items():
        files[f"prometheus/targets/{path}"] = text
    replace_files(bundle, {path: text.encode() for path, text in files.items()})
    credentials.ensure_credentials(bundle / "secrets")
    copies = registry_files(registry, folder).items()
    replace_files(bundle / "secrets", {credentials.copy_path(path): text for path, text in copies})


def prometheus_process(servers: Servers, folder: Path, port: int) -> Process:
    """Prometheus with the bundle below ``folder``."""
    argv = [
        servers.prometheus,
        f"--config.file={folder}/bundle/prometheus/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    ready = f"http://127.0.0.1:{port}/-/ready"
    return Process("prometheus", argv, folder / "prometheus.log", ready_url=ready)


@dataclass(frozen=True, slots=True)
class Plane:
    """A Prometheus that scrapes as a registry says; ``bundle`` is its folder."""

    prometheus: Connection
    bundle: Path
    hosts: Mapping[str, str]

    def targets(self) -> list[dict[str, Any]]:
        """The targets of all models."""
        rows = self.prometheus.get("/api/v1/targets", {"state": "active"})["data"]["activeTargets"]
        return [row for row in rows if row["labels"]["job"] == "models"]

    def target(self, model: str) -> dict[str, Any] | None:
        """The target of a model: in a job of its own, or in the job of many with the address of the model.

        None until Prometheus has discovered it.
        """
        rows = (
            row
            for row in self.targets()
            if row["scrapePool"] == f"models/{model}"
            or (row["scrapePool"] == "models" and row["labels"]["instance"] == self.hosts.get(model))
        )
        return next(rows, None)

    def reaches(self, health: str, model: str) -> dict[str, Any]:
        """The target of a model, once it is up or down."""

        def reached() -> bool:
            target = self.target(model)
            return target is not None and target["health"] == health

        assert wait_until(reached), self.targets()
        return self.target(model) or {}


@pytest.fixture(scope="module")
def plane(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    folder, port, authority = tmp_path_factory.mktemp("scraped"), free_port(), trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with ExitStack() as running:
        plain = {name: urlsplit(running.enter_context(serving_by(Service))).netloc for name in PLAIN}
        secured = {
            name: urlsplit(running.enter_context(serving_by(Service, context))).netloc for name in SECURED
        }
        write_files(folder, authority, plain["by-file"])
        targets = ways(folder, plain, secured)
        write_prometheus(folder / "bundle", registry_of(targets), folder, port)
        running.enter_context(prometheus_process(servers, folder, port))
        hosts = {name: way["hosts"][0] for name, way in targets.items() if "hosts" in way}
        yield Plane(Connection("Prometheus", f"http://127.0.0.1:{port}"), folder / "bundle", hosts)


@pytest.mark.parametrize("model", SCRAPED)
def test_a_model_is_scraped_and_its_series_are_the_exporters(plane: Plane, model: str) -> None:
    instance = plane.reaches("up", model)["labels"]["instance"]
    query = f'model_info{{job="models", instance="{instance}"}}'
    assert wait_until(lambda: bool(prometheus_query(plane.prometheus, query)))
    (series,) = prometheus_query(plane.prometheus, query)
    assert (series["metric"]["model_name"], series["metric"]["framework"]) == ("resnet50", "pytorch")
    assert not [label for label in series["metric"] if label.startswith("exported_")]
    added = {"secured": "eu", "plain": "eu", "by-file": "7", "by-http": "7"}
    assert (series["metric"].get("cluster") or series["metric"].get("rack")) == added.get(model)


@pytest.mark.parametrize(("model", "reason"), REASONS.items())
def test_a_target_that_is_not_scraped_says_why(plane: Plane, model: str, reason: str) -> None:
    error = plane.reaches("down", model)["lastError"]
    assert scrape_reason(error).text == reason, error


def test_changed_hosts_are_scraped_without_a_reload(plane: Plane) -> None:
    path = plane.bundle / "prometheus/targets/mp-model-plain.json"
    before, other = path.read_bytes(), f"127.0.0.1:{free_port()}"
    replace_file(path, before.replace(plane.hosts["plain"].encode(), other.encode()))
    assert wait_until(lambda: other in {row["labels"]["instance"] for row in plane.targets()})
    replace_file(path, before)


def test_a_registry_is_discovered_from_what_is_scraped(plane: Plane) -> None:
    instance = plane.reaches("up", "plain")["labels"]["instance"]
    query = f'model_inference_requests_total{{instance="{instance}"}}'
    assert wait_until(lambda: bool(prometheus_query(plane.prometheus, query)))
    models = reported_models(*from_prometheus(plane.prometheus.url))
    assert (list(models), models["resnet50"].tenants) == (["resnet50"], {"a"})
    assert instance in models["resnet50"].hosts


def test_no_secret_is_in_the_configuration(plane: Plane) -> None:
    texts = [path.read_text(encoding="utf-8") for path in plane.bundle.glob("prometheus/**/*.*")]
    assert len(texts) > 2
    assert not any(secret in text for text in texts for secret in (PASSWORD, TOKEN, "hunter2"))
