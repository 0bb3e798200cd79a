"""A folder of dashboards in a revision: unpacked as committed, whatever the current folder is."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from modelplane_provisioning.git_folder import GitError, folder_or_revision


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "boards" / "fleet").mkdir(parents=True)
    (tmp_path / "boards" / "fleet" / "a.json").write_text("committed")
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
    for command in (("init", "-q"), ("add", "."), (*identity, "commit", "-q", "-m", "boards")):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    (tmp_path / "boards" / "fleet" / "a.json").write_text("changed")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_folder_is_itself(repository: Path) -> None:
    with folder_or_revision("boards") as folder:
        assert folder == Path("boards")
    (repository / "a:b").mkdir()
    with folder_or_revision("a:b") as folder:
        assert folder == Path("a:b")


@pytest.mark.parametrize("start", [".", "boards/fleet"])
def test_a_revision_is_unpacked_for_the_block(
    repository: Path, monkeypatch: pytest.MonkeyPatch, start: str
) -> None:
    monkeypatch.chdir(repository / start)
    with folder_or_revision("HEAD:boards") as folder:
        assert (folder / "fleet" / "a.json").read_text() == "committed"
    assert not folder.exists()


@pytest.mark.parametrize("text", ["HEAD:absent", "nope:boards", "--output=x:y", "HEAD:boards/fleet/a.json"])
def test_what_git_does_not_have(repository: Path, text: str) -> None:
    with pytest.raises(GitError, match="must be a folder, or REVISION:FOLDER"), folder_or_revision(text):
        pass
    assert sorted(path.name for path in repository.iterdir()) == [".git", "boards"]


def test_outside_a_repository_and_without_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(GitError, match="not a git repository"), folder_or_revision("HEAD:boards"):
        pass
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GitError, match="no git to look for it"), folder_or_revision("HEAD:boards"):
        pass
