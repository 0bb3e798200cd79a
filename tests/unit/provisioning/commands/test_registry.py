"""`modelplane registry`: a start that is never overwritten, what models report, and the schema."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import jsonschema
import pytest
import yaml
from click.testing import CliRunner, Result
from prometheus_client import CollectorRegistry, generate_latest

from http_servers import serving_by
from modelplane_exporter import ModelMetricsExporter
from modelplane_provisioning.cli import cli
from modelplane_schema.registry import load_registry, parse_registry

EXAMPLE = Path(__file__).parents[4] / "examples" / "modelplane.yaml"
SERIES = CollectorRegistry()
LOADED = ModelMetricsExporter("resnet50", "v1", "user-A", "pytorch", owner="vision", registry=SERIES)


class Exporter(BaseHTTPRequestHandler):
    """Metrics at /metrics, none at /empty, and a page elsewhere."""

    def do_GET(self) -> None:
        texts = {"/metrics": generate_latest(SERIES), "/empty": b"x 1\n", "/page": b"<html>\n"}
        self.send_response(200 if self.path in texts else 404)
        self.end_headers()
        self.wfile.write(texts.get(self.path, b""))

    def log_message(self, *_: object) -> None:
        """A log would hide the failure of a test."""


@pytest.fixture(scope="module")
def exporter() -> Iterator[str]:
    with serving_by(Exporter) as url:
        yield url


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["registry", *arguments])


@pytest.mark.parametrize(
    ("tenants", "models"),
    [((), ()), (("a", "user B & co", "true", "[x]: #1"), ("resnet50", "bert"))],
)
def test_a_first_registry_is_valid(tenants: tuple[str, ...], models: tuple[str, ...], tmp_path: Path) -> None:
    path = tmp_path / "modelplane.yaml"
    named = [word for tenant in tenants for word in ("--tenant", tenant)]
    named += [word for model in models for word in ("--model", model)]
    made = run("init", "--registry", str(path), *named)
    assert made.exit_code == 0, made.output
    assert f"modelplane up --registry {path}" in made.output
    registry = load_registry(path)
    assert tuple(tenant.id for tenant in registry.tenants) == (tenants or ("team-a",))
    assert tuple(model.name for model in registry.models) == (models or ("my-model",))
    assert path.read_text(encoding="utf-8").count("#") > 8


def test_a_registry_that_is_there_stays(tmp_path: Path) -> None:
    path = tmp_path / "modelplane.yaml"
    path.write_text("mine", encoding="utf-8")
    refused = run("init", "--registry", str(path))
    assert (refused.exit_code, path.read_text(encoding="utf-8")) == (1, "mine")
    assert f"{path} exists; name another file with --registry" in refused.output


def test_names_that_cannot_be_are_refused_before_a_file_is_made(tmp_path: Path) -> None:
    path = tmp_path / "modelplane.yaml"
    refused = run("init", "--registry", str(path), "--tenant", "__all__", "--tenant", "a", "--tenant", "a")
    assert (refused.exit_code, path.exists()) == (1, False)
    assert "tenants[0].id: is reserved" in refused.output


def test_check_for_programs() -> None:
    result = run("check", "--json", "--registry", str(EXAMPLE))
    answer = json.loads(result.output)
    assert (answer["tenants"], answer["models"], answer["versions"]) == (4, 6, 7)
    assert any("platform: no receivers for" in warning for warning in answer["warnings"])


def test_an_exporters_model_becomes_a_registry(exporter: str) -> None:
    result = run("discover", "--metrics", f"{exporter}/metrics")
    (model,) = parse_registry(result.output).models
    assert (model.name, model.framework, model.owner, model.tenants) == (
        "resnet50", "pytorch", "vision", ("user-A",),
    )  # fmt: skip
    assert model.targets == (exporter.removeprefix("http://"),)


def test_a_registry_is_compared_with_what_is_reported(exporter: str, tmp_path: Path) -> None:
    path = tmp_path / "modelplane.yaml"
    run("init", "--registry", str(path), "--tenant", "user-A", "--model", "resnet50")
    lacking = run("discover", "--metrics", f"{exporter}/metrics", "--registry", str(path))
    assert (lacking.exit_code, lacking.output.splitlines()) == (
        1,
        [
            "model 'resnet50': version 'v1' is served and not declared",
            "model 'resnet50': version 'v1.0.0' is declared and not reported",
        ],
    )
    path.write_text(path.read_text(encoding="utf-8").replace("v1.0.0", "v1"), encoding="utf-8")
    whole = run("discover", "--metrics", f"{exporter}/metrics", "--registry", str(path))
    assert (whole.exit_code, whole.output) == (0, "1 models report, and the registry has them all\n")


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("/page", "what it answers are no metrics; name the URL of its metrics"),
        ("/elsewhere", "answered with status 404; name the URL of its metrics"),
        ("/empty", "no model reports at "),
    ],
)
def test_an_address_without_models_is_said(exporter: str, path: str, problem: str) -> None:
    refused = run("discover", "--metrics", exporter + path)
    assert (refused.exit_code, problem in refused.output) == (1, True), refused.output


def test_where_to_look_must_be_said_once() -> None:
    for sources in ([], ["--prometheus", "http://a", "--metrics", "http://b"]):
        refused = run("discover", *sources)
        assert (refused.exit_code, "name either --prometheus URL or --metrics URL" in refused.output) == (
            2,
            True,
        )
    refused = run("discover", "--prometheus", "prometheus:9090")
    assert (refused.exit_code, "an address such as http://prometheus:9090" in refused.output) == (2, True)


@pytest.mark.slow
def test_the_schema_holds_for_registries_and_for_nothing_else(tmp_path: Path) -> None:
    schema = json.loads(run("schema").output)
    jsonschema.Draft202012Validator.check_schema(schema)
    example = json.loads(json.dumps(yaml.safe_load(EXAMPLE.read_text(encoding="utf-8")), default=str))
    jsonschema.validate(example, schema)
    example["models"][0]["targets"] = {
        "hosts": ["a:1"],
        "scheme": "https",
        "tls": {"insecure_skip_verify": True},
    }
    jsonschema.validate(example, schema)
    for wrong in ({"hosts": ["a:1"], "colour": "red"}, "a:1", {"hosts": ["a:1"], "scheme": "ftp"}):
        example["models"][0]["targets"] = wrong
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(example, schema)


def test_a_first_registry_keeps_names_that_look_like_its_keys(tmp_path: Path) -> None:
    path = tmp_path / "modelplane.yaml"
    name = "x    framework: {name}"
    assert run("init", "--registry", str(path), "--model", name, "--tenant", "{tenants}").exit_code == 0
    registry = load_registry(path)
    assert [model.name for model in registry.models] == [name]
    assert [tenant.id for tenant in registry.tenants] == ["{tenants}"]


def test_a_first_registry_that_cannot_be_written_whole_is_not_there(tmp_path: Path) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
    try:
        failed = run("init", "--registry", str(tmp_path / "modelplane.yaml"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert failed.exit_code == 1
    assert f"{tmp_path}/modelplane.yaml: cannot be written: File too large" in failed.output
    assert list(tmp_path.iterdir()) == []
    nowhere = run("init", "--registry", str(tmp_path / "nowhere" / "modelplane.yaml"))
    assert "nowhere/modelplane.yaml: cannot be written: No such file" in nowhere.output
