"""Folders that hold what nobody expects: refused in one sentence before the first byte, or left to others."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from modelplane_provisioning.cli import cli
from modelplane_schema.owned_files import MANIFEST

REGISTRY = Path(__file__).parents[4] / "examples" / "modelplane.yaml"
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away and mount")


def bundle(out: Path, command: str = "bundle", *more: str) -> Result:
    arguments = [command, "--registry", str(REGISTRY), "--out", str(out), *more]
    return CliRunner().invoke(cli, arguments)


def states(folder: Path) -> dict[Path, tuple[int, int]]:
    return {path: (path.lstat().st_ino, path.lstat().st_uid) for path in folder.rglob("*")}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bundles") / "out"
    assert bundle(out).exit_code == 0
    return out


@pytest.fixture
def out(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "out"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("manifest", "says"),
    [
        ("[" * 100_000, "does not name the files of modelplane"),
        ('{"version": 2, "files": []}', "is of version 2, and this modelplane knows 1"),
    ],
)
def test_a_manifest_that_this_version_cannot_read(out: Path, manifest: str, says: str) -> None:
    (out / MANIFEST).write_text(manifest, encoding="ascii")
    before = states(out)
    for result in (bundle(out), bundle(out, "apply", "--dry-run")):
        assert result.exit_code == 1
        assert says in result.output
        assert str(out / MANIFEST) in result.output
    assert states(out) == before


@pytest.mark.slow
@pytest.mark.parametrize("path", ["data", "secrets/alertmanager/receivers", "grafana/provisioning/alerting"])
def test_a_file_in_the_place_of_a_folder_is_refused_before_anything_is_written(out: Path, path: str) -> None:
    shutil.rmtree(out / path)
    (out / path).touch()
    (out / "compose.yaml").unlink()
    before = states(out)
    result = bundle(out)
    assert result.exit_code == 1
    assert f"{out / path}: must be a folder" in result.output
    assert states(out) == before


@pytest.mark.slow
def test_a_folder_in_the_place_of_a_file_of_ours_is_refused_before_anything_is_written(out: Path) -> None:
    (out / "compose.yaml").unlink()
    (out / "compose.yaml").mkdir()
    (out / "prometheus" / "prometheus.yml").unlink()
    before = states(out)
    for result in (bundle(out), bundle(out, "apply", "--dry-run")):
        assert result.exit_code == 1
        assert "compose.yaml: not written by modelplane" in result.output
    assert states(out) == before


@pytest.mark.slow
@as_root
def test_what_lies_behind_a_link_beside_our_folders_keeps_its_owner(out: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    (disk / "theirs").mkdir(parents=True)
    shutil.rmtree(out / "data")
    (out / "data").symlink_to(disk)
    assert bundle(out).exit_code == 0
    assert (disk / "theirs").stat().st_uid == 0
    assert (disk / "backend").stat().st_uid != 0


@pytest.mark.slow
@as_root
def test_root_gives_a_second_bundle_to_whom_it_gave_the_first(tmp_path: Path) -> None:
    os.chown(tmp_path, 1234, 1234)
    out, users = tmp_path / "made-by-root", []
    for _ in range(2):
        assert bundle(out).exit_code == 0
        services = yaml.safe_load((out / "compose.yaml").read_text(encoding="utf-8"))["services"]
        users.append(services["backend"]["user"].partition(":")[0])
    assert users == ["1234", "1234"]
    assert (out / "secrets" / "backend" / "tokens.json").stat().st_uid == 1234


_READ_ONLY = """
import subprocess, sys
out, *command = sys.argv[1:]
subprocess.run(["mount", "--bind", out, out], check=True)
subprocess.run(["mount", "-o", "remount,ro,bind", out], check=True)
entry = "from modelplane_provisioning.entry import main; main()"
sys.exit(subprocess.run([sys.executable, "-c", entry, *command]).returncode)
"""


@pytest.mark.slow
@as_root
@pytest.mark.parametrize("command", [["bundle"], ["apply", "--dry-run"]])
def test_a_read_only_folder_is_named_in_one_sentence(command: list[str], tmp_path: Path) -> None:
    if subprocess.run(["unshare", "-m", "true"], check=False).returncode != 0:
        pytest.skip("no mount namespace of our own here")
    done = subprocess.run(
        ["unshare", "-m", sys.executable, "-c", _READ_ONLY, str(tmp_path), *command,
         "--registry", str(REGISTRY), "--out", str(tmp_path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == (
        f"Error: {tmp_path}: no file can be written there; nothing was changed: run this as a user who may, "
        "or name another folder with --out\n"
    )
