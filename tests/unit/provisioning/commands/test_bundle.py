"""`modelplane bundle --json`: what a script reads of a bundle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from modelplane_provisioning.cli import cli
from modelplane_provisioning.commands.bundle import COMPOSE, EXISTING, TARGETS
from modelplane_schema.owned_files import MANIFEST


def declare(path: Path, *models: str) -> None:
    declared = [
        {
            "name": name, "framework": "jax", "owner": "o", "tenants": ["north"],
            "versions": [{"version": "v"}], "targets": ["localhost:8000"],
        }
        for name in models
    ]  # fmt: skip
    content = {"apiVersion": "modelplane/v1", "tenants": [{"id": "north"}], "models": declared}
    path.write_text(yaml.safe_dump(content), encoding="utf-8")


def bundle(registry: Path, out: Path, target: str) -> dict[str, Any]:
    arguments = ["--registry", str(registry), "--out", str(out), "--target", target, "--json"]
    result = CliRunner().invoke(cli, ["bundle", *arguments])
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert isinstance(answer, dict)
    return answer


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_a_script_reads_what_happened_to_each_file(tmp_path: Path, target: str) -> None:
    registry, out = tmp_path / "modelplane.yaml", tmp_path / "out"
    declare(registry, "m", "gone")
    first = bundle(registry, out, target)
    assert [*first] == ["out", "target", "written", "unchanged", "removed", "left", "warnings"]
    assert (first["out"], first["target"]) == (str(out), target)
    assert first["unchanged"] == first["removed"] == first["left"] == []
    assert first["written"] == files_of(out)
    assert any("nobody hears of it" in warning for warning in first["warnings"])
    assert any("localhost:8000" in warning for warning in first["warnings"]) == (target != EXISTING)

    again = bundle(registry, out, target)
    assert (again["written"], again["unchanged"], again["removed"]) == ([], first["written"], [])

    declare(registry, "m")
    fewer = bundle(registry, out, target)
    assert fewer["removed"]
    assert fewer["written"]
    assert sorted([*fewer["written"], *fewer["unchanged"]]) == files_of(out)
    assert not any((out / path).exists() for path in fewer["removed"])


def files_of(out: Path) -> list[str]:
    files = json.loads((out / MANIFEST).read_bytes())["files"]
    assert isinstance(files, list)
    return files


@pytest.mark.slow
def test_a_board_that_somebody_replaced_is_said_to_stay(tmp_path: Path) -> None:
    registry, out = tmp_path / "modelplane.yaml", tmp_path / "out"
    declare(registry, "m", "gone")
    bundle(registry, out, COMPOSE)
    board = out / "grafana/dashboards/models/mp-model-gone.json"
    board.write_text('{"uid": "mp-model-gone"}', encoding="ascii")
    declare(registry, "m")
    answer = bundle(registry, out, COMPOSE)
    assert answer["left"] == [str(board.relative_to(out))]
    assert any(f"{board}: belongs to the bundle no more" in warning for warning in answer["warnings"])


def test_an_error_is_no_json(tmp_path: Path) -> None:
    registry = tmp_path / "modelplane.yaml"
    registry.write_text("apiVersion: modelplane/v2\n", encoding="utf-8")
    arguments = ["--registry", str(registry), "--out", str(tmp_path / "out"), "--json"]
    result = CliRunner().invoke(cli, ["bundle", *arguments])
    assert (result.exit_code, result.stdout) == (1, "")
    assert "apiVersion" in result.stderr
