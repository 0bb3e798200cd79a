"""What doctor says of the files that Grafana mounts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from modelplane_provisioning.doctor.bundle_files import check_files
from modelplane_provisioning.doctor.parts import Parts


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    for name in ("dashboards", "datasources"):
        folder = tmp_path / "grafana" / "provisioning" / name
        folder.mkdir(parents=True)
        (folder / "modelplane.yaml").write_text("apiVersion: 1", encoding="ascii")
    write(tmp_path, "boards/mp-fleet.json", "mp-fleet")
    return tmp_path


def write(bundle: Path, name: str, uid: str) -> None:
    path = bundle / "grafana" / "dashboards" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"uid": uid}), encoding="utf-8")


def texts(bundle: Path) -> list[str]:
    return [problem.sentence for problem in check_files(Parts(given_bundle=bundle)).problems]


def test_a_bundle_that_is_well(bundle: Path) -> None:
    assert texts(bundle) == []


def test_a_uid_in_two_files_stops_a_folder(bundle: Path) -> None:
    write(bundle, "boards/copy of mp-fleet.json", "mp-fleet")
    (text,) = texts(bundle)
    assert "the uid 'mp-fleet' is in grafana/dashboards/boards/copy of mp-fleet.json and in " in text
    assert "writes no board of that folder any more" in text


def test_a_uid_that_is_too_long_and_a_file_that_is_no_board(bundle: Path) -> None:
    write(bundle, "boards/long.json", "x" * 41)
    (bundle / "grafana/dashboards/boards/half.json").write_text('{"uid": "a', encoding="ascii")
    (bundle / "grafana/dashboards/boards/list.json").write_text("[]", encoding="ascii")
    told = texts(bundle)
    assert len(told) == 3
    assert "half.json is no board that Grafana can read" in told[0]
    assert "is longer than 40 letters" in told[2]


def test_folders_that_are_empty_or_absent(bundle: Path, tmp_path: Path) -> None:
    (bundle / "grafana/provisioning/dashboards/modelplane.yaml").unlink()
    (text,) = texts(bundle)
    assert "grafana/provisioning/dashboards is empty or absent" in text
    assert len(texts(tmp_path / "nothing")) == 3
