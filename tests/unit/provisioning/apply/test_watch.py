"""A registry is followed whichever way it changes; what is wrong with it is said once."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from modelplane_provisioning.apply.rendered import RegistryPlaceError, registry_file
from modelplane_provisioning.apply.watch import Watch
from modelplane_schema.errors import UserError

REGISTRY = """
apiVersion: modelplane/v1
tenants:
  - id: {tenant}
    receivers: [{{type: webhook, url: "https://a.example", credentials_file: receivers/x}}]
models: [{{name: m, framework: jax, owner: o, tenants: [{tenant}], versions: [{{version: v}}]}}]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return filled(tmp_path / "registry", "north")


def filled(folder: Path, tenant: str) -> Path:
    (folder / "receivers").mkdir(parents=True, exist_ok=True)
    (folder / "receivers" / "x").write_text("s3cret", encoding="ascii")
    (folder / "modelplane.yaml").write_text(REGISTRY.format(tenant=tenant), encoding="ascii")
    return folder


class Applied:
    """Counts what is applied; ``problem`` makes the next ones fail."""

    def __init__(self, place: Path) -> None:
        self.times = 0
        self.problem = ""
        self.error: OSError | None = None
        self.said: list[str] = []
        self.watch = Watch(place, self._apply, self.said.append)

    def after_looks(self, looks: int = 1) -> int:
        """How often it was applied, after some more looks."""
        for _ in range(looks):
            self.watch.look()
        return self.times

    def _apply(self) -> None:
        self.times += 1
        if self.error:
            raise self.error
        if self.problem:
            raise UserError(self.problem)


def in_place(folder: Path) -> None:
    filled(folder, "south")


def by_rename(folder: Path) -> None:
    fresh = folder / ".modelplane.yaml.new"
    fresh.write_text(REGISTRY.format(tenant="south"), encoding="ascii")
    os.replace(fresh, folder / "modelplane.yaml")


def another_secret(folder: Path) -> None:
    (folder / "receivers" / "x").write_text("n3w", encoding="ascii")


@pytest.mark.parametrize("change", [in_place, by_rename, another_secret])
@pytest.mark.parametrize("place", [".", "modelplane.yaml"])
def test_each_change_is_applied_once(folder: Path, place: str, change: Callable[[Path], None]) -> None:
    applied = Applied(folder / place)
    assert applied.after_looks(3) == 1
    change(folder)
    assert applied.after_looks(3) == 2
    assert applied.said == []


def test_a_config_map_is_followed_behind_its_link(tmp_path: Path) -> None:
    """Kubernetes writes a folder for each version, and replaces the link ``..data``."""
    mount = tmp_path / "mount"
    mount.mkdir()
    for version, tenant in (("..1", "north"), ("..2", "south")):
        filled(mount / version, tenant)
    (mount / "..data").symlink_to("..1")
    for name in ("modelplane.yaml", "receivers"):
        (mount / name).symlink_to(f"..data/{name}")
    applied = Applied(mount)
    assert applied.after_looks(2) == 1
    (mount / "..data_tmp").symlink_to("..2")
    os.replace(mount / "..data_tmp", mount / "..data")
    assert applied.after_looks(2) == 2


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"tenants: [", "is not valid YAML"),
        (b"", "apiVersion"),
        (b"\xff", "is not UTF-8 text"),
        (None, "is a folder without a modelplane.yaml"),
    ],
)
def test_a_bad_registry_changes_nothing_and_is_said_once(
    folder: Path, content: bytes | None, sentence: str
) -> None:
    applied = Applied(folder)
    applied.after_looks()
    if content is None:
        (folder / "modelplane.yaml").unlink()
    else:
        (folder / "modelplane.yaml").write_bytes(content)
    assert applied.after_looks(3) == 1
    (said,) = applied.said
    assert sentence in said
    filled(folder, "north")
    assert applied.after_looks(3) == 1, "the plane has this one"
    filled(folder, "south")
    assert applied.after_looks(3) == 2


def test_what_a_part_has_not_taken_is_tried_again_and_said_once(folder: Path) -> None:
    applied = Applied(folder)
    applied.problem = "prometheus: has not taken it"
    assert applied.after_looks(3) == 3
    assert applied.said == ["prometheus: has not taken it"]
    applied.problem = ""
    assert applied.after_looks(3) == 4
    filled(folder, "south")
    applied.problem = "prometheus: has not taken it"
    applied.after_looks()
    assert len(applied.said) == 2, "after a success it is news again"


def test_a_problem_that_comes_back_is_said_again(folder: Path) -> None:
    applied = Applied(folder)
    applied.after_looks()
    for _ in range(2):
        (folder / "modelplane.yaml").write_bytes(b"tenants: [")
        applied.after_looks(2)
        filled(folder, "north")
        applied.after_looks(2)
    assert len(applied.said) == 2


def test_a_file_that_goes_while_it_is_read_ends_nothing(folder: Path) -> None:
    applied = Applied(folder)
    applied.error = FileNotFoundError(2, "No such file or directory", "build/compose.yaml")
    applied.after_looks(2)
    assert applied.said == ["build/compose.yaml: No such file or directory"]
    applied.error = None
    assert applied.after_looks(2) == 3


def test_it_looks_until_it_is_to_end(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelplane_provisioning.apply.watch.POLL_SECONDS", 0)
    applied = Applied(folder)
    applied.watch.run(until=lambda: applied.times > 0)
    assert applied.times == 1


def test_the_file_of_a_registry(folder: Path) -> None:
    assert registry_file(folder) == folder / "modelplane.yaml"
    assert registry_file(folder / "other.yaml") == folder / "other.yaml"
    with pytest.raises(RegistryPlaceError, match=r"receivers: is a folder without a modelplane\.yaml"):
        registry_file(folder / "receivers")
