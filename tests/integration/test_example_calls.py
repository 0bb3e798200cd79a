"""The inference functions of the example services: what they refuse, what they count, and what drifts.

Each is called as often as a statement about it needs, and not at a rate, which a busy machine would not
keep. A real Prometheus scrapes what it exposed before a chapter and after it, and evaluates the rules.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import partial
from http.server import BaseHTTPRequestHandler
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests
import yaml
from stories import STORIES

import example_calls
from example_calls import CALLS, MOMENTS, REFUSED_ROWS
from example_services import (
    INSTALLED,
    REGISTRY,
    Case,
    Finished,
    each_case,
    parsed,
    run_all,
    skip_unless_installed,
    sums,
)
from http_servers import serving_by
from modelplane_provisioning.processes import PATIENCE_SECONDS, Process, free_port, wait_until
from modelplane_schema import recorded
from modelplane_schema.metrics import (
    BASELINE_OBSERVATIONS,
    CONFIDENCE,
    INVALID_OBSERVATIONS,
    ITEMS,
    OUTCOMES,
    REQUESTS,
    SIGNAL_OBSERVATIONS,
)
from rule_groups import signal_settings, write_rules

SCRIPT = Path(example_calls.__file__)
DRIFTED, QUIET = 0.25, 0.1
WINDOW_SECONDS, INTERVAL_SECONDS = 24, 4

pytestmark = pytest.mark.usefixtures("all_examples_alone")


class Key(NamedTuple):
    model: str
    version: str
    kind: str
    signal: str


Drift = Mapping[Key, float]
"""Psi minus its noise."""


@pytest.fixture(scope="module")
def called(all_examples_alone: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Finished]:
    commands = {case.model_name: (str(SCRIPT), case.script.removesuffix(".py")) for case in INSTALLED}
    return run_all(commands, tmp_path_factory.mktemp("called"))


def outcomes_and_expositions(done: Finished) -> tuple[list[tuple[str, bool | str]], dict[str, str]]:
    assert done.status == 0, done.log
    outcomes, expositions = json.loads(done.output)
    return outcomes, expositions


class Snapshots:
    """What each example exposes at the moment, on one server: ``/MODEL``."""

    def __init__(self, expositions: Mapping[str, Mapping[str, str]]) -> None:
        self._expositions = expositions
        self.moment = "refusals"

    def handler(self) -> type[BaseHTTPRequestHandler]:
        snapshots = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = snapshots._expositions[self.path.removeprefix("/")][snapshots.moment].encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                """Nobody reads it."""

        return Handler


def prometheus_process(folder: Path, snapshots_url: str, models: list[str], port: int) -> Process:
    write_rules(folder, REGISTRY, signal_settings(f"{INTERVAL_SECONDS}s", f"{WINDOW_SECONDS}s"))
    target = snapshots_url.removeprefix("http://")
    configuration: dict[str, Any] = {
        "global": {"scrape_interval": f"{INTERVAL_SECONDS}s", "scrape_timeout": f"{INTERVAL_SECONDS}s"},
        "rule_files": [str(folder / "*-*.yml")],
        "scrape_configs": [
            {"job_name": model, "metrics_path": f"/{model}", "static_configs": [{"targets": [target]}]}
            for model in models
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


def query(url: str, expression: str) -> dict[Key, float]:
    answer = requests.get(f"{url}/api/v1/query", {"query": expression}, timeout=PATIENCE_SECONDS).json()
    assert answer["status"] == "success", answer
    values = {}
    for series in answer["data"]["result"]:
        labels = series["metric"]
        key = Key(labels["model_name"], labels["model_version"], labels["kind"], labels["signal"])
        assert key not in values
        values[key] = float(series["value"][1])
    return values


def observed(exposition: str) -> float:
    return sum(parsed(exposition)[SIGNAL_OBSERVATIONS.name].values())


def scraped(url: str, expected: Mapping[str, float]) -> bool:
    """Whether the last scrape of each model has as many observations as ``expected``."""
    counts = f"sum by (job) ({SIGNAL_OBSERVATIONS.name})"
    answer = requests.get(f"{url}/api/v1/query", {"query": counts}, timeout=PATIENCE_SECONDS).json()
    counted = {series["metric"]["job"]: float(series["value"][1]) for series in answer["data"]["result"]}
    return counted == expected


def read_drift(url: str, since: float) -> dict[Key, float]:
    """Drift of all signals by rules that were evaluated after ``since``, over a window that began before."""
    psi, noise = (
        series.over(f"{WINDOW_SECONDS}s").name for series in (recorded.SIGNAL_PSI, recorded.SIGNAL_PSI_NOISE)
    )

    def evaluations() -> dict[str, dict[Key, float]]:
        return {name: query(url, f"timestamp({name})") for name in (psi, noise)}

    def evaluated() -> bool:
        baselines = query(url, BASELINE_OBSERVATIONS.name).keys()
        return all(
            times.keys() == baselines and min(times.values()) > since for times in evaluations().values()
        )

    assert wait_until(evaluated, interval=0.5), "a signal has no drift"
    drift = query(url, f"{psi} - {noise}")
    last = max(max(times.values()) for times in evaluations().values())
    assert last < since + WINDOW_SECONDS - 2 * INTERVAL_SECONDS, "too late for a window that began before"
    return drift


@pytest.fixture(scope="module")
def drift(
    called: Mapping[str, Finished], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Drift]]:
    """By the moment of a story: drift of all signals, over a window that holds its calls and no others."""
    folder = tmp_path_factory.mktemp("drift")
    expositions = {name: outcomes_and_expositions(done)[1] for name, done in called.items()}
    snapshots = Snapshots(expositions)

    def counts(moment: str) -> dict[str, float]:
        """Of those that have any: Prometheus has no series of others."""
        every = {name: observed(by_moment[moment]) for name, by_moment in expositions.items()}
        return {name: count for name, count in every.items() if count}

    with serving_by(snapshots.handler()) as snapshots_url:
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        with prometheus_process(folder, snapshots_url, list(expositions), port):
            assert wait_until(partial(scraped, url, counts(snapshots.moment)))
            drift: dict[str, Drift] = {}
            for moment in MOMENTS:
                began, snapshots.moment = time.time(), moment
                assert wait_until(partial(scraped, url, counts(moment)))
                drift[moment] = read_drift(url, time.time())
                time.sleep(max(0.0, began + 2 * WINDOW_SECONDS - time.time()))
            yield drift


def of_model(values: Drift, case: Case) -> Drift:
    model_drift = {key: value for key, value in values.items() if key.model == case.model_name}
    assert {key.version for key in model_drift} == {version.version for version in case.model.versions}
    return model_drift


@each_case
def test_framework_refuses_every_bad_input(case: Case, called: dict[str, Finished]) -> None:
    skip_unless_installed(case)
    outcomes: dict[str, set[str | bool]] = defaultdict(set)
    for kind, outcome in outcomes_and_expositions(called[case.model_name])[0]:
        outcomes[kind].add(outcome)
    assert outcomes["good"] == {True}
    for kind in ("truncated", "gap"):
        assert len(outcomes[kind]) == 1
        assert isinstance(outcomes[kind].pop(), str)


@each_case
def test_each_call_is_counted_once_and_its_signals_only_if_it_succeeded(
    case: Case, called: dict[str, Finished]
) -> None:
    skip_unless_installed(case)
    samples = parsed(outcomes_and_expositions(called[case.model_name])[1]["refusals"])
    versions = [version.version for version in case.model.versions]
    finished = REFUSED_ROWS  # of each version
    assert sums(samples, REQUESTS.name, "model_version", "outcome") == {
        (version, outcome): {"success": finished, "failure": 2 * finished}.get(outcome, 0)
        for version in versions
        for outcome in OUTCOMES
    }
    for name in (f"{CONFIDENCE.name}_count", ITEMS.name):
        assert sums(samples, name, "model_version") == {(version,): finished for version in versions}
    signals = sums(samples, SIGNAL_OBSERVATIONS.name, "model_version", "kind", "signal")
    assert (
        signals.keys() == sums(samples, BASELINE_OBSERVATIONS.name, "model_version", "kind", "signal").keys()
    )
    trained = set() if STORIES[case.model_name].stream else set(versions)
    assert {version for version, _, _ in signals} == trained
    assert set(signals.values()) == ({finished} if trained else set())
    assert set(samples[INVALID_OBSERVATIONS.name].values()) <= {0.0}


@each_case
def test_every_call_of_a_chapter_succeeds(case: Case, called: dict[str, Finished]) -> None:
    skip_unless_installed(case)
    expositions = outcomes_and_expositions(called[case.model_name])[1]
    counts = [
        sums(parsed(expositions[moment]), REQUESTS.name, "outcome") for moment in ("refusals", *MOMENTS)
    ]
    calls = CALLS * len(case.model.versions) * len(case.model.tenants)
    for before, after in pairwise(counts):
        assert {outcome: after[outcome] - before[outcome] for outcome in after} == {
            (outcome,): calls if outcome == "success" else 0 for outcome in OUTCOMES
        }


@each_case
def test_no_signal_drifts_in_the_first_chapter(case: Case, drift: dict[str, Drift]) -> None:
    skip_without_baseline(case)
    model_drift = of_model(drift["first"], case)
    assert {"input", "output"} <= {key.kind for key in model_drift}
    assert {key: value for key, value in model_drift.items() if not value < QUIET} == {}


@each_case
def test_only_the_changed_features_drift_in_the_last_chapter(case: Case, drift: dict[str, Drift]) -> None:
    skip_without_baseline(case)
    features = {key: value for key, value in of_model(drift["last"], case).items() if key.kind == "input"}
    effects = STORIES[case.model_name].chapters[-1].effects
    changed = {change.signal for effect in effects for change in effect.changes}
    drifted = {key.signal for key, value in features.items() if value > DRIFTED}
    assert drifted == changed
    assert {
        key: value for key, value in features.items() if key.signal not in changed and value > QUIET
    } == {}


def skip_without_baseline(case: Case) -> None:
    skip_unless_installed(case)
    if STORIES[case.model_name].stream:
        pytest.skip("it is not trained")
