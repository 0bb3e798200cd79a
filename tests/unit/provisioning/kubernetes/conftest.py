"""A bundle for Kubernetes, and what kustomize makes of it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from generations import find_kustomize
from kubernetes_objects import load_objects
from modelplane_provisioning.cli import cli
from provisioning_support.guest_registry import write_registry

Object = dict[str, Any]


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kubernetes")
    registry = write_registry(folder)
    out = folder / "build"
    arguments = ["bundle", "--target", "kubernetes", "--registry", str(registry), "--out", str(out)]
    outcome = CliRunner().invoke(
        cli, [*arguments, "--namespace", "ml-plane", "--image", "registry.example.org/b:1"]
    )
    assert outcome.exit_code == 0, outcome.output
    return out


@pytest.fixture(scope="session")
def build(bundle: Path) -> Callable[[str], list[Object]]:
    """The objects that the real kustomize builds of a folder of the bundle."""
    built: dict[str, list[Object]] = {}

    def objects(folder: str) -> list[Object]:
        if folder not in built:
            program = find_kustomize()
            if program is None:
                pytest.skip("kustomize is not there: make servers fetches it")
            done = subprocess.run(
                [program, "build", str(bundle / folder)], capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
            built[folder] = load_objects(done.stdout)
        return built[folder]

    return objects


@pytest.fixture(scope="session")
def base(bundle: Path) -> dict[tuple[str, str], Object]:
    """The objects that stand in files of the base, by kind and name."""
    kustomization = yaml.safe_load((bundle / "base/kustomization.yaml").read_text())
    objects = [
        each
        for path in kustomization["resources"]
        for each in load_objects((bundle / "base" / path).read_text())
    ]
    return {(each["kind"], each["metadata"]["name"]): each for each in objects}
