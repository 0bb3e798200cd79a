"""Where the demo finds its examples: the folder that is named, the one here, or the package's."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelplane_provisioning.examples import PACKAGED, examples_folder, read_catalogue

ROOT = Path(__file__).parents[3]


def test_a_folder_that_is_named_outweighs_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert examples_folder(Path("elsewhere")) == Path("elsewhere")
    assert examples_folder(None) == Path("examples")


@pytest.mark.slow
def test_without_a_checkout_the_package_brings_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "examples").mkdir()  # somebody else's
    monkeypatch.chdir(tmp_path)
    assert examples_folder(None) == PACKAGED
    models = {service.model_name for service in read_catalogue(PACKAGED)}
    assert models == {service.model_name for service in read_catalogue(ROOT / "examples")}
