"""A demo's data is disposable, a plane's is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelplane_provisioning.clients.plane_errors import PlaneError
from modelplane_provisioning.data_folder import prepare_for_demo, prepare_for_plane


def fill(data: Path) -> None:
    (data / "prometheus").mkdir(parents=True)
    (data / "past").mkdir()
    (data / "modelplane.db").touch()


def test_a_demo_starts_empty_after_another_demo(tmp_path: Path) -> None:
    prepare_for_demo(tmp_path / "data")
    fill(tmp_path / "data")
    prepare_for_demo(tmp_path / "data")
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["demo"]


def test_a_demo_refuses_the_folder_of_a_plane(tmp_path: Path) -> None:
    prepare_for_plane(tmp_path)
    fill(tmp_path)
    with pytest.raises(PlaneError, match=r"holds a plane's data, which a demo would remove.*--data"):
        prepare_for_demo(tmp_path)
    assert (tmp_path / "modelplane.db").exists()


def test_a_plane_keeps_its_data_and_drops_a_demos(tmp_path: Path) -> None:
    fill(tmp_path)
    prepare_for_plane(tmp_path)
    assert (tmp_path / "modelplane.db").exists()
    (tmp_path / "demo").touch()
    prepare_for_plane(tmp_path)
    assert list(tmp_path.iterdir()) == []
