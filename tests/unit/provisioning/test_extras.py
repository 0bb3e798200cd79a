"""A command works with its extra alone, and what is missing is named with the smallest extra that helps."""

from __future__ import annotations

import ast
import configparser
import importlib
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest

from modelplane_provisioning.commands import COMMAND_LINE, SOURCES, WHOLE
from modelplane_provisioning.extras import (
    advised_extra,
    distribution_of,
    extras_of,
    installed_extras,
    is_installed,
)
from modelplane_provisioning.processes import PATIENCE_SECONDS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
REGISTRY = ("--registry", str(ROOT / "examples" / "modelplane.yaml"))
SETUP = configparser.ConfigParser()
SETUP.read(ROOT / "setup.cfg", encoding="utf-8")
REQUIREMENTS = {
    extra: SETUP["options.extras_require"][extra].split() for extra in SETUP["options.extras_require"]
}
# As importlib.metadata has them.
EXTRAS = extras_of(f'{line}; extra == "{extra}"' for extra, lines in REQUIREMENTS.items() for line in lines)
BASE = {"prometheus-client"}
OF_THE_COMMAND_LINE = ("schema", "alerts", "dashboards", "datasource_backend", "provisioning")

WITHOUT = """
import importlib.abc, sys

ABSENT = sys.argv.pop(1).split(",")

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
from modelplane_provisioning.entry import main
main()
"""


def run_without(modules: set[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line where ``modules`` are not installed."""
    return subprocess.run(
        [sys.executable, "-c", WITHOUT, ",".join(sorted(modules)), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )


def imported_modules() -> Iterator[str]:
    """Top-level modules that the parts of the command line import."""
    for folder in OF_THE_COMMAND_LINE:
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom):
                    names = [node.module or ""]
                else:
                    continue
                yield from (name.partition(".")[0] for name in names)


@cache
def outside_modules() -> set[str]:
    """Those of them that are neither Python's nor ours."""
    return {
        name
        for name in imported_modules()
        if name not in sys.stdlib_module_names and not name.startswith(("modelplane_", "_typeshed"))
    }


def test_setup_cfg_is_read() -> None:
    assert EXTRAS["baseline"] == {"numpy", "click", "pyarrow", "rich"}
    assert EXTRAS["plane"] > EXTRAS["backend"] > EXTRAS["registry"] == {"pydantic", "pyyaml"}
    assert installed_extras().keys() == EXTRAS.keys()


def test_every_imported_module_has_an_extra() -> None:
    assert {"yaml", "jwt", "_jsonnet"} < outside_modules()
    offered = BASE.union(*EXTRAS.values())
    assert {name for name in outside_modules() if distribution_of(name) not in offered} == set()


def test_the_sources_are_exactly_the_commands() -> None:
    modules = {source.module for source in SOURCES.values()}
    commands = {
        (command.name, module)
        for module in modules
        for command in importlib.import_module(f"modelplane_provisioning.commands.{module}").COMMANDS
    }
    assert {(name, source.module) for name, source in SOURCES.items()} == commands
    assert {source.extra for source in SOURCES.values()} < EXTRAS.keys()


@pytest.mark.parametrize(
    "arguments",
    [
        ("registry", "check", *REGISTRY),
        ("registry", "init", "--registry", "{tmp}/new.yaml"),
        ("registry", "schema"),
        ("dashboards", "check", *REGISTRY, "--out", str(ROOT / "dashboards" / "generated")),
        ("rules", "render", *REGISTRY, "--out", "{tmp}"),
        ("baseline", "fit", "{tmp}/train.csv", "--model", "m", "--out", "{tmp}/baseline.json"),
        ("serve", "--prometheus-url", "nowhere"),
        ("alerts", "--help"),
        ("bundle", *REGISTRY, "--out", "{tmp}"),
        ("status", "--data", "{tmp}"),
        ("grafana", "pictures", "--help"),
        ("grafana", "apply", "--help"),
        ("grafana", "prove", "--help"),
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_a_command_needs_no_more_than_its_extra(arguments: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("a\n1\n2\n", encoding="ascii")
    needed = EXTRAS[SOURCES[arguments[0]].extra].union(COMMAND_LINE, BASE)
    absent = {name for name in outside_modules() if distribution_of(name) not in needed} | {"torch", "pandas"}
    done = run_without(absent, *(argument.replace("{tmp}", str(tmp_path)) for argument in arguments))
    assert "is not installed" not in done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode == (1 if arguments[0] in ("serve", "status") else 0), done.stderr


@pytest.mark.parametrize("option", ["--version", "--help", "-h", None])
def test_version_and_help_need_no_extra(option: str | None) -> None:
    absent = {name for name in outside_modules() if distribution_of(name) not in BASE}
    done = run_without(absent, *filter(None, [option]))
    assert (done.returncode, done.stderr) == (0, "")
    if option == "--version":
        assert done.stdout == f"modelplane, version {metadata.version('modelplane')}\n"
    else:
        assert all(f"  {name} " in done.stdout for name in SOURCES)


EVERYTHING = frozenset().union(*EXTRAS.values())


@pytest.mark.parametrize(
    ("command", "module", "installed", "extra"),
    [
        ("baseline", "pyarrow", EVERYTHING - {"pyarrow"}, "baseline"),
        ("baseline", "click", frozenset(), "baseline"),
        ("registry", "yaml", {"click", "rich", "pydantic"}, "registry"),
        ("registry", "click", frozenset(), "plane"),
        ("dashboards", "grafanalib", EXTRAS["registry"] | {"click", "rich"}, "dashboards"),
        ("rules", "_jsonnet", EXTRAS["registry"] | {"click", "rich"}, "alerts"),
        ("serve", "sqlalchemy.orm", {"click", "rich"}, "backend"),
        ("serve", "psycopg", EVERYTHING - {"psycopg"}, "postgresql"),
        ("up", "click", frozenset(), "plane"),
        ("up", "jwt", EVERYTHING - {"pyjwt"}, "plane"),
        ("baseline", "numpy", EVERYTHING - {"numpy"}, "baseline"),
        (None, "click", frozenset(), "plane"),
        ("grafana", "playwright.async_api", EVERYTHING - {"playwright"}, "pictures"),
        ("up", "somebody_elses", EVERYTHING, None),
    ],
)
def test_the_extra_of_the_command_or_the_smallest_that_helps_is_advised(
    command: str | None, module: str, installed: frozenset[str], extra: str | None
) -> None:
    command_extra = SOURCES[command].extra if command else WHOLE
    assert advised_extra(module, command_extra, EXTRAS, installed.__contains__) == extra


def test_distributions_are_looked_up_by_any_spelling() -> None:
    assert is_installed("PyYAML")
    assert is_installed("pyyaml")
    assert not is_installed("modelplane-of-somebody-else")


def test_a_missing_module_that_no_extra_brings_is_no_advice() -> None:
    done = run_without({"modelplane_alerts"}, "rules", "check", *REGISTRY)
    assert "ModuleNotFoundError" in done.stderr
    assert "pip install" not in done.stderr
