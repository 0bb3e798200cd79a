"""`modelplane doctor` and `status` over a plane that URLs name: exit status, JSON, what was not given."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from click.testing import CliRunner, Result

from http_servers import serving_by
from modelplane_provisioning.cli import cli
from modelplane_provisioning.processes import free_port
from provisioning_support.plane_doubles import (
    CALLS,
    MODEL_INFO,
    BackendDouble,
    PrometheusDouble,
    serving_part,
    target,
)

REGISTRY = """
apiVersion: modelplane/v1
tenants: [{id: a}]
models: [{name: m, framework: jax, owner: o, tenants: [a], targets: ["h:1"], versions: [{version: v1}]}]
"""
MENUS = {
    "group by (tenant_id)": [{"tenant_id": "a"}],
    "max by (kind)": [{"kind": "input"}],
    "max by (signal)": [{"signal": "age"}],
}


@pytest.fixture
def prometheus() -> PrometheusDouble:
    """All is well."""
    return PrometheusDouble(
        targets=[target("h:1")],
        rules={"modelplane:x": "ok"},
        names=["modelplane:x"],
        menus={"model_name": ["m"], "tenant_id": ["a"], "model_version": ["v1"]},
        vectors={
            **MENUS,
            CALLS: [{"model_name": "m", "tenant_id": "a"}],
            MODEL_INFO: [{"model_name": "m"}],
            "unless on (job, instance)": [],
        },
    )


@pytest.fixture
def urls(prometheus: PrometheusDouble) -> Iterator[tuple[str, str]]:
    """Those of Prometheus and the backend."""
    with serving_part(prometheus) as first, serving_part(BackendDouble()) as second:
        yield first, second


@pytest.fixture
def registry(tmp_path: Path) -> str:
    path = tmp_path / "modelplane.yaml"
    path.write_text(REGISTRY, encoding="utf-8")
    return str(path)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


@pytest.mark.slow
def test_a_plane_that_is_well_and_what_was_not_given(urls: tuple[str, str], registry: str) -> None:
    result = run("doctor", "--prometheus", urls[0] + "/", "--backend", urls[1], "--registry", registry)
    assert result.exit_code == 0, result.output
    assert "ok   targets are up: 1 of 1 targets" in result.output
    assert "ok   every panel query returns data: " in result.output
    for part, option in (("Alertmanager", "--alertmanager"), ("Grafana", "--grafana")):
        assert result.output.count(f"{part} was not given; name it with {option}") == 1


def test_without_a_registry_what_needs_none_is_checked(urls: tuple[str, str]) -> None:
    result = run("doctor", "--prometheus", urls[0])
    assert result.exit_code == 0, result.output
    assert "ok   rules are healthy: 1 rules" in result.output
    assert "3 checks that need the registry: the registry was not given" in result.output


@pytest.mark.slow
def test_a_dead_target_is_an_error_once_and_json_has_what_follows(
    prometheus: PrometheusDouble, urls: tuple[str, str], registry: str
) -> None:
    prometheus.targets = [target("h:1", "down", "connection refused")]
    prometheus.vectors = {MODEL_INFO: [], "modelplane:fleet": [], "unless": []}
    result = run("doctor", "--prometheus", urls[0], "--registry", registry, "--json")
    assert result.exit_code == 4
    document = json.loads(result.output)
    assert document["severity"] == "error"
    problems = [problem for check in document["checks"] for problem in check["problems"]]
    dead = [problem for problem in problems if problem["severity"] == "error"]
    assert [problem["cause"] for problem in dead] == ["targets-down:models:the connection is refused"]
    assert dead[0]["advice"]
    panels = next(each for each in document["checks"] if each["check"] == "every panel query returns data")
    (repeated,) = panels["repeated"]
    assert repeated["cause"] == dead[0]["cause"]
    assert len(repeated["explains"]) > 1


@pytest.mark.slow
def test_a_warning_has_its_own_status(
    prometheus: PrometheusDouble, urls: tuple[str, str], registry: str
) -> None:
    prometheus.vectors = {**prometheus.vectors, MODEL_INFO: [{"model_name": "m"}, {"model_name": "stray"}]}
    result = run("doctor", "--prometheus", urls[0], "--registry", registry)
    assert result.exit_code == 3
    assert "warning: a target reports the model 'stray', which is not in the registry" in result.output
    assert "warn every model of the registry is reported" in result.output


def test_another_store_is_told_apart_from_a_wrong_address(
    prometheus: PrometheusDouble, urls: tuple[str, str]
) -> None:
    prometheus.absent = ("/api/v1/targets", "/api/v1/rules", "/api/v1/alertmanagers")
    result = run("doctor", "--prometheus", urls[0], "--prometheus-tenant", "plane")
    assert result.exit_code == 4, "`up == 0` has a row in the double"
    assert "this store has no list of targets" in result.output
    assert "Prometheus has no /api/v1/alertmanagers" in result.output
    wrong = run("doctor", "--prometheus", urls[0] + "/nothing")
    assert wrong.exit_code == 4
    assert "is that the root of its API?" in wrong.output


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "status", "body", "location"),
    [
        ("/api/v1/status/runtimeinfo", 200, '{"data": {"startTime": "x", "lastConfigTime": "x"}}', ""),
        ("/api/v1/rules", 200, '{"data": {"groups": [{"interval": "x", "rules": [{"name": "a"}]}]}}', ""),
        ("/api/v1/targets", 200, "[" * 100_000, ""),
        ("/api/v1/targets", 200, "1" * 5000, ""),
        ("/api/v1/targets", 302, "", ""),
        ("/api/v1/targets", 302, "", "http://["),
        ("/api/v1/query", 304, "", ""),
    ],
)
def test_an_odd_answer_is_an_error_that_is_told(
    path: str, status: int, body: str, location: str, prometheus: PrometheusDouble, registry: str
) -> None:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Nothing."""

        def do_GET(self) -> None:
            address = urlsplit(self.path)
            params = {name: values[0] for name, values in parse_qs(address.query).items()}
            is_odd = address.path.startswith(path)
            self.send_response(status if is_odd else 200)
            if is_odd and location:
                self.send_header("Location", location)
            self.end_headers()
            content = body if is_odd else json.dumps(prometheus.get(address.path, params))
            self.wfile.write(content.encode())

    with serving_by(Handler) as url:
        result = run("doctor", "--prometheus", url, "--registry", registry)
    assert result.exit_code == 4, result.output
    assert "error: " in result.output


def test_what_a_part_must_have_is_not_merely_unchecked(urls: tuple[str, str]) -> None:
    """A page in front of Grafana may answer to its health alone, and another service to readiness."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Nothing."""

        def do_GET(self) -> None:
            is_ready = self.path in ("/api/health", "/readyz")
            self.send_response(200 if is_ready else 404)
            self.end_headers()
            self.wfile.write(b'{"database": "ok", "version": "12.4.0"}' if is_ready else b"{}")

    with serving_by(Handler) as url:
        for part, route in (("grafana", "/api/datasources"), ("backend", "/api/v1/alerts")):
            result = run("doctor", f"--{part}", url, "--api", "none")
            assert result.exit_code == 4, result.output
            assert f"has no {route} at {url}: is that the root of its API?" in result.output


@pytest.mark.parametrize("command", ["doctor", "status"])
@pytest.mark.parametrize(
    ("address", "part"),
    [
        ("http://user:secret@prometheus:9090", "must not hold a login"),
        ("prometheus:9090", "must be an address such as"),
        ("ftp://prometheus", "must be an address such as"),
        ("http://prometheus/?a=b", "must be an address such as"),
        ("http://[::1", "must be an address such as"),
        ("http://prometheus:99999", "must be an address such as"),
        ("http://prometheus:9090 ", "must be an address such as"),
    ],
)
def test_addresses_that_cannot_be_used(command: str, address: str, part: str) -> None:
    result = run(command, "--prometheus", address)
    assert result.exit_code == 2
    assert part in result.output
    assert "secret" not in result.output


@pytest.mark.parametrize("content", ["", "two words", "line\nline", "\N{SNOWMAN}"])
def test_a_file_that_holds_no_token(content: str, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(content, encoding="utf-8")
    result = run("doctor", "--backend", "http://backend:8090", "--token-file", str(path))
    assert result.exit_code == 1
    assert str(path) in result.output
    assert not content or content not in result.output


def test_status_of_parts_by_url(urls: tuple[str, str]) -> None:
    dead = f"http://127.0.0.1:{free_port()}"
    well = run("status", "--backend", urls[1], "--prometheus", urls[0], "--json")
    assert (well.exit_code, [part["problem"] for part in json.loads(well.output)]) == (0, ["", ""])
    result = run("status", "--backend", urls[1], "--alertmanager", dead)
    assert result.exit_code == 1
    assert f"Alertmanager does not answer at {dead}: the connection is refused" in result.output
    assert "Prometheus" not in result.output


def test_a_bundle_alone_is_looked_at(tmp_path: Path) -> None:
    result = run("doctor", "--bundle", str(tmp_path))
    assert result.exit_code == 4
    assert "grafana/dashboards is empty or absent" in result.output
    assert "Prometheus was not given" in result.output


def test_a_prometheus_that_asks_for_a_password(tmp_path: Path) -> None:
    """As Prometheus' own web configuration has it."""
    password = tmp_path / "password"
    password.write_text("two words\n", encoding="utf-8")
    seen: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Nothing."""

        def do_GET(self) -> None:
            seen.append(self.headers.get("Authorization"))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

    with serving_by(Handler) as url:
        result = run(
            "status", "--prometheus", url, "--prometheus-user", "me", "--prometheus-token-file", str(password)
        )
        assert result.exit_code == 0, result.output
        assert seen == ["Basic " + base64.b64encode(b"me:two words").decode()]
        forgotten = run("status", "--prometheus", url, "--prometheus-user", "me")
    assert forgotten.exit_code == 1
    assert "the user me needs a password" in forgotten.output
