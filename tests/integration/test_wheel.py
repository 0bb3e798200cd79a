"""A wheel built from the tree, in an empty virtual environment: the exporter and its one dependency."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from modelplane_exporter.baseline import Baseline, NumericSignal

ROOT = Path(__file__).parents[2]
LONGEST_SECONDS = 900  # what pip may take to build, to download and to install

MEASURE = """
from modelplane_exporter import ModelMetricsExporter
from prometheus_client import CollectorRegistry, generate_latest
registry = CollectorRegistry()
exporter = ModelMetricsExporter("m", "v1", tenant_id="t", framework="pytorch", registry=registry)
assert exporter(lambda: {"confidence": 0.5})() == {"confidence": 0.5}
assert b'outcome="success",tenant_id="t"} 1.0' in generate_latest(registry)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    source = out / "source"
    # A copy of what git knows: a build must not leave files in the tree, nor see what others left there.
    listing = ["git", "ls-files", "-co", "--exclude-standard", "-z"]
    listed = subprocess.run(listing, cwd=ROOT, capture_output=True, check=True)
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_symlink():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).symlink_to((ROOT / name).readlink())
        elif (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(out), str(source)]
    built = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LONGEST_SECONDS)
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = out.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    environment = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True, timeout=LONGEST_SECONDS)
    python = environment / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(wheel)]
    installed = subprocess.run(install, capture_output=True, text=True, check=False, timeout=LONGEST_SECONDS)
    assert installed.returncode == 0, installed.stderr
    return python


def test_the_wheel_holds_every_part_and_its_data(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    names = set(archive.namelist())
    built, packed = ROOT / "plugin" / "dist", "modelplane_provisioning/plugin/"
    plugin = {
        f"{packed}{file.relative_to(built).as_posix()}": file for file in built.rglob("*") if file.is_file()
    }
    assert {name for name in names if name.startswith(packed)} == set(plugin)
    assert all(archive.read(name) == file.read_bytes() for name, file in plugin.items())
    packed = "modelplane_provisioning/example_services/"
    examples = {file for file in ROOT.glob("examples/**/*") if file.suffix == ".py"}
    examples.add(ROOT / "examples/modelplane.yaml")
    assert {name for name in names if name.startswith(packed)} == {
        f"{packed}{file.relative_to(ROOT / 'examples').as_posix()}" for file in examples
    }
    for path in (
        "modelplane_schema/metrics.py",
        "modelplane_exporter/py.typed",
        "modelplane_alerts/mixin/mixin.libsonnet",
        "modelplane_alerts/mixin/rules/slo.libsonnet",
        "modelplane_alerts/mixin/alerts/slo.libsonnet",
        "modelplane_alerts/mixin/dashboards.json",
        "modelplane_alerts/mixin/schema.json",
        "modelplane_dashboards/kit/render.py",
        "modelplane_datasource/app.py",
        "modelplane_provisioning/commands/demo.py",
        "modelplane_provisioning/compose/hardening.py",
        "modelplane_provisioning/image/Dockerfile",
        "modelplane_provisioning/image/wheels/README.md",
        "modelplane_provisioning/image/plugins/README.md",
    ):
        assert path in names
    assert not any(name.startswith(("tests", "examples", "benchmarks")) for name in names)


def test_the_exporter_works_with_prometheus_client_alone(python: Path) -> None:
    listing = subprocess.run(
        [str(python), "-m", "pip", "list", "--format", "json", "--disable-pip-version-check"],
        capture_output=True,
        check=True,
        timeout=LONGEST_SECONDS,
    )
    names = {package["name"].replace("-", "_") for package in json.loads(listing.stdout)}
    assert names - {"pip", "setuptools", "wheel"} == {"modelplane", "prometheus_client"}
    subprocess.run([str(python), "-W", "error", "-c", MEASURE], check=True, timeout=LONGEST_SECONDS)


def test_the_command_names_the_extra_it_needs(python: Path) -> None:
    run = subprocess.run(
        [str(python.with_name("modelplane")), "demo"],
        capture_output=True,
        text=True,
        check=False,
        timeout=LONGEST_SECONDS,
    )
    assert run.returncode == 2
    assert "pip install 'modelplane[plane]'" in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("--version", "modelplane, version "),
        ("--help", "  registry      modelplane[registry]\n"),
        ("-h", "pip install 'modelplane[plane]':\n"),
    ],
)
def test_version_and_help_need_no_extra(python: Path, option: str, text: str) -> None:
    run = subprocess.run(
        [str(python.with_name("modelplane")), option],
        capture_output=True,
        text=True,
        check=False,
        timeout=LONGEST_SECONDS,
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert text in run.stdout


def test_a_baseline_without_numpy_says_what_to_install(python: Path, tmp_path: Path) -> None:
    signal = NumericSignal("input", "age", (), (1.0,), (1.0, 0.0), 1.0, 0.5, 10)
    Baseline("m", None, (signal,), "2026-01-01T00:00:00Z").save(tmp_path / "baseline.json")
    observe = (
        "from modelplane_exporter import ModelMetricsExporter\n"
        "ModelMetricsExporter('m', 'v1', 't', 'jax', port='off', baseline='baseline.json')"
    )
    fit = "from modelplane_exporter import Baseline\nBaseline.fit('m', {'age': [1.0, 2.0]})"
    for code, error in ((observe, "ValueError"), (fit, "ModuleNotFoundError")):
        run = subprocess.run(
            [str(python), "-c", code],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=LONGEST_SECONDS,
        )
        assert run.returncode == 1
        assert run.stderr.splitlines()[-1] == (
            f"{error}: a baseline needs NumPy; add it with: pip install 'modelplane[signals]'"
        )


def test_the_extra_baseline_suffices_to_fit_one(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True, timeout=LONGEST_SECONDS)
    install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", f"{wheel}[baseline]"]
    subprocess.run([str(environment / "bin" / "python"), *install], check=True, timeout=LONGEST_SECONDS)
    data, out = tmp_path / "train.csv", tmp_path / "baseline.json"
    data.write_text("age,colour\n" + "".join(f"{age},red\n" for age in range(20, 60)))
    command = str(environment / "bin" / "modelplane")
    subprocess.run(
        [command, "baseline", "fit", str(data), "--model", "m", "--out", str(out)],
        check=True,
        timeout=LONGEST_SECONDS,
    )
    assert [signal.name for signal in Baseline.load(out).signals] == ["age", "colour"]
    listing = subprocess.run(
        [command, "--help"], capture_output=True, text=True, check=True, timeout=LONGEST_SECONDS
    ).stdout
    commands = [line.split()[0] for line in listing.partition("Commands:\n")[2].splitlines()]
    assert commands == ["baseline"]
    run = subprocess.run(
        [command, "demo"], capture_output=True, text=True, check=False, timeout=LONGEST_SECONDS
    )
    assert (run.returncode, "pip install 'modelplane[plane]'" in run.stderr) == (2, True)
