"""Containers never run as root, and can read and write what they need also when root wrote the bundle."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from modelplane_provisioning.bundle.owner import NOBODY, Owner, OwnerError, bundle_owner, give
from modelplane_provisioning.bundle.writer import write_bundle
from modelplane_provisioning.cli import cli
from modelplane_provisioning.compose.containers import container_files
from modelplane_schema.registry import parse_registry

REGISTRY = Path(__file__).parents[4] / "examples" / "modelplane.yaml"
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


def bundle(out: Path) -> str:
    """Write a bundle. Returns the user of its containers."""
    result = CliRunner().invoke(cli, ["bundle", "--registry", str(REGISTRY), "--out", str(out)])
    assert result.exit_code == 0, result.output
    services = yaml.safe_load((out / "compose.yaml").read_text(encoding="utf-8"))["services"]
    (user,) = {service["user"] for service in services.values()}
    return str(user)


def owners(folder: Path) -> set[int]:
    return {path.lstat().st_uid for path in (folder, *folder.rglob("*"))}


def test_others_than_root_are_the_user_of_their_containers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    monkeypatch.setattr(os, "getegid", lambda: 56)
    assert bundle_owner(tmp_path) == Owner(1234, 56)
    give((tmp_path,), Owner(NOBODY, NOBODY))
    assert owners(tmp_path) != {NOBODY}


@pytest.mark.slow
@as_root
def test_what_root_writes_belongs_to_the_user_of_the_containers(tmp_path: Path) -> None:
    assert bundle(tmp_path / "out") == f"{NOBODY}:{NOBODY}"
    secrets, data = tmp_path / "out" / "secrets", tmp_path / "out" / "data"
    assert owners(secrets) == owners(data) == {NOBODY}
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in data.iterdir()} == {0o700}
    tokens = secrets / "backend" / "tokens.json"
    before = tokens.stat().st_ino
    (secrets / "operator" / "operator-token").unlink()
    assert bundle(tmp_path / "out") == f"{NOBODY}:{NOBODY}"
    assert tokens.stat().st_ino != before
    assert owners(secrets) == {NOBODY}


@pytest.mark.slow
@as_root
def test_a_secret_that_comes_later_can_be_read_by_its_container(tmp_path: Path) -> None:
    """Also one that `modelplane apply` brings, in a folder of its own."""
    bundle(tmp_path / "out")
    content = yaml.safe_load(REGISTRY.read_text(encoding="utf-8"))
    receiver = {"type": "webhook", "url": "https://h.example.org", "credentials_file": "receivers/new/token"}
    content["tenants"][0]["receivers"] = [receiver]
    (tmp_path / "receivers" / "new").mkdir(parents=True)
    (tmp_path / "receivers" / "new" / "token").write_text("s3cret", encoding="ascii")
    registry = parse_registry(yaml.safe_dump(content))
    write_bundle(tmp_path / "out", container_files(registry, "1:1"), registry, tmp_path)
    assert (tmp_path / "out" / "secrets" / "alertmanager" / "receivers" / "new" / "token").is_file()
    assert owners(tmp_path / "out" / "secrets") == {NOBODY}


@pytest.mark.slow
@as_root
def test_in_somebodys_folder_their_containers_read_what_root_writes(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    os.chown(tmp_path / "out", 1234, 56)
    for _ in range(2):
        assert bundle(tmp_path / "out") == "1234:56"
        assert owners(tmp_path / "out" / "secrets") == {1234}


@as_root
def test_what_others_own_in_the_data_stays_theirs(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "theirs").touch()
    os.chown(tmp_path / "data" / "theirs", 99, 99)
    (tmp_path / "data" / "link").symlink_to("/etc/passwd")
    give((tmp_path / "data",), Owner(1234, 56))
    assert owners(tmp_path / "data") == {1234, 99}
    assert Path("/etc/passwd").stat().st_uid == 0


@as_root
def test_a_file_that_cannot_be_given_away_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, *_: int, **__: bool) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "chown", refuse)
    with pytest.raises(
        OwnerError, match=rf"^{tmp_path}: cannot be given to user 1234:56: Operation not perm"
    ):
        give((tmp_path,), Owner(1234, 56))
