"""`modelplane dashboards draw`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from modelplane_provisioning.cli import cli

ROOT = Path(__file__).parents[4]


def draw(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["dashboards", "draw", *map(str, arguments)])


@pytest.mark.slow
def test_the_boards_of_a_registry_are_drawn(tmp_path: Path) -> None:
    done = draw("--registry", ROOT / "examples" / "modelplane.yaml", "--out", tmp_path)
    assert done.exit_code == 0, done.output
    names = {path.stem for path in (ROOT / "dashboards" / "generated").rglob("*.json")}
    assert {path.name for path in tmp_path.iterdir()} == {
        f"{name}{end}" for name in names for end in (".svg", ".md")
    }
    assert (tmp_path / "mp-fleet.md").read_text(encoding="utf-8").startswith("# Fleet\n\n")


def test_a_file_is_drawn_classic_or_as_a_resource(tmp_path: Path) -> None:
    board = {"uid": "x", "title": "Théirs", "panels": [{"type": "stat", "title": "A <number>"}]}
    (tmp_path / "classic.json").write_text(json.dumps(board), encoding="utf-8")
    (tmp_path / "resource.json").write_text(
        json.dumps({"kind": "Dashboard", "metadata": {"name": "x"}, "spec": board}), encoding="utf-8"
    )
    done = draw(tmp_path / "classic.json", tmp_path / "resource.json", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    drawings = [(tmp_path / "out" / f"{name}.svg").read_bytes() for name in ("classic", "resource")]
    assert drawings[0] == drawings[1]
    assert "A &lt;number&gt;" in drawings[0].decode()
    assert "0 files written" in draw(tmp_path / "classic.json", "--out", tmp_path / "out").output


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"panels": 1}', '{"spec": 3}', '{"elements": {}}'])
def test_what_is_no_dashboard_is_one_clear_error(content: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(content, encoding="utf-8")
    refused = draw(tmp_path / "x.json", "--out", tmp_path / "out")
    assert refused.exit_code == 1
    assert f"{tmp_path}/x.json: " in refused.output
    assert not (tmp_path / "out").exists()


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.json").write_text('{"uid": "x", "panels": []}', encoding="utf-8")
    refused = draw(tmp_path / "a" / "x.json", tmp_path / "b" / "x.json", "--out", tmp_path / "out")
    assert refused.exit_code == 1
    assert "b/x.json: another file has this name" in refused.output
