"""Who imports whom: packages, rooms inside a package, modules. Imports for types and inside functions count.

A room is a sub-package, or a module in the root of a package. docs/architecture.md has the table of arrows;
what is not in it must not be imported, and what is in it must be.
"""

from __future__ import annotations

import ast
import configparser
import re
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SETUP = configparser.ConfigParser()
SETUP.read(ROOT / "setup.cfg", encoding="utf-8")
FOLDERS = {
    name.strip(): ROOT / folder.strip()
    for name, _, folder in (
        line.partition("=") for line in SETUP["options"]["package_dir"].strip().splitlines()
    )
}
LAYERS = {
    "modelplane_schema": 0,
    "modelplane_exporter": 1,
    "modelplane_alerts": 1,
    "modelplane_dashboards": 1,
    "modelplane_datasource": 1,
    "modelplane_provisioning": 2,
}
MODULES_IN_ROOT = 9

Graph = dict[str, set[str]]


def module_name(package: str, path: Path) -> str:
    parts = path.relative_to(FOLDERS[package]).with_suffix("").parts
    return ".".join((package, *parts)).removesuffix(".__init__")


SOURCES = {
    module_name(package, path): path
    for package, folder in FOLDERS.items()
    for path in sorted(folder.rglob("*.py"))
}


def imported_names(path: Path) -> Iterator[str]:
    """Full names that a module imports, whatever they are: modules, or things in them."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported_modules(path: Path) -> set[str]:
    """Those of our modules that a module names in its imports."""
    modules = set()
    for name in imported_names(path):
        module = name if name in SOURCES else name.rpartition(".")[0]
        if module in SOURCES:
            modules.add(module)
    return modules


@cache
def imports() -> Graph:
    """Module -> our modules that it imports."""
    return {module: imported_modules(path) - {module} for module, path in SOURCES.items()}


def room_of(module: str) -> str:
    """The second part of a module's name; the package itself is the room ``__init__``."""
    return module.split(".")[1] if "." in module else "__init__"


def rooms_of(package: str) -> Graph:
    """Room -> other rooms of the package that it imports."""
    rooms: Graph = {}
    for module, targets in imports().items():
        if module.partition(".")[0] == package:
            inside = {room_of(target) for target in targets if target.partition(".")[0] == package}
            rooms.setdefault(room_of(module), set()).update(inside)
    return {room: targets - {room} for room, targets in rooms.items()}


def allowed_rooms(package: str) -> Graph:
    """The table of docs/architecture.md under the heading of a package."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    section = re.search(rf"^### `{package}`$(.*?)(?=^##|\Z)", page, re.MULTILINE | re.DOTALL)
    assert section, f"docs/architecture.md has no section about the rooms of {package}"
    rows = re.findall(r"^\| `(\w+)` \|.*\|([^|]*)\|$", section[1], re.MULTILINE)
    return {room: set(re.findall(r"`(\w+)`", targets)) for room, targets in rows}


def circle(graph: Mapping[str, set[str]]) -> list[str]:
    """The nodes of a circle, empty when there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


@pytest.mark.slow
def test_packages_import_only_lower_layers() -> None:
    assert set(LAYERS) == set(FOLDERS)
    for module, targets in imports().items():
        package = module.partition(".")[0]
        for target in {name.partition(".")[0] for name in targets} - {package}:
            assert LAYERS[target] < LAYERS[package], f"{module} imports {target}"


def test_modules_have_no_circle() -> None:
    assert circle(imports()) == []


@pytest.mark.parametrize("package", FOLDERS)
def test_rooms_import_what_the_architecture_page_says(package: str) -> None:
    rooms = rooms_of(package)
    for room in sorted(rooms):
        print(f"{package}.{room} -> {', '.join(sorted(rooms[room])) or '-'}")  # noqa: T201 - shown by -rP
    assert circle(rooms) == []
    assert rooms == allowed_rooms(package)


def test_the_walks_of_the_architecture_page_name_modules_that_exist() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    walks = page.partition("## Four walks")[2].partition("\n## ")[0]
    steps = re.findall(r"^\d+\. `(modelplane_[\w.]+)`", walks, re.MULTILINE)
    assert len(steps) == 40
    assert [step for step in steps if step not in SOURCES] == []


@pytest.mark.parametrize("package", ["modelplane_exporter", "modelplane_datasource"])
def test_a_large_package_has_few_modules_in_its_root(package: str) -> None:
    assert len(list(FOLDERS[package].glob("*.py"))) <= MODULES_IN_ROOT


@pytest.mark.slow
def test_only_one_module_knows_grafanalib() -> None:
    users = [module for module, path in SOURCES.items() if "grafanalib" in {
        name.partition(".")[0] for name in imported_names(path)
    }]  # fmt: skip
    assert len(users) == 1
    assert users[0].startswith("modelplane_dashboards.")
