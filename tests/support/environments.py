"""Run tests in fresh environments: with the lowest releases that setup.cfg declares, or on another Python.

``environments.py base backend`` installs the floors; ``environments.py --newest --python python3.13 all``
takes what pip chooses. The environments lie in build/environments while they are used.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from configparser import ConfigParser
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

SUPPORT = Path(__file__).parent
ROOT = SUPPORT.parents[1]
FOLDER = ROOT / "build" / "environments"
CONSTRAINTS = FOLDER / "constraints.txt"
FLOOR_OPERATORS = {">=", "==", "~="}


@dataclass(frozen=True)
class Part:
    """Requirements to install, modules that must import there, tests to run and options of pytest.

    Tests of packages that are absent are skipped. A module that must import fails instead, so that an import
    added to modelplane by mistake is no reason to skip.
    """

    requirements: tuple[str, ...]
    modules: tuple[str, ...]
    tests: tuple[str, ...]
    options: tuple[str, ...] = ()


# Rooms of the backend that together use each of its packages.
SMOKE_ROOMS = ("api", "comparison", "prometheus", "proxy", "tenancy", "web")

# Hypothesis is a tool of tests alone; without it, base would leave out the exposition and the workers.
PARTS = {
    "base": Part(
        (".", "hypothesis", "pytest"),
        ("modelplane_exporter", "modelplane_exporter.apps", "modelplane_exporter.frameworks"),
        ("tests/unit/exporter", "tests/unit/schema"),
        ("-m", "not slow"),
    ),
    "backend": Part(
        (".[backend]", "hypothesis", "pytest", "pytest-xdist"),
        ("modelplane_datasource.app", "modelplane_datasource.server"),
        tuple(f"tests/unit/datasource/{room}" for room in SMOKE_ROOMS),
        ("-m", "not slow", "-n", "2", "--dist", "loadfile"),
    ),
    # The fixtures of integration tests import the plane; those of the wrappers need none.
    "framework": Part(
        (".[signals]", "scikit-learn", "pandas", "polars", "pytest"),
        ("modelplane_exporter.frameworks.sklearn",),
        ("tests/integration/test_framework_wrappers.py",),
        ("--noconftest",),
    ),
    "recipes": Part(
        (
            ".[signals]",
            "celery",
            "cloudpickle",
            "fastapi",
            "flask",
            "gunicorn",
            "pytest",
            "requests",
            "uvicorn",
        ),
        ("modelplane_exporter.apps",),
        ("tests/integration/test_recipes.py",),
        ("--noconftest",),
    ),
    "all": Part(
        (".[tests]",),
        ("modelplane_provisioning.entry",),
        ("tests/unit",),
        ("-n", "2", "--dist", "loadfile"),
    ),
}


class FloorError(ValueError):
    """A requirement of setup.cfg has no single lowest release."""


class PartError(RuntimeError):
    """A part that does not install, or whose tests fail."""


def declared(setup: ConfigParser) -> list[Requirement]:
    """All requirements of the base install and of every extra."""
    texts = [setup["options"]["install_requires"], *setup["options.extras_require"].values()]
    return [Requirement(line) for text in texts for line in text.splitlines() if line.strip()]


def floors(requirements: Iterable[Requirement]) -> dict[str, str]:
    """Package to lowest release. A requirement without any version has no floor.

    Raises FloorError where two floors of one package differ, or where a range has no lower end.
    """
    result: dict[str, str] = {}
    for requirement in requirements:
        if not requirement.specifier:
            continue
        lowest = [clause.version for clause in requirement.specifier if clause.operator in FLOOR_OPERATORS]
        if len(lowest) != 1:
            raise FloorError(f"setup.cfg: {requirement}: declare the lowest release once, as NAME>=VERSION")
        name = canonicalize_name(requirement.name)
        floor = result.setdefault(name, lowest[0])
        if floor != lowest[0]:
            raise FloorError(
                f"setup.cfg: {name} has two floors, {floor} and {lowest[0]}: declare the same twice"
            )
    return result


def constraints(setup: ConfigParser) -> str:
    """A constraints file for pip that pins every package to its floor."""
    return "".join(f"{name}=={version}\n" for name, version in sorted(floors(declared(setup)).items()))


def execute(*command: str | Path, **environ: str) -> None:
    try:
        subprocess.run(command, check=True, cwd=ROOT, env=os.environ | environ)
    except (OSError, subprocess.CalledProcessError) as error:
        raise PartError(str(error)) from error


def install(part: Part, environment: Path, python: str, options: list[str]) -> Path:
    """The Python of a new environment."""
    shutil.rmtree(environment, ignore_errors=True)
    execute(python, "-m", "venv", environment)
    program = environment / "bin" / "python"
    project, *others = part.requirements
    pip = (program, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    execute(*pip, *options, "--editable", project, *others)
    return program


def passed(report: Path) -> int:
    suites = ElementTree.parse(report).getroot().iter("testsuite")  # noqa: S314 # our own pytest wrote it
    return sum(int(suite.attrib["tests"]) - int(suite.attrib["skipped"]) for suite in suites)


def check(part: Part, program: Path, report: Path) -> None:
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    execute(program, "-W", "error", "-c", f"import {', '.join(part.modules)}", PATH=path, PYTHONPATH="")
    pytest = (program, "-m", "pytest", "-q", "-p", "missing_packages", f"--junit-xml={report}")
    # pytest loads a plugin before it reads the path in its settings.
    execute(*pytest, *part.options, *part.tests, PATH=path, PYTHONPATH=str(SUPPORT))
    if not passed(report):
        raise PartError("every test was skipped")


def run(name: str, python: str, options: list[str]) -> None:
    environment = FOLDER / name
    try:
        program = install(PARTS[name], environment, python, options)
        check(PARTS[name], program, FOLDER / f"{name}.xml")
    finally:
        shutil.rmtree(environment, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--python", default=sys.executable, help="interpreter of the environments")
    parser.add_argument("--newest", action="store_true", help="install what pip chooses, not the floors")
    parser.add_argument("parts", nargs="+", choices=PARTS, metavar="PART", help=", ".join(PARTS))
    arguments = parser.parse_args()
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    FOLDER.mkdir(parents=True, exist_ok=True)
    CONSTRAINTS.write_text(constraints(setup), encoding="utf-8")
    releases = "newest" if arguments.newest else "lowest"
    options = [] if arguments.newest else ["--constraint", str(CONSTRAINTS)]
    for name in arguments.parts:
        print(f"== {name} on {arguments.python}, {releases} releases", flush=True)  # noqa: T201
        try:
            run(name, arguments.python, options)
        except PartError as error:
            hint = (
                ""
                if arguments.newest
                else f" The floors are in {CONSTRAINTS}; raise in setup.cfg what fails."
            )
            sys.exit(f"{name}: {error}.{hint}")


if __name__ == "__main__":
    main()
