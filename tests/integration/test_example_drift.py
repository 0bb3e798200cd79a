"""The example services under a real Prometheus: in the drift phase the shifted features drift, and no others.

All services run at once. Drift is read at the end of a normal phase and at the end of the drift phase, over a
window that lies inside the phase, from the shipped recording rules.
"""

from __future__ import annotations

import datetime
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests
import yaml

from modelplane_provisioning.examples import ExampleService, example_process, read_catalogue
from modelplane_provisioning.processes import PATIENCE_SECONDS, Process, free_port
from modelplane_schema import recorded
from modelplane_schema.metrics import BASELINE_OBSERVATIONS
from modelplane_schema.registry import Model, load_registry
from rule_groups import write_rules

EXAMPLES = Path(__file__).parents[2] / "examples"
REGISTRY = load_registry(EXAMPLES / "modelplane.yaml")
SERVICES = {service.model_name: service for service in read_catalogue(EXAMPLES)}

# What the drift of each example shifts; every other feature stays as it was.
SHIFTED = {
    "digit-reader": re.compile(r"pixel_[0-3]_[0-7]"),
    "digit-scanner": re.compile(r"pixel_[0-7]_[0-3]"),
    "progression-risk": re.compile(r"bmi"),
    "tumour-screen": re.compile(r"worst texture"),
    "wine-grader": re.compile(r"color_intensity"),
}
DRIFTED, QUIET = 0.25, 0.1

PHASE_SECONDS = 30
# The window, the age of the last evaluation and READ_BEFORE_END are shorter than a phase together.
WINDOW = "24s"
READ_BEFORE_END = 1.0
# Two tenants: about 670 calls of each version in a window, of which a value needs 300.
RATE = 14

each_model = pytest.mark.parametrize("model", REGISTRY.models, ids=lambda model: model.name)


class Key(NamedTuple):
    model: str
    version: str
    kind: str
    signal: str


Drift = Mapping[str, Mapping[Key, float]]
"""By the name of a phase: psi minus its noise."""


def query(url: str, expression: str, at: float) -> dict[Key, float]:
    parameters: dict[str, str] = {"query": expression, "time": f"{at:.3f}"}
    answer = requests.get(f"{url}/api/v1/query", parameters, timeout=PATIENCE_SECONDS).json()
    assert answer["status"] == "success", answer
    values = {}
    for series in answer["data"]["result"]:
        labels = series["metric"]
        key = Key(labels["model_name"], labels["model_version"], labels["kind"], labels["signal"])
        assert key not in values
        values[key] = float(series["value"][1])
    return values


def phases(process: Process) -> dict[str, float]:
    """When each phase that a service has logged began for the first time."""
    log = process.log.read_text(encoding="utf-8")
    entries = re.findall(r"^(\S+ \S+) examples INFO phase: (.+)$", log, re.MULTILINE)
    began: dict[str, float] = {}
    for text, name in entries:
        began.setdefault(name, datetime.datetime.strptime(text, "%Y-%m-%d %H:%M:%S,%f").timestamp())
    return began


def prometheus_process(folder: Path, ports: list[int], port: int) -> Process:
    rules = {
        "signalWindows": {**dict.fromkeys(recorded.SIGNAL_WINDOWS), WINDOW: "1s"},
        "constantInterval": "1s",
        "signalBaselineInterval": "1s",
    }
    write_rules(folder, REGISTRY, rules)
    configuration: dict[str, Any] = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "rule_files": [str(folder / "*-*.yml")],
        "scrape_configs": [
            {"job_name": "models", "static_configs": [{"targets": [f"127.0.0.1:{port}" for port in ports]}]}
        ],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration), encoding="utf-8")
    arguments = [
        "prometheus",
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    return Process("prometheus", arguments, folder / "log", ready_url=f"http://127.0.0.1:{port}/-/ready")


def service_process(folder: Path, service: ExampleService, port: int) -> Process:
    process = example_process(EXAMPLES, service, port, PHASE_SECONDS, folder)
    process.argv += ["--rate", str(RATE)]
    process.env["PYTHONDONTWRITEBYTECODE"] = "1"
    return process


def wait_until_drift_is_over(services: Mapping[str, Process]) -> None:
    deadline = time.monotonic() + 3 * PATIENCE_SECONDS
    for process in services.values():
        while "bad input" not in phases(process):
            assert process.alive, process.log_tail()
            assert time.monotonic() < deadline, process.log_tail()
            time.sleep(0.5)


@pytest.fixture(scope="module")
def drift(all_examples_alone: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drift]:
    """Psi minus its noise of all signals, in a normal phase and in the drift phase."""
    folder = tmp_path_factory.mktemp("examples")
    installed = [service for service in SERVICES.values() if service.installed]
    with ExitStack() as stack:
        ports = [free_port() for _ in installed]
        port = free_port()
        services = {
            service.model_name: service_process(folder, service, service_port)
            for service, service_port in zip(installed, ports, strict=True)
        }
        prometheus = prometheus_process(folder, ports, port)
        for process in (prometheus, *services.values()):
            process.start()
            stack.callback(process.kill)  # that they end quietly is another test's
        prometheus.wait_ready()
        wait_until_drift_is_over(services)
        yield {
            phase: read_drift(f"http://127.0.0.1:{port}", services, followed_by)
            for phase, followed_by in (("normal", "drift"), ("drift", "bad input"))
        }


def read_drift(url: str, services: Mapping[str, Process], followed_by: str) -> dict[Key, float]:
    """Drift of each model just before its phase ``followed_by`` began."""
    psi, noise = (series.over(WINDOW).name for series in (recorded.SIGNAL_PSI, recorded.SIGNAL_PSI_NOISE))
    values: dict[Key, float] = {}
    for name, process in services.items():
        at = phases(process)[followed_by] - READ_BEFORE_END
        known = query(url, f'{BASELINE_OBSERVATIONS.name}{{model_name="{name}"}}', at)
        model_drift = query(url, f'{psi}{{model_name="{name}"}} - {noise}', at)
        assert model_drift.keys() == known.keys(), "too few calls in a window"
        values |= model_drift
    return values


def of_model(values: Mapping[Key, float], model: Model) -> dict[Key, float]:
    if not SERVICES[model.name].installed:
        pytest.skip(f"needs: {SERVICES[model.name].install}")
    model_drift = {key: value for key, value in values.items() if key.model == model.name}
    assert {key.version for key in model_drift} == {version.version for version in model.versions}
    return model_drift


@each_model
def test_no_signal_drifts_in_a_normal_phase(model: Model, drift: Drift) -> None:
    model_drift = of_model(drift["normal"], model)
    assert {"input", "output"} <= {key.kind for key in model_drift}
    assert {key: value for key, value in model_drift.items() if not value < QUIET} == {}


@each_model
def test_only_the_shifted_features_drift_in_the_drift_phase(model: Model, drift: Drift) -> None:
    features = {key: value for key, value in of_model(drift["drift"], model).items() if key.kind == "input"}
    shifted = {key for key in features if SHIFTED[model.name].fullmatch(key.signal)}
    assert {key.version for key in shifted} == {version.version for version in model.versions}
    assert {key: features[key] for key in shifted if not features[key] > DRIFTED} == {}
    assert {key: features[key] for key in features.keys() - shifted if not features[key] < QUIET} == {}
