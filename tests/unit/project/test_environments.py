"""The lowest releases that setup.cfg declares, as constraints; a run in which every test is skipped."""

from __future__ import annotations

from configparser import ConfigParser
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from environments import PARTS, ROOT, FloorError, constraints, declared, floors, passed

SETUP = """
[options]
install_requires =
    first>=0.20
[options.extras_require]
small =
    Second_Name[part]>=1.2,<3
large =
    %(small)s
    # why this one is pinned
    fourth==2!11.6.0
    third~=1.4
    types-of-third
"""


def read(text: str) -> ConfigParser:
    setup = ConfigParser()
    setup.read_string(text)
    return setup


def test_every_package_is_pinned_to_the_lowest_release_declared() -> None:
    assert constraints(read(SETUP)) == "first==0.20\nfourth==2!11.6.0\nsecond-name==1.2\nthird==1.4\n"


@pytest.mark.parametrize("text", ["first<2", "first!=1.1", "first>1", "first>=1,>=2", "first>=1,==1.5"])
def test_a_range_without_one_lowest_release_is_refused(text: str) -> None:
    with pytest.raises(FloorError, match=r"setup\.cfg: first.*NAME>=VERSION"):
        floors([Requirement(text)])


def test_two_floors_of_one_package_are_refused() -> None:
    assert floors([Requirement("first>=1"), Requirement("First>=1")]) == {"first": "1"}
    with pytest.raises(FloorError, match="first has two floors, 1 and 2"):
        floors([Requirement("first>=1"), Requirement("First>=2")])


def test_each_part_installs_what_setup_cfg_declares() -> None:
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    names = {canonicalize_name(requirement.name) for requirement in declared(setup)}
    for part in PARTS.values():
        project = Requirement(part.requirements[0].replace(".", "modelplane", 1))
        assert project.extras <= set(setup["options.extras_require"])
        assert {canonicalize_name(name) for name in part.requirements[1:]} <= names


@pytest.mark.parametrize("part", PARTS)
def test_the_tests_of_a_part_exist(part: str) -> None:
    assert PARTS[part].tests
    assert all((ROOT / path).exists() for path in PARTS[part].tests)


def test_tests_that_were_skipped_did_not_pass(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    for tests, skipped in ((7, 7), (7, 3)):
        report.write_text(f'<testsuites><testsuite tests="{tests}" skipped="{skipped}"/></testsuites>')
        assert passed(report) == tests - skipped
