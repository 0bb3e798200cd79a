"""The generated files: current, reproducible, written whole, and nothing of other people touched."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from modelplane_dashboards import check, files, write
from modelplane_schema.registry import Registry

_DIGEST = """
import hashlib, sys
from pathlib import Path
from modelplane_dashboards import files
from modelplane_schema.registry import load_registry
content = files(load_registry(Path(sys.argv[1])))
print(hashlib.sha256(repr(sorted(content.items())).encode()).hexdigest())
"""


def test_committed_files_are_current(registry: Registry, root: Path) -> None:
    assert check(files(registry), root / "dashboards" / "generated") == []


def test_one_file_per_board(registry: Registry) -> None:
    expected = {"fleet/mp-fleet.json"}
    expected |= {f"tenants/mp-tenant-{tenant.id}.json" for tenant in registry.tenants}
    expected |= {f"models/mp-model-{model.name}.json" for model in registry.models}
    assert set(files(registry)) == expected


def test_bytes_do_not_depend_on_the_hash_seed(root: Path) -> None:
    def digest(seed: str) -> str:
        command = [sys.executable, "-c", _DIGEST, str(root / "examples" / "modelplane.yaml")]
        environment = os.environ | {"PYTHONHASHSEED": seed}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    assert digest("1") == digest("2") != ""


def test_generating_twice_gives_the_same_bytes(registry: Registry) -> None:
    assert files(registry) == files(registry)


def test_files_are_sorted_json_that_ends_with_a_newline(registry: Registry) -> None:
    for content in files(registry).values():
        text = content.decode()
        expected = json.dumps(json.loads(text), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        assert text == expected


def test_write_then_check(registry: Registry, tmp_path: Path) -> None:
    content = files(registry)
    first = write(content, tmp_path)
    assert first.written == tuple(sorted(content))
    assert check(content, tmp_path) == []
    second = write(content, tmp_path)
    assert (second.written, second.removed) == ((), ())
    written = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert written == sorted(content)


def test_check_lists_missing_stale_and_surplus(registry: Registry, tmp_path: Path) -> None:
    content = files(registry)
    write(content, tmp_path)
    missing, stale, *_ = sorted(content)
    (tmp_path / missing).unlink()
    (tmp_path / stale).write_bytes(content[stale] + b" ")
    (tmp_path / "tenants" / "mp-tenant-gone.json").write_text('{"uid": "mp-tenant-gone"}')
    expected = [f"{missing}: missing", f"{stale}: stale", "tenants/mp-tenant-gone.json: surplus"]
    assert check(content, tmp_path) == sorted(expected)
    changes = write(content, tmp_path)
    assert changes.written == tuple(sorted((missing, stale)))
    assert changes.removed == ("tenants/mp-tenant-gone.json",)
    assert check(content, tmp_path) == []


@pytest.mark.parametrize("foreign", ['{"uid": "team-board"}', "not json", '["mp-"]', "\udcff"])
def test_files_of_other_people_stay(registry: Registry, tmp_path: Path, foreign: str) -> None:
    path = tmp_path / "fleet" / "theirs.json"
    path.parent.mkdir()
    path.write_bytes(foreign.encode(errors="surrogateescape"))
    content = files(registry)
    write(content, tmp_path)
    assert path.exists()
    assert check(content, tmp_path) == []


def test_a_failed_write_keeps_the_old_file(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = files(registry)
    write(content, tmp_path)
    path = next(iter(content))

    def refuse(source: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(source))

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OSError, match=f"No space left on device: '.*/{path}'"):
        write({**content, path: b"new"}, tmp_path)
    assert (tmp_path / path).read_bytes() == content[path]
    assert list(tmp_path.rglob(".*")) == []
