"""Writing into a folder: current files stay, no other file is touched, and failures leave all whole."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import resource
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelplane_dashboards import OutputError, check, write
from modelplane_schema.owned_files import MANIFEST


def board(uid: str, title: str = "", tags: tuple[str, ...] | None = None) -> bytes:
    kind = uid.split("-")[1]
    return json.dumps(
        {"panels": [], "uid": uid, "title": title, "tags": tags or ("modelplane", f"modelplane-{kind}")}
    ).encode()


FILES = {
    "fleet/mp-fleet.json": board("mp-fleet"),
    "models/mp-model-a.json": board("mp-model-a"),
    "tenants/mp-tenant-a.json": board("mp-tenant-a"),
}
NEXT = {
    "fleet/mp-fleet.json": board("mp-fleet", "new"),
    "models/mp-model-a.json": FILES["models/mp-model-a.json"],
    "models/mp-model-b.json": board("mp-model-b"),
}


def present(out: Path) -> dict[str, bytes]:
    paths = (path for path in out.rglob("*") if path.is_file() and path.name != MANIFEST)
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in paths}


def state(out: Path) -> dict[str, tuple[bytes, int, int]]:
    paths = (path for path in out.rglob("*") if path.is_file())
    return {str(p): (p.read_bytes(), p.stat().st_mtime_ns, p.stat().st_ino) for p in paths}


def test_write_then_check_then_write_again(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    first = write(FILES, out)
    assert (first.written, first.removed, first.adopted) == (tuple(FILES), (), ())
    assert present(out) == FILES
    assert check(FILES, out) == []
    before = state(out)
    assert write(FILES, out).written == ()
    assert state(out) == before


def test_changed_files_are_replaced_and_surplus_ones_removed(tmp_path: Path) -> None:
    write(FILES, tmp_path)
    unchanged = (tmp_path / "models/mp-model-a.json").stat()
    changes = write(NEXT, tmp_path)
    assert changes.written == ("fleet/mp-fleet.json", "models/mp-model-b.json")
    assert changes.removed == ("tenants/mp-tenant-a.json",)
    assert present(tmp_path) == NEXT
    after = (tmp_path / "models/mp-model-a.json").stat()
    assert (after.st_mtime_ns, after.st_ino) == (unchanged.st_mtime_ns, unchanged.st_ino)
    assert (tmp_path / "tenants").is_dir()  # a watch or a mount of the folder survives


def test_check_lists_missing_stale_and_surplus(tmp_path: Path) -> None:
    write(FILES, tmp_path)
    (tmp_path / "models/mp-model-a.json").unlink()
    assert check(NEXT, tmp_path) == [
        "fleet/mp-fleet.json: stale",
        "models/mp-model-a.json: missing",
        "models/mp-model-b.json: missing",
        "tenants/mp-tenant-a.json: surplus",
    ]
    assert check(FILES, tmp_path / "absent") == [f"{path}: missing" for path in FILES]


@pytest.mark.parametrize(
    "foreign",
    [
        board("mp-marketing"),  # in a folder with a manifest even one with our tag
        board("mp-marketing", tags=("marketing",)),
        b"not json",
        b'["mp-"]',
        b"\xff",
        b"",
    ],
)
def test_files_of_other_people_stay(tmp_path: Path, foreign: bytes) -> None:
    write(FILES, tmp_path)
    for path in ("fleet/mp-marketing.json", "mp-marketing.json", "theirs/mp-marketing.json"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(foreign)
    assert check(FILES, tmp_path) == []
    write(NEXT, tmp_path)
    write({}, tmp_path)
    assert present(tmp_path) == dict.fromkeys(
        ("fleet/mp-marketing.json", "mp-marketing.json", "theirs/mp-marketing.json"), foreign
    )


def test_a_place_that_is_occupied_is_an_error_and_nothing_is_written(tmp_path: Path) -> None:
    write(FILES, tmp_path)
    theirs = tmp_path / "models/mp-model-b.json"
    theirs.write_bytes(b"theirs")
    before = state(tmp_path)
    with pytest.raises(OutputError, match=r"models/mp-model-b\.json: not written by modelplane"):
        write(NEXT, tmp_path)
    assert state(tmp_path) == before
    theirs.write_bytes(NEXT["models/mp-model-b.json"])  # what we would write
    assert write(NEXT, tmp_path).written == ("fleet/mp-fleet.json",)


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.symlink_to("/nowhere")])
def test_a_place_with_a_folder_or_a_link_is_occupied(tmp_path: Path, make: object) -> None:
    (tmp_path / "fleet").mkdir()
    make(tmp_path / "fleet/mp-fleet.json")  # type: ignore[operator]
    with pytest.raises(OutputError, match=r"fleet/mp-fleet\.json: not written by modelplane"):
        write(FILES, tmp_path)
    assert not (tmp_path / MANIFEST).exists()


def test_boards_of_a_version_without_a_manifest_are_recognised_once(tmp_path: Path) -> None:
    earlier = {
        "fleet/mp-fleet.json": board("mp-fleet", "old"),
        "tenants/mp-tenant-gone.json": board("mp-tenant-gone"),
    }
    others = {
        "fleet/mp-marketing.json": board("mp-marketing", tags=("modelplane", "modelplane-fleet")),
        "tenants/mp-tenant-theirs.json": board("mp-tenant-theirs", tags=("other",)),
        "tenants/mp-tenant-odd.json": board("mp-tenant-odd", tags=("modelplane", "modelplane-model")),
        "tenants/mp-tenant-copy.json": board("mp-tenant-gone"),
        "tenants/board.json": board("mp-tenant-x"),
    }
    for path, content in (earlier | others).items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(content)
    assert "tenants/mp-tenant-gone.json: surplus" in check(FILES, tmp_path)
    changes = write(FILES, tmp_path)
    assert changes.adopted == tuple(earlier)
    assert changes.removed == ("tenants/mp-tenant-gone.json",)
    assert present(tmp_path) == FILES | others
    assert write(FILES, tmp_path).adopted == ()


def test_no_json_is_no_board_of_ours(tmp_path: Path) -> None:
    (tmp_path / "fleet").mkdir()
    for number, content in enumerate((b"{", b"[]", b'{"spec": 1}', b'{"spec": {}, "metadata": []}', b"\xff")):
        (tmp_path / f"fleet/mp-fleet-{number}.json").write_bytes(content)
    assert write({}, tmp_path).adopted == ()


def test_a_surplus_file_that_is_no_board_of_ours_any_more_stays(tmp_path: Path) -> None:
    write(FILES, tmp_path)
    (tmp_path / "tenants/mp-tenant-a.json").write_bytes(board("mp-fleet"))
    changes = write(NEXT, tmp_path)
    assert (changes.removed, changes.left) == ((), ("tenants/mp-tenant-a.json",))
    assert (tmp_path / "tenants/mp-tenant-a.json").exists()


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]", b'{"files": ["../mp-x.json"]}', b'{"files": ["/etc/passwd"]}', b'{"files": [1]}'],
)
def test_a_damaged_manifest_is_an_error(tmp_path: Path, content: bytes) -> None:
    write(FILES, tmp_path)
    (tmp_path / MANIFEST).write_bytes(content)
    for act in (write, check):
        with pytest.raises(
            OutputError, match=f"{MANIFEST}: does not name the files of modelplane; remove it"
        ):
            act(NEXT, tmp_path)
    assert present(tmp_path) == FILES


def test_an_output_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("x")
    for act in (write, check):
        with pytest.raises(OutputError, match=r"out: is a file; boards are written into a folder"):
            act(FILES, tmp_path / "out")
    with pytest.raises(OutputError, match="Not a directory"):
        write(FILES, tmp_path / "out" / "below")
    (tmp_path / "fleet").write_text("x")
    with pytest.raises(OutputError, match=r": fleet: not written by modelplane"):
        write(FILES, tmp_path)


def test_a_folder_that_another_process_writes(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        with pytest.raises(OutputError, match="another modelplane writes boards there"):
            write(FILES, tmp_path)
    finally:
        os.close(descriptor)
    assert write(FILES, tmp_path).written == tuple(FILES)


@contextlib.contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file may grow beyond ``size`` bytes, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_changes_no_board(tmp_path: Path) -> None:
    write(FILES, tmp_path)
    large = {**NEXT, "models/mp-model-b.json": board("mp-model-b", "x" * 100_000)}
    with largest_file(10_000), pytest.raises(OutputError, match=r"mp-model-b\.json: .*; nothing was changed"):
        write(large, tmp_path)
    assert present(tmp_path) == FILES
    assert write(large, tmp_path).removed == ("tenants/mp-tenant-a.json",)
    assert present(tmp_path) == large


def test_a_disk_that_is_full_from_the_start_changes_nothing(tmp_path: Path) -> None:
    write(FILES, tmp_path)
    before = state(tmp_path)
    with largest_file(0), pytest.raises(OutputError, match=MANIFEST):
        write(NEXT, tmp_path)
    assert state(tmp_path) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    write(FILES, tmp_path)
    (tmp_path / "fleet").chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        with pytest.raises(OutputError, match=r"mp-fleet\.json: Permission denied"):
            write(NEXT, tmp_path)
    finally:
        (tmp_path / "fleet").chmod(stat.S_IRWXU)
    assert present(tmp_path) == FILES


def test_progress_sees_every_path(tmp_path: Path) -> None:
    seen: list[str] = []

    def progress(paths: object) -> Iterator[str]:
        for path in paths:  # type: ignore[attr-defined]
            seen.append(path)
            yield path

    write(FILES, tmp_path, progress)
    assert seen == list(FILES)
