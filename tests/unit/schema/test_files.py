"""Files are replaced at once or stay as they are, with the permissions asked for."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelplane_schema.files import (
    read_if_present,
    remove_temporaries,
    replace_file,
    replace_files,
    surplus_files,
)


@pytest.fixture
def umask() -> Iterator[None]:
    previous = os.umask(0o027)
    yield
    os.umask(previous)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize(("mode", "expected"), [(0o666, 0o640), (0o600, 0o600)])
def test_a_file_is_created_and_replaced_with_its_permissions(
    tmp_path: Path, mode: int, expected: int
) -> None:
    path = tmp_path / "a"
    for content in (b"one", b"two"):
        replace_file(path, content, mode)
        assert path.read_bytes() == content
        assert stat.S_IMODE(path.stat().st_mode) == expected
        path.chmod(0o777)
    assert names(tmp_path) == ["a"]


def test_whoever_has_the_file_open_reads_it_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old content")
    with path.open("rb") as reader:
        replace_file(path, b"new")
        assert reader.read() == b"old content"


def test_a_write_that_fails_leaves_the_file_and_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def refuse(source: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(source))

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OSError, match=f"No space left on device: '{path}'"):
        replace_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


def test_a_folder_that_is_absent_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=f"'{tmp_path}/none/a'"):
        replace_file(tmp_path / "none" / "a", b"")


def test_only_files_that_are_not_current_are_written(tmp_path: Path) -> None:
    content = {"b/x": b"1", "a/y": b"2"}
    assert replace_files(tmp_path, content) == ["a/y", "b/x"]
    before = (tmp_path / "a/y").stat().st_ino
    assert replace_files(tmp_path, {**content, "b/x": b"3"}) == ["b/x"]
    assert (tmp_path / "b/x").read_bytes() == b"3"
    assert (tmp_path / "a/y").stat().st_ino == before


def test_surplus_files_are_those_of_the_folders_that_have_no_content(tmp_path: Path) -> None:
    replace_files(tmp_path, {"a/deep/x": b"", "a/y": b"", "other/z": b""})
    assert surplus_files(tmp_path, ("a", "none"), {"a/y": b""}) == [tmp_path / "a/deep/x"]


def test_a_file_that_is_absent_has_no_content(tmp_path: Path) -> None:
    assert read_if_present(tmp_path / "a") is None
    (tmp_path / "a").write_bytes(b"x")
    assert read_if_present(tmp_path / "a") == b"x"


def test_only_temporaries_of_the_named_files_are_removed(tmp_path: Path) -> None:
    names = [".a.json.0123abcd.new", ".b.json.0123abcd.new", ".a.json.new", "a.json", ".a.json.0123abcg.new"]
    for name in names:
        (tmp_path / name).touch()
    remove_temporaries([tmp_path / "a.json", tmp_path / "absent" / "a.json"])
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names[1:])
