"""The repository: layers, packages, texts."""

from __future__ import annotations

import ast
import configparser
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SETUP = configparser.ConfigParser()
SETUP.read(ROOT / "setup.cfg", encoding="utf-8")
FOLDERS = {
    name.strip(): folder.strip()
    for name, _, folder in (
        line.partition("=") for line in SETUP["options"]["package_dir"].strip().splitlines()
    )
}
LAYER = {
    "modelplane_schema": 0,
    "modelplane_exporter": 1,
    "modelplane_alerts": 1,
    "modelplane_dashboards": 1,
    "modelplane_datasource": 1,
    "modelplane_provisioning": 2,
}
MODULES = [path for folder in FOLDERS.values() for path in sorted((ROOT / folder).rglob("*.py"))]


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add((node.module or "").partition(".")[0])
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path: Path) -> None:
    own = next(part for part in path.parts if part in LAYER)
    for name in imported(path) & LAYER.keys() - {own}:
        assert LAYER[name] < LAYER[own], f"{own} imports {name}"


def test_only_one_module_knows_grafanalib() -> None:
    users = [path.name for path in MODULES if "grafanalib" in imported(path)]
    assert users == ["grafana.py"]


def test_setup_cfg_lists_exactly_the_packages_of_the_tree() -> None:
    listed = set(SETUP["options"]["packages"].split())
    found = set()
    for name, folder in FOLDERS.items():
        assert Path(folder).name == name
        assert (ROOT / folder / "py.typed").is_file()
        for init in (ROOT / folder).rglob("__init__.py"):
            found.add(".".join([name, *init.parent.relative_to(ROOT / folder).parts]))
    assert listed == found
    assert set(FOLDERS) == set(LAYER)


def test_modules_are_under_400_lines() -> None:
    long = [str(path) for path in MODULES if len(path.read_text(encoding="utf-8").splitlines()) > 400]
    assert long == []


@pytest.mark.parametrize(
    "name", ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", ".ci/run", "Makefile"]
)
def test_project_files_exist(name: str) -> None:
    assert (ROOT / name).read_text(encoding="utf-8").strip()


def test_links_in_texts_lead_to_files() -> None:
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_make_help_lists_the_promised_targets() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    documented = set(re.findall(r"^([a-z]+):.*## ", text, re.MULTILINE))
    assert {"setup", "demo", "up", "servers", "test", "lint", "generate", "bench", "clean"} <= documented
