"""The table of what containers may do says what the Compose file says, and pages name this release."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from modelplane_provisioning.images.table import IMAGES, INFINITY, package_requirement
from modelplane_provisioning.pages.air_gap import air_gap_page
from modelplane_provisioning.pages.generated_part import BEGIN, END, MarkerError
from modelplane_provisioning.pages.hardening import POINTS, hardening_page

ROOT = Path(__file__).parents[4]
COMPOSE = (ROOT / "provisioning" / "generated" / "compose.yaml").read_bytes()
PAGE = f"before\n{BEGIN}{END}\nafter\n"


def rows(compose: bytes) -> dict[str, list[str]]:
    """Cells by point; the columns are four parts and an example."""
    page = hardening_page(PAGE, compose).decode()
    lines = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ")]
    return {cells[0]: cells[1:] for cells in lines}


def changed(**changes: Any) -> bytes:
    """The file with a weaker Prometheus."""
    content = yaml.safe_load(COMPOSE)
    content["services"]["prometheus"].update(changes)
    return yaml.safe_dump(content, sort_keys=False).encode()


def test_each_point_has_a_cell_for_each_container() -> None:
    table = rows(COMPOSE)
    assert POINTS.keys() <= table.keys()
    assert all(len(table[point]) == 5 and all(table[point]) for point in POINTS)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("point", "changes", "cell"),
    [
        ("user", {"user": "0:0"}, "root"),
        ("root file system", {"read_only": False}, "writable"),
        ("capabilities", {"cap_drop": []}, "some"),
        ("can gain privileges", {"security_opt": []}, "yes"),
        (
            "memory",
            {"mem_limit": "${MODELPLANE_PROMETHEUS_MEMORY:-9g}"},
            "9g (`MODELPLANE_PROMETHEUS_MEMORY`)",
        ),
        ("published on", {"ports": ["0.0.0.0:9090:9090"]}, "`0.0.0.0:9090`"),
        ("threads", {"pids_limit": 7}, "7"),
        ("starts after health of", {"depends_on": {"backend": {}}}, "backend"),
        ("can write to", {"volumes": []}, "`/tmp` (64m)"),
    ],
)
def test_a_weaker_container_has_another_cell(point: str, changes: dict[str, Any], cell: str) -> None:
    before, after = rows(COMPOSE)[point], rows(changed(**changes))[point]
    assert before[0] != after[0] == cell
    assert before[1:] == after[1:]


def test_the_list_for_sites_without_network_is_complete() -> None:
    page = air_gap_page(PAGE).decode()
    for image in IMAGES:
        assert f"`docker.io/{image.name}`" in page
    assert f"`{INFINITY.name}` {INFINITY.release}" in page
    assert page.startswith("before\n")
    assert page.endswith("after\n")


def test_a_page_without_the_markers_is_an_error() -> None:
    with pytest.raises(MarkerError, match=r"^docs/air-gap\.md: must have"):
        air_gap_page("text")


def test_commands_in_the_pages_are_about_this_release() -> None:
    air_gap, deploy = (
        (ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("air-gap.md", "deploy.md")
    )
    requirement = package_requirement("backend", "postgresql")
    requirements = {requirement, package_requirement("demo")}
    assert set(re.findall(r"modelplane\[[^\]]*\]==[0-9.]+", air_gap)) == requirements
    assert set(re.findall(r"modelplane-backend:([0-9.]+)", deploy)) == {requirement.partition("==")[2]}
    assert set(re.findall(r"library/python:\S+", air_gap.replace("`", " "))) == {
        image.name for image in IMAGES if image.repository == "library/python"
    }
