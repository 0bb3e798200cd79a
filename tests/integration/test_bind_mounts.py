"""What a container sees: folders of a bundle that are bound elsewhere show every change of it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from modelplane_provisioning.bundle.writer import write_bundle
from modelplane_provisioning.compose.containers import container_files
from modelplane_provisioning.processes import PATIENCE_SECONDS
from modelplane_schema.registry import Registry, parse_registry

# Binds a folder for each argument in a mount namespace of its own, and lists all for each line of its input.
_CONTAINER = """
import hashlib, subprocess, sys
from pathlib import Path
root = Path(sys.argv[1])
for number, folder in enumerate(sys.argv[2:]):
    (root / str(number)).mkdir(parents=True)
    subprocess.run(["mount", "--bind", folder, root / str(number)], check=True)
print("ready", flush=True)
for _ in sys.stdin:
    for number, folder in enumerate(sys.argv[2:]):
        for path in sorted((root / str(number)).rglob("*")):
            if path.is_file():
                name = path.relative_to(root / str(number))
                print(f"{folder}/{name} {hashlib.sha256(path.read_bytes()).hexdigest()}")
    print("end", flush=True)
"""


def may_have_namespaces() -> bool:
    command = ["unshare", "--mount", "--propagation", "private", "true"]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def registry(*models: str) -> Registry:
    declared = [
        {"name": name, "framework": "jax", "owner": "o", "tenants": ["t"], "versions": [{"version": "v"}]}
        for name in models
    ]
    return parse_registry(
        yaml.safe_dump({"apiVersion": "modelplane/v1", "tenants": [{"id": "t"}], "models": declared})
    )


def mounted_folders(out: Path) -> list[str]:
    """The folders of the bundle that compose.yaml mounts; it mounts no file of one that is replaced."""
    compose = yaml.safe_load((out / "compose.yaml").read_text(encoding="utf-8"))
    folders = set()
    for service in compose["services"].values():
        for volume in service.get("volumes", ()):
            source = volume["source"] if isinstance(volume, dict) else volume.split(":")[0]
            if source.startswith("./") and not source.startswith("./data"):
                assert (out / source).is_dir(), f"{source} is no folder"
                folders.add(str((out / source).resolve()))
    return sorted(folders)


@contextmanager
def container(folder: Path, mounted: list[str]) -> Iterator[subprocess.Popen[str]]:
    unshare = ["unshare", "--mount", "--propagation", "private"]
    with subprocess.Popen(
        [*unshare, sys.executable, "-c", _CONTAINER, str(folder), *mounted],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.stdin.close()
        process.wait(PATIENCE_SECONDS)


def seen(process: subprocess.Popen[str]) -> set[str]:
    """The files that the container sees, each with the digest of its content."""
    assert process.stdout is not None
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return {line.strip() for line in iter(process.stdout.readline, "end\n")}


@pytest.mark.skipif(not may_have_namespaces(), reason="this user may have no mount namespace of its own")
def test_mounted_folders_show_every_change(tmp_path: Path) -> None:
    out = tmp_path / "bundle"

    def write(*models: str) -> None:
        declared = registry(*models)
        write_bundle(out, container_files(declared, f"{os.getuid()}:1"), declared, tmp_path)

    write("a", "b")
    folders = mounted_folders(out)
    assert {Path(folder).relative_to(out).parts[0] for folder in folders} >= {
        "grafana",
        "prometheus",
        "secrets",
    }
    with container(tmp_path / "mounts", folders) as process:
        for models in (("a", "b"), ("a", "c"), ("c",)):
            write(*models)
            files = seen(process)
            boards = {
                line.split("/mp-model-")[1].split(".")[0] for line in files if "/models/mp-model-" in line
            }
            assert boards == set(models)
            with container(tmp_path / f"new-{'-'.join(models)}", folders) as another:
                assert seen(another) == files, "one that starts now sees no more"
