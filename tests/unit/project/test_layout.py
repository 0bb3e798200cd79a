"""The repository: layers, packages, texts."""

from __future__ import annotations

import configparser
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
MOST_LINES = 400
SETUP = configparser.ConfigParser()
SETUP.read(ROOT / "setup.cfg", encoding="utf-8")
FOLDERS = {
    name.strip(): folder.strip()
    for name, _, folder in (
        line.partition("=") for line in SETUP["options"]["package_dir"].strip().splitlines()
    )
}
MODULES = [path for folder in FOLDERS.values() for path in sorted((ROOT / folder).rglob("*.py"))]


def test_setup_cfg_lists_exactly_the_packages_of_the_tree() -> None:
    listed = set(SETUP["options"]["packages"].split())
    packages = set()
    for name, folder in FOLDERS.items():
        assert Path(folder).name == name
        assert (ROOT / folder / "py.typed").is_file()
        for init in (ROOT / folder).rglob("__init__.py"):
            packages.add(".".join([name, *init.parent.relative_to(ROOT / folder).parts]))
    assert listed == packages


def test_modules_are_under_400_lines() -> None:
    """Tests, examples and benchmarks too."""
    others = [
        path for folder in ("tests", "benchmarks", "examples") for path in (ROOT / folder).rglob("*.py")
    ]
    long = {
        str(path.relative_to(ROOT)): count
        for path in (*MODULES, *others)
        if (count := len(path.read_text(encoding="utf-8").splitlines())) > MOST_LINES
    }
    assert long == {}


def test_mypy_checks_every_folder_with_python_and_all_of_it_strictly() -> None:
    listing = subprocess.run(
        ["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    checked = [folder.strip() for folder in SETUP["mypy"]["files"].split(",")]
    unchecked = [name for name in listing.stdout.splitlines() if not name.startswith(tuple(checked))]
    assert unchecked == []
    assert SETUP["mypy"]["strict"] == "True"
    relaxed = {option for name in SETUP if name.startswith("mypy-") for option in SETUP.options(name)}
    assert relaxed == {"ignore_missing_imports"}


@pytest.mark.parametrize(
    "name", ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", ".ci/run", "Makefile"]
)
def test_project_files_exist(name: str) -> None:
    assert (ROOT / name).read_text(encoding="utf-8").strip()


def test_links_in_texts_lead_to_files() -> None:
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_make_prints_every_target() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", text, re.MULTILINE)) - {"system", "system-development"}
    made = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(re.findall(r"^  make ([a-z-]+) +\S", made.stdout, re.MULTILINE)) == targets
    assert {"test", "test-fast", "test-minimum", "leak-hunt", "fmt"} <= targets
