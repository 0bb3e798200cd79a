"""``modelplane dashboards``: what it writes, what it says, and its exit status."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from modelplane_provisioning.cli import cli
from modelplane_schema.owned_files import MANIFEST

EXAMPLE = str(Path(__file__).parents[4] / "examples" / "modelplane.yaml")
FLEET = "boards/mp-fleet.json"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["dashboards", *arguments, "--registry", EXAMPLE])


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    assert run("generate", "--out", str(folder)).exit_code == 0
    return folder


def boards(out: Path) -> list[str]:
    return sorted(path.relative_to(out).as_posix() for path in out.rglob("*.json"))


@pytest.mark.slow
def test_generate_again_then_check_then_stale(out: Path) -> None:
    count = len(boards(out))
    again = run("generate", "--out", str(out))
    assert again.output == f"{out}: {count} boards, 0 written, 0 removed\n"
    current = run("check", "--out", str(out))
    assert (current.exit_code, current.output) == (0, f"{out}: all {count} boards are current\n")
    (out / FLEET).write_text("{}", encoding="utf-8")
    (out / "models" / "mp-model-digit-reader.json").unlink()
    stale = run("check", "--out", str(out))
    assert stale.exit_code == 1
    assert stale.output.splitlines() == [
        f"{FLEET}: stale",
        "models/mp-model-digit-reader.json: missing",
        "Error: 2 files are not current; run: modelplane dashboards generate "
        f"--registry {EXAMPLE} --out {out} --api plugin --per-entity auto --format classic",
    ]
    assert f"{out}: {count} boards, 2 written, 0 removed" in run("generate", "--out", str(out)).output


@pytest.mark.slow
def test_boards_of_each_tenant_and_model_come_and_go(out: Path) -> None:
    everything = boards(out)
    result = run("generate", "--out", str(out), "--per-entity", "never")
    assert f"{len(everything) - len(boards(out))} removed" in result.output
    assert FLEET in boards(out)
    assert run("check", "--out", str(out), "--per-entity", "never").exit_code == 0
    assert run("check", "--out", str(out)).exit_code == 1
    run("generate", "--out", str(out), "--per-entity", "always")
    assert boards(out) == everything


@pytest.mark.slow
def test_a_folder_of_another_format_is_stale(out: Path) -> None:
    assert run("check", "--out", str(out)).exit_code == 0
    stale = run("check", "--out", str(out), "--format", "resource")
    assert (stale.exit_code, f"{FLEET}: stale" in stale.output) == (1, True)
    assert "--format resource" in stale.output.splitlines()[-1]
    run("generate", "--out", str(out), "--format", "resource")
    assert json.loads((out / FLEET).read_text())["kind"] == "Dashboard"


@pytest.mark.slow
def test_what_a_run_takes_over_and_leaves_is_said(out: Path) -> None:
    (out / MANIFEST).unlink()
    taken = run("generate", "--out", str(out))
    assert f"took over {len(boards(out))} boards" in taken.output
    model = next(path for path in boards(out) if path.startswith("models/"))
    (out / model).write_text("{}")
    left = run("generate", "--out", str(out), "--per-entity", "never")
    assert f"{out}/{model}: is no board of modelplane any more, and stays" in left.output


def test_files_of_others_stop_it_with_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "boards").mkdir()
    (tmp_path / FLEET).write_text("theirs")
    refused = run("generate", "--out", str(tmp_path))
    assert (refused.exit_code, refused.output.count("\n")) == (1, 1)
    assert f"{FLEET}: not written by modelplane" in refused.output
    (tmp_path / "file").touch()
    refused = run("generate", "--out", str(tmp_path / "file" / "below"))
    assert (refused.exit_code, refused.output.count("\n")) == (1, 1)
    assert "Not a directory" in refused.output


@pytest.mark.slow
def test_diff_says_what_differs_by_text_and_by_json(out: Path) -> None:
    same = run("diff", "--against", str(out))
    assert (same.exit_code, same.output) == (
        0, f"{out}: all {len(boards(out))} boards are the same\n",
    )  # fmt: skip
    board = json.loads((out / FLEET).read_text())
    (out / FLEET).write_text(json.dumps(board | {"refresh": "5m"}))
    differs = run("diff", "--against", str(out))
    assert differs.exit_code == 1
    assert differs.output.splitlines() == [
        f"{FLEET}: changed",
        "  refresh:",
        "    - 5m",
        "    + 30s",
        "boards that differ: 1 changed",
    ]
    answer = run("diff", "--against", str(out), "--json")
    assert answer.exit_code == 1
    assert json.loads(answer.output)[0]["changes"] == [{"key": "refresh", "old": "5m", "new": "30s"}]
    assert json.loads(run("diff", "--against", str(out), "--per-entity", "never", "--json").output)
    absent = run("diff", "--against", str(out / "absent"))
    assert (absent.exit_code, absent.output) == (1, f"Error: {out}/absent: there is no such folder\n")


@pytest.mark.slow
def test_adopt_says_what_differs_and_writes_the_board(out: Path, tmp_path: Path) -> None:
    board = json.loads((out / FLEET).read_text())
    export, kept = tmp_path / "export.json", tmp_path / "kept.json"
    export.write_text(json.dumps(board | {"id": 4, "version": 9}))
    same = run("adopt", str(export), "--out", str(kept))
    assert (same.exit_code, same.output) == (0, f"{export}: is the board that the registry gives\n")
    assert {"id", "version"}.isdisjoint(json.loads(kept.read_text()))
    assert json.loads(run("adopt", str(export), "--json").output) == []
    board["panels"][0]["description"] = "Mine"
    export.write_text(json.dumps(board))
    differs = run("adopt", str(export))
    assert differs.exit_code == 0
    assert "+ Mine" in differs.output or "{+Mine+}" in differs.output
    assert differs.output.splitlines()[-1] == "boards that differ: 1 changed"


def test_adopt_needs_a_board_of_ours(tmp_path: Path) -> None:
    export = tmp_path / "export.json"
    for content in ("", "{}", '{"panels": [], "uid": "mp-marketing"}'):
        export.write_text(content)
        refused = run("adopt", str(export))
        assert refused.exit_code == 1
        assert refused.output.startswith(f"Error: {export}: ")
