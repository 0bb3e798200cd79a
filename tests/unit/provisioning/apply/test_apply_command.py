"""``modelplane apply``: what it says and writes, and a sentence for each part that has not taken it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from modelplane_provisioning.apply import run as apply_run
from modelplane_provisioning.apply.parts import Part
from modelplane_provisioning.apply.rendered import Rendered
from modelplane_provisioning.apply.run import ApplyError, apply
from modelplane_provisioning.bundle.credentials import NO_TRUST
from modelplane_provisioning.cli import cli
from modelplane_provisioning.clients.plane_errors import NoAnswerError, PlaneError
from modelplane_schema.registry import parse_registry

REGISTRY = """
apiVersion: modelplane/v1
tenants: [{id: north}]
models: [{name: m, framework: jax, owner: o, tenants: [north], versions: [{version: v}]}]
"""
NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    (tmp_path / "modelplane.yaml").write_text(REGISTRY, encoding="ascii")
    return tmp_path / "modelplane.yaml"


def command(registry: Path, *arguments: str) -> Result:
    out = registry.parent / "out"
    parts = [f"--{part}={NOBODY}" for part in ("prometheus", "alertmanager", "backend", "grafana")]
    given = ["--registry", str(registry), "--out", str(out), *parts, *arguments]
    return CliRunner().invoke(cli, ["apply", *given])


@pytest.mark.slow
def test_a_dry_run_writes_nothing(registry: Path) -> None:
    result = command(registry, "--dry-run")
    assert (result.exit_code, result.output) == (0, "all is new\n")
    assert not (registry.parent / "out").exists()


@pytest.mark.slow
def test_a_plane_that_does_not_run_is_said_of_each_part(registry: Path) -> None:
    result = command(registry)
    assert result.exit_code == 1
    for part in ("prometheus", "alertmanager", "backend", "grafana"):
        assert len(re.findall(f"{part}: has not taken it: .*127.0.0.1:9", result.output)) == 1
    assert (registry.parent / "out" / "compose.yaml").is_file()
    assert "containers take it with: docker compose -f" in result.output
    again = command(registry, "--dry-run")
    assert again.output == "nothing changes\n"


@pytest.mark.slow
def test_a_board_that_somebody_replaced_is_said_to_stay(registry: Path) -> None:
    registry.write_text(REGISTRY.replace("{id: north}", "{id: north}, {id: gone}"), encoding="ascii")
    command(registry)
    board = registry.parent / "out/grafana/dashboards/tenants/mp-tenant-gone.json"
    board.write_text('{"uid": "mp-tenant-gone"}', encoding="ascii")
    registry.write_text(REGISTRY, encoding="ascii")
    for arguments in (["--dry-run"], []):
        output = command(registry, *arguments).output
        assert f"{board}: belongs to the bundle no more, and stays" in output
        assert "boards: " not in output
    assert board.is_file()


def test_a_bad_registry_is_refused_before_anything_is_written(registry: Path) -> None:
    registry.write_text("tenants: 1", encoding="ascii")
    assert command(registry).exit_code == 1
    assert command(registry.parent / "absent").exit_code == 1
    assert not (registry.parent / "out").exists()


def test_a_folder_without_a_local_plane(registry: Path) -> None:
    result = command(registry, "--data", str(registry.parent / "none"))
    assert result.exit_code == 1
    assert "no plane runs from" in result.output


def test_a_dry_run_that_follows_is_refused(registry: Path) -> None:
    result = command(registry, "--dry-run", "--watch")
    assert result.exit_code == 2
    assert "--dry-run and --watch do not go together" in result.output


class ScriptedPart:
    """Answers one by one what it lacks; an error is raised."""

    def __init__(self, name: str, *lags: str | PlaneError, refusal: str = "") -> None:
        self.name = name
        self.asked = 0
        self._lags = lags
        self._refusal = refusal

    def reload(self) -> None:
        if self._refusal:
            raise PlaneError(self._refusal)

    def lag(self) -> str:
        lag = self._lags[min(self.asked, len(self._lags) - 1)]
        self.asked += 1
        if isinstance(lag, PlaneError):
            raise lag
        return lag


def applied(tmp_path: Path, *parts: Part, patience: float = 60, is_quiet: bool = False) -> list[str]:
    files: dict[str, Any] = {"backend/modelplane.yaml": REGISTRY.encode()}
    rendered = Rendered(tmp_path / "out", files, parse_registry(REGISTRY), tmp_path, NO_TRUST)
    said: list[str] = []
    apply(rendered, lambda *_: parts, said.append, patience, is_quiet=is_quiet)
    return said


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apply_run, "POLL_SECONDS", 0)


def test_each_part_is_waited_for(tmp_path: Path) -> None:
    slow = ScriptedPart("prometheus", "rules", PlaneError("status 503"), "targets", "")
    said = applied(tmp_path, slow, ScriptedPart("backend", ""))
    assert said[-2:] == ["prometheus: has taken it", "backend: has taken it"]
    assert slow.asked == 4


def test_all_parts_that_have_not_taken_it_are_named(tmp_path: Path) -> None:
    down = NoAnswerError("the backend", "the backend does not answer")
    parts = (
        ScriptedPart("prometheus", "", refusal="takes no reloads"),
        ScriptedPart("alertmanager", ""),
        ScriptedPart("backend", down),
        ScriptedPart("grafana", "the board mp-fleet is not there"),
    )
    with pytest.raises(ApplyError) as refused:
        applied(tmp_path, *parts, patience=0)
    assert str(refused.value).splitlines() == [
        "prometheus: has not taken it: takes no reloads",
        "backend: has not taken it: the backend does not answer",
        "grafana: has not taken it: the board mp-fleet is not there",
    ]
    assert [part.asked for part in parts] == [0, 1, 1, 1], "for one that is down nobody waits"


def test_what_changes_is_said_before_it_is_written(tmp_path: Path) -> None:
    assert applied(tmp_path)[0] == "all is new"
    assert applied(tmp_path)[0] == "nothing changes"
    assert applied(tmp_path)[-1].endswith("0 files written, 0 removed")


def test_what_is_tried_again_is_not_said_each_time(tmp_path: Path) -> None:
    applied(tmp_path)
    assert applied(tmp_path, ScriptedPart("backend", ""), is_quiet=True) == ["backend: has taken it"]
