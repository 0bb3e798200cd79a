"""Secrets beside the registry that everybody on the machine can read are named, and are no error."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from modelplane_provisioning.bundle.registry_files import files_that_others_read
from modelplane_provisioning.cli import cli
from modelplane_schema.registry import load_registry

EXAMPLE = Path(__file__).parents[4] / "examples" / "modelplane.yaml"


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    """A registry with a receiver and a target that need secrets; certificates are none."""
    content = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
    receiver = {"type": "webhook", "url": "https://hooks.example.org", "credentials_file": "receivers/hook"}
    content["tenants"][0]["receivers"] = [receiver, receiver]
    content["models"][0]["targets"] = {
        "hosts": ["localhost:8001"],
        "basic_auth": {"username": "u", "password_file": "targets/password"},
        "tls": {"ca_file": "targets/ca.pem"},
        "scheme": "https",
    }
    path = tmp_path / "modelplane.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    for name in ("receivers/hook", "targets/password", "targets/ca.pem"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("s3cret", encoding="ascii")
        (tmp_path / name).chmod(0o600)
    return path


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "is_open"), [(0o600, False), (0o640, False), (0o644, True), (0o604, True)])
def test_only_what_everybody_can_read_is_named(registry: Path, mode: int, is_open: bool) -> None:
    folder = registry.parent
    for path in (*folder.glob("receivers/*"), *folder.glob("targets/*")):
        path.chmod(mode)
    sentences = files_that_others_read(load_registry(registry), folder)
    hook, password = folder / "receivers/hook", folder / "targets/password"
    end = f"(mode {mode:04o}); run: chmod 600"
    expected = [
        f"tenants[0].receivers[0].credentials_file: others can read {hook} {end} {hook}",
        f"tenants[0].receivers[1].credentials_file: others can read {hook} {end} {hook}",
        f"models[0].targets.basic_auth.password_file: others can read {password} {end} {password}",
    ]
    assert sentences == (expected if is_open else [])


@pytest.mark.slow
def test_the_command_says_it_and_writes_the_bundle(registry: Path, tmp_path: Path) -> None:
    content = yaml.safe_load(registry.read_text(encoding="utf-8"))
    content["models"][0]["targets"] = []
    registry.write_text(yaml.safe_dump(content), encoding="utf-8")
    (tmp_path / "receivers" / "hook").chmod(0o644)
    options = ["--registry", str(registry), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(cli, ["bundle", *options])
    assert result.exit_code == 0, result.output
    assert "warning: tenants[0].receivers[0].credentials_file: others can read" in result.output
    assert (tmp_path / "out" / "compose.yaml").is_file()
    warnings = json.loads(CliRunner().invoke(cli, ["bundle", *options, "--json"]).output)["warnings"]
    assert any("receivers[0].credentials_file: others can read" in warning for warning in warnings)
