from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from catalogue import SERVICES, Requirement, Service, as_json, as_table, explain_missing

from modelplane_schema.registry import Model, load_registry

EXAMPLES = Path(__file__).parents[3] / "examples"
SCRIPTS = EXAMPLES / "services"
HELPERS = {"catalogue.py", "replay.py", "stories.py"}
WRAPPERS = "modelplane_exporter.frameworks."


def registered(service: Service) -> Model:
    models = load_registry(EXAMPLES / "modelplane.yaml").models
    return next(model for model in models if model.name == service.model_name)


def literals(script: str) -> dict[str, Any]:
    """Literal arguments of the exporter, its module, and literal constants; nothing is imported."""
    values: dict[str, Any] = {}
    for node in ast.walk(ast.parse((SCRIPTS / script).read_text())):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("wrap", "ModelMetricsExporter"):
            values |= {str(k.arg): k.value.value for k in node.keywords if isinstance(k.value, ast.Constant)}
            positional = zip(("model_name", "", "", "wrapper"), node.args, strict=False)
            values |= {name: arg.value for name, arg in positional if isinstance(arg, ast.Constant)}
        elif isinstance(node, ast.ImportFrom) and str(node.module).startswith(WRAPPERS):
            values["wrapper"] = str(node.module).removeprefix(WRAPPERS)
        elif isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in (
            "TENANTS",
            "VERSION",
            "VERSIONS",
        ):
            values[node.targets[0].id] = ast.literal_eval(node.value)  # type: ignore[attr-defined]
    return values


def test_catalogue_names_every_script_once() -> None:
    assert sorted(service.script for service in SERVICES) == sorted(
        path.name for path in SCRIPTS.glob("*.py") if path.name not in HELPERS
    )


def test_catalogue_names_every_model_of_the_registry_once() -> None:
    models = load_registry(EXAMPLES / "modelplane.yaml").models
    assert sorted(service.model_name for service in SERVICES) == sorted(model.name for model in models)


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.model_name)
def test_script_agrees_with_registry_and_catalogue(service: Service) -> None:
    model = registered(service)
    declared = literals(service.script)
    versions = declared.get("VERSIONS") or [(declared["VERSION"], declared["stage"])]
    assert declared["model_name"] == service.model_name
    assert declared["wrapper"] == service.framework == model.framework
    assert declared["owner"] == model.owner
    assert declared["TENANTS"] == model.tenants
    assert [tuple(version[:2]) for version in versions] == [(v.version, v.stage) for v in model.versions]


def test_ports_in_the_registry_differ() -> None:
    targets = [target for service in SERVICES for target in registered(service).targets]
    assert len(set(targets)) == len(targets) == len(SERVICES)


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.script)
def test_readme_and_install_command_name_the_service(service: Service) -> None:
    readme = (EXAMPLES / "README.md").read_text()
    assert f"`{service.script}` | {service.model_name} |" in readme
    assert service.install.startswith(f"pip install {service.requires[0].package}")


def test_json_is_sorted_and_complete() -> None:
    entries = json.loads(as_json())
    assert [entry["script"] for entry in entries] == sorted(service.script for service in SERVICES)
    assert all(
        set(entry) == {"script", "model_name", "framework", "requires", "install", "installed", "story"}
        for entry in entries
    )


def test_requirement_that_cannot_be_found_is_not_installed() -> None:
    missing = Requirement("no_such_framework", "None such", "no-such")
    assert not missing.installed
    assert not Service("x.py", "x", "x", (Requirement("json", "json", "json"), missing)).installed
    assert Service("x.py", "x", "x", (Requirement("json", "json", "json"),)).installed


def test_command_prints_json_without_importing_a_framework() -> None:
    modules = sorted({requirement.module for service in SERVICES for requirement in service.requires})
    code = (
        f"import runpy, sys; sys.argv = ['catalogue.py', '--json']; sys.path.insert(0, {str(SCRIPTS)!r}); "
        f"runpy.run_path({str(SCRIPTS / 'catalogue.py')!r}, run_name='__main__'); "
        f"sys.exit(any(module in sys.modules for module in {modules!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == json.loads(as_json())


def test_table_has_one_line_per_service() -> None:
    assert [line.split()[0] for line in as_table().splitlines()] == [service.script for service in SERVICES]


def test_missing_framework_is_explained_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ending:
        explain_missing(ModuleNotFoundError(name="tensorflow"), "examples/services/tensorflow_wine.py")
    assert ending.value.code == 3
    assert capsys.readouterr().err == (
        "tensorflow_wine: TensorFlow is not installed; add it with: pip install tensorflow-cpu\n"
    )


def test_module_that_is_not_a_requirement_is_raised_again() -> None:
    error = ModuleNotFoundError(name="flatbuffers")
    with pytest.raises(ModuleNotFoundError) as raised:
        explain_missing(error, "tensorflow_wine.py")
    assert raised.value is error
