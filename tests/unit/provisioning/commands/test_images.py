"""Which images a bundle runs, and pinning them by what a registry answers. The registry is a double."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from modelplane_provisioning.cli import cli
from modelplane_provisioning.images.registry import ImageRegistry
from modelplane_provisioning.images.table import BUNDLED, IMAGES, PROMETHEUS
from provisioning_support.image_registry_double import Answer, RegistryDouble, serving

REGISTRY = Path(__file__).parents[4] / "examples" / "modelplane.yaml"
PATHS = {image.name: f"/v2/hub/{image.repository}/manifests/{image.tag}" for image in BUNDLED}
DIGESTS = [f"sha256:{character * 64}" for character in "abcd"]


@pytest.fixture
def double() -> Iterator[RegistryDouble]:
    with serving(RegistryDouble()) as registry:
        yield registry


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["images", *arguments])


def pin(double: RegistryDouble, out: Path) -> Result:
    return run("pin", "--out", str(out), "--mirror", f"{double.address}/hub")


def test_the_list_is_one_reference_in_a_line() -> None:
    assert run("list").output.splitlines() == [f"docker.io/{image.name}" for image in BUNDLED]
    assert len(run("list", "--all").output.splitlines()) == len(IMAGES) > len(BUNDLED)
    entries = json.loads(run("list", "--json", "--mirror", "m.example.org/hub").output)
    assert entries[0] == {"image": f"m.example.org/hub/{PROMETHEUS.name}", "purpose": PROMETHEUS.purpose}


@pytest.mark.parametrize("wants_token", [False, True])
def test_pinned_digests_are_those_of_the_manifests(
    double: RegistryDouble, tmp_path: Path, wants_token: bool
) -> None:
    double.wants_token = wants_token
    result = pin(double, tmp_path)
    assert result.exit_code == 0, result.output
    written = json.loads((tmp_path / "images.lock").read_text(encoding="utf-8"))
    assert written == {name: double.answer(path).true_digest for name, path in PATHS.items()}
    if wants_token:
        assert "/token?service=double&scope=pull" in double.asked
    references = [f"docker.io/{name}@{digest}" for name, digest in written.items()]
    assert sorted(run("list", "--out", str(tmp_path)).output.splitlines()) == sorted(references)


@pytest.mark.slow
def test_a_bundle_takes_the_digests_up_and_pinning_again_says_what_is_new(
    double: RegistryDouble, tmp_path: Path
) -> None:
    assert pin(double, tmp_path).output.count("(new)") == len(BUNDLED)
    bundle = CliRunner().invoke(cli, ["bundle", "--registry", str(REGISTRY), "--out", str(tmp_path)])
    assert bundle.exit_code == 0, bundle.output
    services = yaml.safe_load((tmp_path / "compose.yaml").read_text(encoding="utf-8"))["services"]
    digest = double.answer(PATHS[PROMETHEUS.name]).true_digest
    assert services["prometheus"]["image"].endswith(f"{PROMETHEUS.name}@{digest}")
    assert "@sha256:" in services["backend"]["build"]["args"]["PYTHON_IMAGE"]
    double.answers[PATHS[PROMETHEUS.name]] = Answer(b'{"another": 1}')
    again = pin(double, tmp_path).output
    assert (again.count("(new)"), again.count("(as before)")) == (1, len(BUNDLED) - 1)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (Answer(b"{}", 404, "application/json"), "404: it has no such image"),
        (Answer(b"{}", 403, "application/json"), "403: it wants a login"),
        (Answer(b"{}", 429, "application/json"), "429: too many requests"),
        (Answer(b"{}", 500, "application/json"), "answered 500; try again later"),
        (Answer(b"<html>", 200, "text/html"), "is no registry of images"),
        (Answer(digest=DIGESTS[0]), "sent a manifest of another digest than it says"),
    ],
)
def test_nothing_is_written_unless_every_image_has_a_digest(
    double: RegistryDouble, tmp_path: Path, answer: Answer, problem: str
) -> None:
    for path in list(PATHS.values())[:2]:
        double.answers[path] = answer
    result = pin(double, tmp_path)
    assert result.exit_code == 1
    assert result.output.count(problem) == 2
    assert [
        line.split(": ")[1 if line.startswith("Error: ") else 0] for line in result.output.splitlines()
    ] == [image.name for image in BUNDLED[:2]]
    assert not list(tmp_path.iterdir())


def test_a_manifest_without_the_header_is_summed_up(double: RegistryDouble) -> None:
    path = PATHS[PROMETHEUS.name]
    double.answers[path] = Answer(digest="")
    assert ImageRegistry(f"{double.address}/hub").digest(PROMETHEUS) == double.answers[path].true_digest


def test_a_registry_that_wants_a_login_or_sends_elsewhere_is_left(
    double: RegistryDouble, tmp_path: Path
) -> None:
    double.wants_token, double.gives_token = True, False
    assert "gives no token without a login" in pin(double, tmp_path).output
    double.realm = "ftp://elsewhere.example.org/"
    assert "asks for a token at 'ftp://elsewhere.example.org/'" in pin(double, tmp_path).output


def test_a_registry_that_is_not_there_is_named(tmp_path: Path) -> None:
    result = run("pin", "--out", str(tmp_path), "--mirror", "127.0.0.1:1")
    assert result.exit_code == 1
    assert "http://127.0.0.1:1/v2/prom/prometheus/manifests/v3.5.0 does not answer" in result.output


@pytest.mark.parametrize("content", ["", "[]", '{"prom/prometheus:v3.5.0": "sha256:12"}', '{"a": 1}', "\x00"])
def test_a_lock_file_that_is_none_is_refused_before_anything_is_written(tmp_path: Path, content: str) -> None:
    (tmp_path / "images.lock").write_text(content, encoding="utf-8")
    bundle = CliRunner().invoke(cli, ["bundle", "--registry", str(REGISTRY), "--out", str(tmp_path)])
    for result in (bundle, run("list", "--out", str(tmp_path))):
        assert result.exit_code == 1
        assert "images.lock: must map repository:tag to sha256:" in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["images.lock"]


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("docker.io", "https://registry-1.docker.io/v2"),
        ("m.example.org:5000/hub/x", "https://m.example.org:5000/v2/hub/x"),
        ("localhost:5000", "http://localhost:5000/v2"),
        ("[::1]:5000", "http://[::1]:5000/v2"),
        ("localhost.example.org", "https://localhost.example.org/v2"),
    ],
)
def test_only_loopback_is_asked_without_tls(address: str, url: str) -> None:
    assert ImageRegistry(address).base_url == url
